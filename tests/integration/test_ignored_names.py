"""Files that the contract ignores are not data: nothing starts them, and `explain` names the pattern."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from functions.common.config import CONTRACTS
from functions.reconciler import index as reconciler
from pipeline.inspect import explain_commands
from pipeline.recover import commands as recovery_commands
from tests import harness
from tests.integration.deployed import Place, run_command, use_place
from tests.integration.test_index import s3_put
from tests.unit.orders import lines, order

GOOD = lines([order()])
NAMES = {
    "_SUCCESS": "_*",
    "_temporary/0/part-0.json": "_*",
    ".hidden.json": ".*",
    "2026/manifest-summary.json": "manifest-*.json",
}
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    folder = Path(shutil.copytree(CONTRACTS / "orders", tmp_path / "orders"))
    contract = json.loads((folder / "contract.json").read_text())
    (folder / "contract.json").write_text(json.dumps({**contract, "input": {"ignore": ["manifest-*.json"]}}))
    harness.set_environment(monkeypatch, CONTRACTS=str(tmp_path))
    place = Place()
    monkeypatch.setattr(place.runtime, "contracts", tmp_path)
    use_place(place, monkeypatch, explain_commands, recovery_commands)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its exit status and all that it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        status, out, err = run_command(monkeypatch, capsys, *arguments)
        return status, " ".join((out + err).split())

    return run


@pytest.mark.parametrize("name", NAMES)
def test_an_ignored_file_is_counted_and_nothing_else(
    name: str, place: Place, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    source = place.upload(GOOD, name).source
    outcome = place.functions.handlers["starter"](s3_put(source.key, source.version_id))
    assert outcome == {"started": 0, "known": 0, "ignored": 1}
    assert '"FilesIgnored":[1.0]' in capsys.readouterr().out
    found = reconciler.handler({"grace_minutes": 0, "since_hours": 1})
    assert not any(found.values())
    assert run("backfill", "--apply")[0] == 0
    assert run("reconcile", "--grace", "0m")[0] == 0
    assert place.step_functions().started == []
    assert harness.keys() == []


@pytest.mark.parametrize("name", NAMES)
def test_explain_names_the_pattern_and_its_advice_works(name: str, place: Place, run: Run) -> None:
    batch = place.upload(GOOD, name if name.endswith("json") else f"{name}/x.jsonl")
    status, said = run("explain", batch.source.key)
    assert status == 0
    assert f"matches the pattern {NAMES[name]}" in said
    assert f"pipeline replay {batch.batch_id} --apply" in said
    assert run("replay", batch.source.key, "--apply")[0] == 0
    assert place.step_functions().started == [batch.batch_id]
    assert "matches the pattern" not in run("explain", batch.source.key)[1], "what has traces is not ignored"
