"""The dataset in examples/, which has no field in common with orders: its tables equal those of a model in Python."""

import csv
import importlib.util
import io
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from functions.common.contract import ControlTotal, Derived
from functions.validate.fast_decoder import fast_decoder_of
from tests.unit.orders import contract_of_records
from tests.unit.steps import Published, publish, validate
from tests.unit.web_visits import CONTRACT, EXAMPLES, GOOD, MIXED, PLAIN, SHORT, Visit, page_view, tables, visit


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script that generated the example files."""
    spec = importlib.util.spec_from_file_location("make_web_visits", EXAMPLES / "data" / "make_web_visits.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(records: list[Visit], folder: Path, chunk_bytes: int = 10**9) -> Published:
    data = b"".join(orjson.dumps(record) + b"\n" for record in records)
    return publish(data, folder, chunk_bytes, contract=CONTRACT)


def check(published: Published, records: list[Visit]) -> None:
    """Fail unless the tables equal those of the model, and the control totals their sums."""
    expected = tables(records)
    assert {table.name: published.rows(table.name) for table in CONTRACT.tables} == expected
    sums = {name: sum(Decimal(row[name]) for row in expected["page_views"]) for name in ("seconds", "scroll_depth")}
    found = {name: Decimal(total.published) for name, total in published.merged.control_totals.items()}
    assert found == sums


def test_the_example_files_are_the_output_of_their_script(maker: ModuleType) -> None:
    for name, content in maker.files().items():
        assert (EXAMPLES / "data" / name).read_bytes() == content, f"make {name} again: see make_web_visits.py"


@pytest.mark.parametrize("chunk_bytes", [10**9, 50_000])
def test_the_good_example_file_is_published(tmp_path: Path, chunk_bytes: int) -> None:
    data = GOOD.read_bytes()
    published = publish(data, tmp_path, chunk_bytes, contract=CONTRACT)
    assert published.totals.rejected == 0
    check(published, [json.loads(line) for line in data.splitlines()])


def test_the_mixed_example_file_is_published_with_its_rejects(tmp_path: Path, maker: ModuleType) -> None:
    data = MIXED.read_bytes()
    published = publish(data, tmp_path, name=MIXED.name, contract=CONTRACT)
    records = json.loads(data)["visits"]
    check(published, [record for place, record in enumerate(records) if place not in maker.BROKEN])
    found = {line["position"]: line["reason"] for line in published.rejects()}
    assert found == {0: "superseded"} | {place: reason for place, (reason, _) in maker.BROKEN.items()}


def test_the_examples_of_the_schema_are_valid(tmp_path: Path) -> None:
    check(run([PLAIN, SHORT], tmp_path), [PLAIN, SHORT])


@pytest.mark.parametrize(
    "changed",
    [
        {"referrer": None, "ended_at": None},
        {"referrer": "=1+1"},
        {"page_views": [page_view(number=2), page_view(number=1, tags=[], events=[])]},
        {"page_views": [page_view(scroll_depth=0.3333, seconds=86_400, load_seconds=0)]},
        {"page_views": [page_view(load_seconds=1e300), page_view(number=7, load_seconds=5e-324, scroll_depth=1.0)]},
        {"visitor": {"visitor_id": "u", "first_seen_on": "2024-02-29", "consent": False, "country": None}},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_a_valid_visit_is_published(changed: dict[str, Any], tmp_path: Path) -> None:
    records = [visit(**changed), SHORT]
    check(run(records, tmp_path), records)


def test_most_visits_are_decided_by_the_fast_decoder() -> None:
    assert fast_decoder_of(CONTRACT.current), "every record goes to the exact validator, which is fifty times slower"


@pytest.mark.parametrize(
    ("changed", "reason", "pointer"),
    [
        ({"logged_in": None}, "wrong_type", "/logged_in"),
        ({"logged_in": 1}, "wrong_type", "/logged_in"),
        ({"device": {"kind": "watch", "browser": "x"}}, "not_an_allowed_value", "/device/kind"),
        (
            {"device": {"kind": "phone", "browser": "x", "screen": {"width": 1}}},
            "missing_field",
            "/device/screen/height",
        ),
        ({"page_views": []}, "bad_length", "/page_views"),
        ({"page_views": [page_view(seconds=1.5)]}, "wrong_type", "/page_views/0/seconds"),
        ({"page_views": [page_view(tags="sale")]}, "wrong_type", "/page_views/0/tags"),
        ({"page_views": [page_view(tags=["a", None])]}, "wrong_type", "/page_views/0/tags/1"),
        ({"page_views": [page_view(tags=["a", ""])]}, "bad_length", "/page_views/0/tags/1"),
        ({"page_views": [page_view(scroll_depth=0.33333)]}, "not_an_exact_decimal", "/page_views/0/scroll_depth"),
        ({"page_views": [page_view(events=[{"kind": "click"}])]}, "missing_field", "/page_views/0/events/0/at_ms"),
        (
            {"page_views": [page_view(events=[{"kind": "click", "at_ms": 1, "x": 1}])]},
            "unknown_field",
            "/page_views/0/events/0/x",
        ),
        ({"page_views": [page_view(), page_view()]}, "duplicate_view_number", "/page_views"),
        ({"page_views": [page_view(opened_at="2026-03-02T08:14:59Z")]}, "view_before_the_visit", "/page_views"),
    ],
)
def test_an_invalid_visit_is_rejected(changed: dict[str, Any], reason: str, pointer: str, tmp_path: Path) -> None:
    data = b"".join(orjson.dumps(record) + b"\n" for record in (visit(**changed), SHORT))
    assert validate(data, tmp_path, contract=CONTRACT)["rejected_by_reason"] == {reason: 1}
    [reject] = [orjson.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert reject["errors"][0]["pointer"] == pointer


def test_booleans_dates_and_floats_are_written_to_csv(tmp_path: Path) -> None:
    published = run([PLAIN, SHORT], tmp_path)

    def column(table: str, name: str) -> list[str]:
        return [row[name] for row in csv.DictReader(io.StringIO(published.csv(table), newline=""))]

    assert column("visits", "logged_in") == ["false", "true"]
    assert column("visitors", "first_seen_on") == ["2025-11-30", "2026-03-02"]
    assert column("visitors", "consent") == ["true", ""]
    assert column("page_views", "load_seconds") == ["0.8125", "", ""]
    assert Counter(column("page_views", "scroll_depth")) == {"0.3500": 1, "1.0000": 1, "0.0000": 1}


# --- faults that web visits found -------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [1, 12_345_678_901_234])  # the second is possibly inexact, so it is read again
def test_sums_of_whole_numbers_are_exact_beyond_what_a_float_holds(price: int, tmp_path: Path) -> None:
    """DuckDB sums integers as HUGEINT, which Parquet doesn't have."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["numbers", "price"],
        "properties": {
            "numbers": {"type": "array", "items": {"type": "integer"}},
            "price": {"type": "number", "decimal": [18, 4]},
        },
    }
    contract = contract_of_records(
        schema,
        derived=(Derived("added", "list_sum(numbers)"),),
        control_totals=(ControlTotal("added", "added", "t", "c"),),
    )
    records = [{"numbers": [2**62, 1], "price": price}, {"numbers": [2**62 - 2, 2**62], "price": 1}]
    data = b"".join(orjson.dumps(record) + b"\n" for record in records)
    counts = validate(data, tmp_path, contract=contract)
    assert counts["rejected_by_reason"] == {}
    assert counts["control_totals"] == {"added": str(3 * 2**62 - 1)}
