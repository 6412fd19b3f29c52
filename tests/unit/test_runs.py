"""What a run leaves on the workstation."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    assert left(tmp_path, failed(None)) == {"failure.json", "mine.csv"}
