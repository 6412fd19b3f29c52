"""The outcomes of files on the embedded AWS, from bucket to tables; smoke/test_files.py has those tested on AWS too."""

import csv
import gzip
import json
from pathlib import Path

import pytest
from msgspec import structs

from functions.common.batch import Batch, run_key
from functions.common.documents.run_record import RunRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.run import runs
from tests.e2e.conftest import CHUNK_BYTES, Pipeline, wait_for
from tests.e2e.northwind import LINES, NORTHWIND
from tests.e2e.outcomes import assert_failed


def comparable(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV without the columns that name the batch."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("batch_id", "ingested_at")} for row in csv.DictReader(file)]


def test_a_file_in_one_chunk_and_in_many_gives_the_same_tables(pipeline: Pipeline) -> None:
    data = NORTHWIND.read_bytes()
    many = pipeline.run(data, "many.jsonl")
    one = pipeline.run(gzip.compress(data), "one.jsonl.gz")
    assert chunks(pipeline, many) == -(-len(data) // CHUNK_BYTES)
    assert chunks(pipeline, one) == 1
    for name in ("orders.csv", "customers.csv", "items.csv"):
        assert comparable(pipeline.tables(many)[name]) == comparable(pipeline.tables(one)[name]), name


def chunks(pipeline: Pipeline, outcome: runs.RunResult) -> int:
    arn = outcome.upload.execution_arn
    described = pipeline.place.step_functions().describe_execution(executionArn=arn)
    return Batch.from_input(json.loads(described["input"])).chunk_count


@pytest.mark.parametrize(
    ("data", "name", "dataset", "error"),
    [
        (b"[" + b",".join(LINES[:3]), "truncated.json", "orders", "MalformedDocumentError"),
        (b"\n".join([*LINES[:5], b"{}", b"{}"]), "half.jsonl", "orders", "TooManyRejectsError"),
        (b"", "empty.json", "orders", "EmptyFileError"),
        (LINES[0], "order.xml", "orders", "UnsupportedFormatError"),
        (LINES[0], "order.json", "invoices", "UnknownDatasetError"),
    ],
)
def test_a_file_that_fails_leaves_its_record_and_one_notification(
    pipeline: Pipeline, data: bytes, name: str, dataset: str, error: str
) -> None:
    outcome = pipeline.run(data, name, dataset)
    assert outcome.upload.key == f"incoming/{dataset}/{name}"
    notifications = pipeline.notifications(outcome.upload.batch_id, expected=1)
    assert_failed(outcome, error, [notification["Message"] for notification in notifications])
    if error == "TooManyRejectsError":
        assert outcome.failure is not None
        assert outcome.failure.rejects_key
        bucket = pipeline.place.outputs()["processed_bucket"]
        body = pipeline.place.s3().get_object(Bucket=bucket, Key=outcome.failure.rejects_key)["Body"].read()
        assert body.count(b"\n") == data.count(b"{}")


@pytest.mark.parametrize(
    ("data", "name", "status"),
    [(b"\n".join(LINES[:20]), "priced.jsonl", "SUCCEEDED"), (b"[", "priced.json", "FAILED")],
)
def test_a_run_record_has_the_measurements_of_each_step(
    pipeline: Pipeline, data: bytes, name: str, status: str
) -> None:
    outcome = pipeline.run(data, name)
    key = run_key("orders", outcome.upload.batch_id, outcome.upload.batch_id)
    wait_for(lambda: read_document(pipeline.place, RunRecord, key) is not None, f"the run record {key}")
    record = read_document(pipeline.place, RunRecord, key)
    assert record is not None
    steps = record.steps
    assert steps["ProcessChunks"].measured == "span", "the emulator shows a Map's inside; update docs/reference/cost.md"
    assert steps["ProcessChunks"].tries == (2 if status == "SUCCEEDED" else 1)
    assert ("Write" in steps, "RecordFailure" in steps) == (status == "SUCCEEDED", status == "FAILED")
    billed = sum(step.billed_ms for step in steps.values() if step.measured != "assumed")
    assert 0 < billed / 1000 <= outcome.seconds + 1


def test_an_order_that_occurs_twice_in_a_file_is_superseded_once(pipeline: Pipeline) -> None:
    outcome = pipeline.run(b"\n".join([*LINES[:3], LINES[0].replace(b'"shipped"', b'"delivered"')]), "again.jsonl")
    assert outcome.manifest is not None
    assert structs.asdict(outcome.manifest.counts) == {
        "received": 4,
        "valid": 4,
        "rejected": 0,
        "superseded": 1,
        "published": 3,
    }
    tables = pipeline.tables(outcome)
    [reject] = [json.loads(line) for line in tables["rejects.jsonl"].read_text().splitlines()]
    assert (reject["reason"], reject["position"]) == ("superseded", 0)
    assert {row["order_id"]: row["status"] for row in comparable(tables["orders.csv"])}["10248"] == "delivered"


def test_a_file_whose_key_has_unusual_characters_is_published(pipeline: Pipeline) -> None:
    outcome = pipeline.run(LINES[0], "a b+c%20d ü €.json")
    assert outcome.published, outcome.line()
    assert outcome.manifest is not None
    assert outcome.manifest.source.key == "incoming/orders/a b+c%20d ü €.json"
