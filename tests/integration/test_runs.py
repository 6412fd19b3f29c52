"""The outputs of a run on the workstation."""

import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from functions.common import s3_utils
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunRecord
from pipeline import console as show
from pipeline.console.files import check_input
from pipeline.contract import validate_command
from pipeline.errors import UsageError
from pipeline.run import runs
from pipeline.run import show as run_show
from tests import documents, harness
from tests.integration.test_cli import UPLOAD

TABLES = {name: documents.published_table(name) for name in ("orders", "items")}


class Bucket:
    """A processed bucket in which each object contains its own key."""

    def download_file(self, _bucket: str, key: str, path: str) -> None:
        Path(path).write_text(key)


PLACE: Any = SimpleNamespace(s3=Bucket, outputs=lambda: {"processed_bucket": "out"})


def published(rejects: str | None) -> runs.RunResult:
    manifest = documents.manifest(tables=TABLES, rejects=documents.published_file(rejects) if rejects else None)
    return runs.RunResult(UPLOAD, 1.0, manifest, None)


def failed(rejects: str | None) -> runs.RunResult:
    failure = documents.failure_record(rejects=f"s3://out/{rejects}" if rejects else None)
    return runs.RunResult(UPLOAD, 1.0, None, failure, "NoValidRecordsError", "all")


def left(folder: Path, outcome: runs.RunResult) -> set[str]:
    runs.download_outputs(PLACE, outcome, folder)
    return {path.name for path in folder.iterdir()}


def test_the_outputs_of_a_published_run_are_tables_rejects_and_manifest(tmp_path: Path) -> None:
    tables = {"orders.csv", "orders.parquet", "items.csv", "items.parquet", "manifest.json"}
    assert left(tmp_path, published(None)) == tables
    assert left(tmp_path, published("rejected/1.jsonl")) == tables | {"rejects.jsonl"}
    assert Manifest.read((tmp_path / "manifest.json").read_bytes(), "manifest.json").tables == TABLES
    assert (tmp_path / "orders.csv").read_text() == "processed/orders.csv"


def test_the_outputs_of_a_failed_run_are_its_record_and_rejects(tmp_path: Path) -> None:
    assert left(tmp_path, failed("rejected/1.jsonl")) == {"failure.json", "rejects.jsonl"}
    assert (tmp_path / "rejects.jsonl").read_text() == "rejected/1.jsonl"
    assert left(tmp_path, failed(None)) == {"failure.json"}


def test_outputs_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("not the pipeline's")
    left(tmp_path, published("rejected/1.jsonl"))
    (tmp_path / runs.REPORT).write_text("of the run before")
    assert left(tmp_path, failed(None)) == {"failure.json", "mine.csv"}


def test_the_wait_for_the_cost_ends_with_the_record_or_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    keys_read: list[str] = []

    def read(_place: Any, _kind: Any, key: str) -> RunRecord | None:
        keys_read.append(key)
        return documents.run_record() if len(keys_read) == 3 else None

    monkeypatch.setattr(runs, "read_document", read)
    monkeypatch.setattr(runs, "_POLL_SECONDS", {"local": 0.001})
    place: Any = SimpleNamespace(name="local")
    runs.await_cost(place, UPLOAD, 10)
    assert keys_read == [f"runs/{UPLOAD.dataset}/{UPLOAD.batch_id}/{UPLOAD.batch_id}.json"] * 3
    runs.await_cost(place, UPLOAD, 0)
    assert len(keys_read) == 4, "without time it looks only once"


# --- input ------------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_reported_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file") as raised:
        check_input(tmp_path / "nowhere", "pipeline validate path/to/orders.jsonl")
    assert raised.value.next_step == "Give the path of a file: pipeline validate path/to/orders.jsonl."


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(force_terminal=request.param, file=StringIO(), width=120)
    monkeypatch.setattr(show, "err", console)
    return console


def shown(screen: Console) -> str:
    assert isinstance(screen.file, StringIO)
    return screen.file.getvalue()


@pytest.mark.parametrize("size", [0, 3 << 20])
def test_an_upload_has_a_progress_bar_on_a_terminal(aws: None, tmp_path: Path, screen: Console, size: int) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(bytes(range(256)) * (size // 256))
    outputs = {"ingest_bucket": harness.INGEST, "state_machine_arn": "arn:aws:states:x:1:stateMachine:x"}
    place: Any = SimpleNamespace(s3=s3_utils.client, outputs=lambda: outputs)
    uploaded = runs.upload(place, path, "orders")
    stored = place.s3().get_object(Bucket=harness.INGEST, Key="incoming/orders/x.jsonl", VersionId=uploaded.version_id)
    assert stored["Body"].read() == path.read_bytes()
    assert ("uploading" in shown(screen), f"{size / 1e6:.1f}/" in shown(screen)) == (
        screen.is_terminal,
        screen.is_terminal and size > 0,
    )


def test_the_progress_bar_names_the_step_after_reading(tmp_path: Path, screen: Console) -> None:
    """For a gzip file, most of the time is spent after reading."""
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(b"x" * 100)
    with validate_command._reading(path) as on_read:
        on_read(99)
        before = shown(screen)
        on_read(100)
        on_read(50)
    assert "creating the tables" not in before
    assert ("creating the tables" in shown(screen)) == screen.is_terminal


@pytest.mark.parametrize(
    ("reasons", "title"),
    [(["superseded", "wrong_type"], "A rejected record"), (["superseded"], "A superseded record")],
)
def test_a_rejected_record_is_shown_before_a_superseded_one(
    reasons: list[str], title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A superseded record is in the same file, but nobody has to act on it."""
    rejects = [{"reason": one, "position_kind": "byte", "position": 0, "errors": [{"message": one}]} for one in reasons]
    path = tmp_path / "rejects.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rejects), "utf-8")
    run_show.first_reject(path)
    printed = capsys.readouterr().out
    assert title in printed
    assert f"{reasons[-1]}, at byte 0" in printed
