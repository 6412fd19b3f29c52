"""What a run leaves on the workstation."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import runs
from tests.unit.test_cli import UPLOAD

TABLES = {
    name: {"rows": 1, "csv": {"key": f"processed/{name}.csv"}, "parquet": {"key": f"tables/{name}.parquet"}}
    for name in ("orders", "items")
}


class Bucket:
    """A processed bucket in which every key holds its own name."""

    def download_file(self, _bucket: str, key: str, path: str) -> None:
        Path(path).write_text(key)


PLACE: Any = SimpleNamespace(s3=Bucket(), outputs={"processed_bucket": "out"})


def published(rejects: str | None) -> runs.Outcome:
    manifest = {"tables": TABLES, "rejects": {"key": rejects} if rejects else None}
    return runs.Outcome(UPLOAD, 1.0, manifest, None)


def failed(rejects: str | None) -> runs.Outcome:
    failure = {"error": "NoValidRecordsError", "rejects": f"s3://out/{rejects}" if rejects else None}
    return runs.Outcome(UPLOAD, 1.0, None, failure, "NoValidRecordsError", "all")


def left(folder: Path, outcome: runs.Outcome) -> set[str]:
    runs.download_outputs(PLACE, outcome, folder)
    return {path.name for path in folder.iterdir()}


def test_a_published_run_leaves_its_tables_and_rejects(tmp_path: Path) -> None:
    tables = {"orders.csv", "orders.parquet", "items.csv", "items.parquet", "manifest.json"}
    assert left(tmp_path, published(None)) == tables
    assert left(tmp_path, published("rejected/1.jsonl")) == tables | {"rejects.jsonl"}
    assert json.loads((tmp_path / "manifest.json").read_text())["tables"] == TABLES
    assert (tmp_path / "orders.csv").read_text() == "processed/orders.csv"


def test_a_failed_run_leaves_its_record_and_the_rejects_that_it_names(tmp_path: Path) -> None:
    assert left(tmp_path, failed("rejected/1.jsonl")) == {"failure.json", "rejects.jsonl"}
    assert (tmp_path / "rejects.jsonl").read_text() == "rejected/1.jsonl"
    assert left(tmp_path, failed(None)) == {"failure.json"}


def test_nothing_of_the_run_before_is_shown_as_this_one_s(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("not the pipeline's")
    left(tmp_path, published("rejected/1.jsonl"))
    (tmp_path / runs.REPORT).write_text("of the run before")
    assert left(tmp_path, failed(None)) == {"failure.json", "mine.csv"}


def test_the_cost_is_awaited_until_it_is_there_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(_: Any, key: str) -> dict[str, Any] | None:
        asked.append(key)
        return {"usd": "1"} if len(asked) == 3 else None

    monkeypatch.setattr(runs, "read_json", read)
    monkeypatch.setattr(runs, "_POLL_SECONDS", {"local": 0.001})
    place: Any = SimpleNamespace(name="local")
    runs.await_cost(place, UPLOAD, 10)
    assert asked == [f"runs/{UPLOAD.dataset}/{UPLOAD.batch_id}/{UPLOAD.batch_id}.json"] * 3
    runs.await_cost(place, UPLOAD, 0)
    assert len(asked) == 4, "the time was up at once"
