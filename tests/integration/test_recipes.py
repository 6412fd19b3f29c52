"""Each recipe in examples/contracts publishes its sample exactly as a model in plain Python says.

A recipe has a folder of sample data with its name in examples/data, which is a part of the ingest bucket: a path in it
is a key below incoming/<dataset>/. A new recipe is tested if it has a module in tests/integration/recipes.
"""

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from functions.common.contract import load_contract
from functions.common.input_settings import load_input
from functions.common.planning import ignored_by
from functions.starter import index as starter
from pipeline import ROOT, cli
from pipeline.contract.check import warnings
from pipeline.errors import UsageError
from pipeline.run.ignored import check_not_ignored
from tests import harness
from tests.integration.test_index import s3_put

CONTRACTS, DATA = ROOT / "examples" / "contracts", ROOT / "examples" / "data"
ELSEWHERE = {"web_visits": "tests/unit/test_web_visits.py"}
"""Examples with a test of their own."""

RECIPES = sorted(path.parent.name for path in CONTRACTS.glob("*/contract.json") if path.parent.name not in ELSEWHERE)
LINEAGE = ("batch_id", "ingested_at")


def key_of(path: Path) -> str:
    return f"incoming/{path.relative_to(DATA).as_posix()}"


@cache
def samples(recipe: str, *, are_ignored: bool = False) -> Sequence[Path]:
    """The files of a recipe's sample that are data, or the others."""
    files = sorted(path for path in (DATA / recipe).rglob("*") if path.is_file())
    given = load_input(recipe, CONTRACTS)
    return [path for path in files if (ignored_by(key_of(path), given) is not None) == are_ignored]


SAMPLES = [pytest.param(recipe, path, id=f"{recipe}-{path.name}") for recipe in RECIPES for path in samples(recipe)]
SIDECARS = [path for recipe in RECIPES for path in samples(recipe, are_ignored=True)]


def model_of(recipe: str) -> ModuleType:
    """The plain-Python model of a recipe."""
    return importlib.import_module(f"tests.integration.recipes.{recipe}")


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Run a file through the functions. Returns its batch, and the rows of each table without the lineage."""

    def run(recipe: str, path: Path, data: bytes, chunk_bytes: int = 1_000_000) -> tuple[Any, dict[str, Any]]:
        batch = harness.run(data, path.name, chunk_bytes, key_of(path).removesuffix(path.name))
        assert batch.dataset == recipe
        tables = [table.name for table in load_contract(recipe, CONTRACTS).tables]
        return batch, {name: harness.table(batch, name, tmp_path) for name in tables}

    with harness.buckets(monkeypatch, CONTRACTS=str(CONTRACTS)):
        yield run


def typed(value: Any) -> Any:
    """A value that equals only a value of the same type: in Python, True == 1 == Decimal(1)."""
    return (type(value).__name__, value)


def typed_json(value: Any) -> Any:
    """The same for a JSON value, in which 1e6 and 1000000.0 are the same number."""
    if isinstance(value, dict):
        return {name: typed_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [typed_json(inner) for inner in value]
    return ("number", Decimal(value)) if type(value) in (int, Decimal) else typed(value)


def check_tables(found: Mapping[str, list[dict[str, Any]]], records: list[Any], model: ModuleType) -> None:
    """Fail unless the published tables are those that the model makes of the records."""
    newest = list({model.KEY(record): record for record in records}.values())
    expected = model.tables(newest)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        wanted = [{k: typed_json(v) if k in model.JSON else typed(v) for k, v in row.items()} for row in rows]
        published = [{k: as_published(k, v, model) for k, v in row.items() if k not in LINEAGE} for row in found[name]]
        assert sorted(published, key=sort_key) == sorted(wanted, key=sort_key), name


def as_published(column: str, value: Any, model: ModuleType) -> Any:
    if column not in model.JSON:
        return typed(value)
    assert value is None or isinstance(value, str)
    return typed_json(None if value is None else json.loads(value, parse_float=Decimal))


def sort_key(row: Mapping[str, Any]) -> str:
    """The strings, whole numbers and times of a row, which identify it. Decimals have several spellings."""
    return repr(
        [value for value in row.values() if isinstance(value, tuple) and value[0] in ("str", "int", "datetime")]
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_sample_data_and_a_model(recipe: str) -> None:
    assert samples(recipe), f"add a sample to examples/data/{recipe}/"
    model = ROOT / "tests" / "integration" / "recipes" / f"{recipe}.py"
    assert model.is_file(), f"add {model.relative_to(ROOT)}: see __init__.py there"


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_contract_of_a_recipe_has_no_warnings(recipe: str) -> None:
    """It has no faults either: see test_contract_check.py."""
    assert warnings(CONTRACTS / recipe) == []


@pytest.mark.parametrize(("recipe", "path"), SAMPLES)
def test_a_sample_is_published_as_the_model_says(recipe: str, path: Path, publish: Callable[..., Any]) -> None:
    model, data = model_of(recipe), path.read_bytes()
    records = model.records(data)
    for chunk_bytes in (1_000_000, 700):
        batch, tables = publish(recipe, path, data, chunk_bytes)
        counts = harness.manifest(batch)["counts"]
        assert (counts["received"], counts["rejected"]) == (len(records), 0)
        check_tables(tables, records, model)


@pytest.mark.parametrize(("recipe", "path"), SAMPLES)
def test_a_bad_record_in_a_sample_is_rejected_and_the_others_are_published(
    recipe: str, path: Path, publish: Callable[..., Any]
) -> None:
    model, data = model_of(recipe), path.read_bytes()
    batch, tables = publish(recipe, path, model.with_a_bad_record(data))
    reason, sentence = model.REJECT
    (reject,) = [one for one in harness.rejects(batch) if one["reason"] != "superseded"]
    assert reject["reason"] == reason
    assert sentence in reject["errors"][0]["message"]
    check_tables(tables, model.records(data), model)


@pytest.mark.parametrize("folder", [CONTRACTS, ROOT / "contracts"], ids=lambda folder: folder.parent.name)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_path_to_the_schema_of_the_contract_is_also_right_in_a_copy(recipe: str, folder: Path) -> None:
    named = json.loads((CONTRACTS / recipe / "contract.json").read_text("utf-8"))["$schema"]
    assert (folder / Path(named).relative_to("..")).is_file()


@pytest.mark.parametrize(("recipe", "path"), SAMPLES)
def test_validate_finds_a_recipe_without_a_setting(
    recipe: str, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pipeline", "validate", str(path), "--dataset", recipe])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code
    assert "by the rules of this checkout, with examples/contracts" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("path", SIDECARS, ids=lambda path: path.name)
def test_a_sidecar_of_an_export_starts_nothing(path: Path, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.set_environment(monkeypatch, CONTRACTS=str(CONTRACTS))
    with pytest.raises(UsageError, match="its name matches the pattern"):
        check_not_ignored(path, key_of(path).split("/")[1], CONTRACTS)
    source = harness.upload(path.read_bytes(), path.name, key_of(path).removesuffix(path.name))
    assert starter.handler(s3_put(source.key, source.version_id)) == {"started": 0, "known": 0, "ignored": 1}
