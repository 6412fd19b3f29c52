"""Only an empty object marks a folder. An object with content whose key ends in `/` has an outcome like any other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.config import CONTRACTS
from functions.common.contract import load_contract
from functions.common.errors import ContractError
from functions.common.planning import dataset_of, is_folder_marker
from functions.starter.events import objects_created
from pipeline.inspect import explain_commands
from pipeline.recover import commands as recovery_commands
from tests import harness
from tests.integration.deployed import Place, run_command, use_place
from tests.integration.test_index import event, s3_put
from tests.unit.orders import lines, order

GOOD = lines([order()])
KEY = "incoming/orders/folder/"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    use_place(place, monkeypatch, explain_commands, recovery_commands)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its exit status and output."""

    def run(*arguments: str) -> tuple[int, str]:
        status, out, err = run_command(monkeypatch, capsys, *arguments)
        return status, out + err

    return run


def uploaded(place: Place) -> Batch:
    return place.upload(GOOD, "folder/")


def error_of(batch: Batch) -> str:
    """The error in the failure record of a batch's first execution."""
    record = harness.get(batch.failure_key(batch.batch_id))
    return "UnsupportedFormatError" if b'"error":"UnsupportedFormatError"' in record else record.decode()


@pytest.mark.parametrize(
    ("key", "size", "marks"),
    [("a/", 0, True), ("a/", 1, False), ("a", 0, False), ("a.jsonl/", 0, True), ("a.jsonl", 0, False)],
)
def test_an_empty_object_whose_key_ends_in_a_slash_marks_a_folder(key: str, size: int, marks: bool) -> None:
    assert is_folder_marker(key, size) is marks


def test_the_starter_reads_the_size_in_the_event() -> None:
    sent = s3_put(KEY, "v1")
    assert [created.is_folder for created in objects_created(sent)] == [False]
    sent["Records"][0]["s3"]["object"]["size"] = 0
    assert [created.is_folder for created in objects_created(sent)] == [True]
    assert any(created.is_folder for created in objects_created(event("s3_several_records")))


def test_an_object_with_content_is_started_and_fails_with_a_record(place: Place) -> None:
    batch = uploaded(place)
    place.functions.handlers["starter"](s3_put(KEY, batch.source.version_id))
    assert place.step_functions().started == [batch.batch_id]
    assert error_of(batch) == "UnsupportedFormatError"


def test_reconcile_and_backfill_find_an_object_with_content(place: Place, run: Run) -> None:
    batch = uploaded(place)
    harness.upload(b"", "", "incoming/orders/empty/")
    status, printed = run("reconcile", "--grace", "0m")
    assert (status, f"missing: {batch.batch_id}" in printed, "1 file:" in printed) == (1, True, True)
    status, printed = run("backfill", "--apply")
    assert (status, "UnsupportedFormatError" in printed) == (1, True)
    assert error_of(batch) == "UnsupportedFormatError"
    status, printed = run("reconcile", "--grace", "0m")
    assert (status, "1 failed" in printed) == (0, True)


def test_the_advice_of_explain_for_an_object_with_content_works(place: Place, run: Run) -> None:
    batch = uploaded(place)
    for what in (KEY, batch.batch_id):
        status, printed = run("explain", what)
        assert (status, "NOT STARTED" in printed) == (0, True), printed
        assert f"pipeline replay {batch.batch_id} --apply" in printed
    for replayed in (batch.batch_id, KEY):
        assert "UnsupportedFormatError" in run("replay", replayed, "--apply")[1]
    status, printed = run("explain", KEY)
    assert "UnsupportedFormatError" in printed
    assert "Give it the extension .json" in printed


def test_explain_calls_an_empty_object_a_folder_marker(place: Place, run: Run) -> None:
    harness.upload(b"", "", KEY)
    status, printed = run("explain", KEY)
    assert (status, "marks a folder" in printed) == (2, True), printed


def test_an_object_with_content_can_be_erased(place: Place, run: Run) -> None:
    batch = uploaded(place)
    place.start(batch)
    assert run("erase", batch.batch_id, "--apply")[0] == 0
    assert s3_utils.storage().head(harness.INGEST, KEY, batch.source.version_id) is None
    assert harness.keys("failures/") == []


def test_no_dataset_can_have_the_name_for_files_outside_of_all_datasets(tmp_path: Path) -> None:
    """Otherwise `incoming/x.json`, which is outside of every dataset's folder, would be published as its data."""
    shutil.copytree(CONTRACTS / "orders", tmp_path / "unknown")
    contract = tmp_path / "unknown" / "contract.json"
    contract.write_text(contract.read_text("utf-8").replace('"dataset": "orders"', '"dataset": "unknown"'))
    with pytest.raises(ContractError, match="a dataset can't be called unknown"):
        load_contract(dataset_of("incoming/x.json"), tmp_path)
