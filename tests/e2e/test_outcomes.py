"""What becomes of a file, from the bucket to the tables, on the embedded AWS through the real Terraform."""

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from msgspec import structs

from functions.common.batch import Batch, run_key
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.inspect import executions as monitor
from pipeline.inspect import logs
from pipeline.run import runs
from tests.e2e.conftest import CHUNK_BYTES, Pipeline, wait_for

NORTHWIND = Path(__file__).parents[1] / "data" / "northwind_orders.jsonl"
LINES = NORTHWIND.read_bytes().splitlines()


def query(path: Path, sql: str) -> tuple:
    row = duckdb.sql(f"SELECT {sql} FROM read_parquet('{path}')").fetchone()
    assert row is not None
    return row


def comparable(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV without the columns that name the batch."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("batch_id", "ingested_at")} for row in csv.DictReader(file)]


def test_northwind_matches_every_known_figure(pipeline: Pipeline) -> None:
    outcome = pipeline.run(NORTHWIND.read_bytes(), "northwind.jsonl")
    tables = pipeline.tables(outcome)
    assert outcome.manifest is not None
    assert structs.asdict(outcome.manifest.counts) == {
        "received": 830,
        "valid": 830,
        "rejected": 0,
        "superseded": 0,
        "published": 830,
    }
    assert outcome.manifest.control_totals["total_amount"].published == "1330735.98"
    sums = "count(*), sum(shipping_cost), sum(total_amount)"
    assert query(tables["orders.parquet"], sums) == (830, Decimal("64942.69"), Decimal("1330735.98"))
    assert query(tables["customers.parquet"], "count(*), count(DISTINCT customer_id)") == (89, 89)
    sums = "count(*), sum(quantity), sum(quantity * unit_price)"
    assert query(tables["items.parquet"], sums) == (2155, Decimal(51317), Decimal("1354458.59"))
    customer = "any_value(name) FILTER (customer_id = 'TOMSP'), any_value(city) FILTER (customer_id = 'TOMSP')"
    assert query(tables["customers.parquet"], customer) == ("Toms Spezialitäten", "Münster")
    assert pipeline.notices(outcome.upload.batch_id, expected=0, seconds=0) == []
    assert outcome.line().endswith(
        "received=830 published=830 rejected=0 superseded=0 orders=830 customers=89 items=2155"
    )


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


def test_good_orders_are_published_and_bad_ones_accounted_for(pipeline: Pipeline) -> None:
    bad = [
        b'{"order_id": "half an order',
        LINES[0].replace(b'"total_amount":472.38', b'"total_amount":472.39'),
        LINES[1].replace(b'"country":"DE"', b'"country":"Germany"'),
    ]
    outcome = pipeline.run(b"\n".join(LINES[10:60] + bad + LINES[60:110]), "mixed.jsonl")
    assert outcome.manifest is not None
    assert structs.asdict(outcome.manifest.counts) == {
        "received": 103,
        "valid": 100,
        "rejected": 3,
        "superseded": 0,
        "published": 100,
    }
    rejects = [json.loads(line) for line in pipeline.tables(outcome)["rejects.jsonl"].read_text().splitlines()]
    assert [reject["reason"] for reject in rejects] == ["not_json", "total_mismatch", "not_an_allowed_value"]
    assert rejects[2]["errors"][0]["pointer"] == "/customer/address/country"
    assert "Germany" not in json.dumps(rejects[2]["errors"]), "a reason must never quote a value"
    [notice] = pipeline.notices(outcome.upload.batch_id, expected=1)
    assert "3 of its 103 records" in notice["Message"]


@pytest.mark.parametrize(
    ("data", "name", "dataset", "error"),
    [
        (b"[" + b",".join(LINES[:3]), "truncated.json", "orders", "MalformedDocumentError"),
        (b"\n".join([b"{}"] * 5), "hopeless.jsonl", "orders", "NoValidRecordsError"),
        (b"\n".join([*LINES[:5], b"{}", b"{}"]), "half.jsonl", "orders", "TooManyRejectsError"),
        (b"", "empty.json", "orders", "EmptyFileError"),
        (LINES[0], "order.xml", "orders", "UnsupportedFormatError"),
        (LINES[0], "order.json", "invoices", "UnknownDatasetError"),
    ],
)
def test_a_hopeless_file_fails_with_its_record_and_one_notice(
    pipeline: Pipeline, data: bytes, name: str, dataset: str, error: str
) -> None:
    outcome = pipeline.run(data, name, dataset)
    assert not outcome.published
    assert outcome.manifest is None
    assert outcome.failure is not None, "the failure record is missing"
    assert outcome.failure.error == error
    assert outcome.failure.source.key == f"incoming/{dataset}/{name}"
    assert outcome.failure.next_step
    assert "Traceback" not in outcome.cause
    assert outcome.line().startswith(f"FAILED dataset={dataset} batch={outcome.upload.batch_id} error={error} cause=")
    [notice] = pipeline.notices(outcome.upload.batch_id, expected=1)
    assert error in notice["Message"]
    assert outcome.failure.next_step in notice["Message"]
    if error in ("NoValidRecordsError", "TooManyRejectsError"):
        assert outcome.failure.rejects_key
        key = outcome.failure.rejects_key
        assert read_document(pipeline.place, Manifest, key.replace(".jsonl", ".none")) is None
        body = (
            pipeline.place.s3().get_object(Bucket=pipeline.place.outputs()["processed_bucket"], Key=key)["Body"].read()
        )
        assert body.count(b"\n") == data.count(b"{}")


@pytest.mark.parametrize(
    ("data", "name", "status"),
    [(b"\n".join(LINES[:20]), "priced.jsonl", "SUCCEEDED"), (b"[", "priced.json", "FAILED")],
)
def test_every_run_has_a_record_of_its_cost(pipeline: Pipeline, data: bytes, name: str, status: str) -> None:
    outcome = pipeline.run(data, name)
    key = run_key("orders", outcome.upload.batch_id, outcome.upload.batch_id)
    wait_for(lambda: read_document(pipeline.place, RunRecord, key) is not None, f"the run record {key}")
    record = read_document(pipeline.place, RunRecord, key)
    assert record is not None
    assert (record.status, record.bytes.source) == (status, len(data))
    costs = [Decimal(line.quantity) * Decimal(line.price) for line in record.cost]
    assert costs == [Decimal(line.usd) for line in record.cost]
    assert sum(costs) == Decimal(record.usd) > 0
    steps = record.steps
    assert steps["ProcessChunks"].measured == "span", "the emulator shows a Map's inside; update docs/reference/cost.md"
    assert steps["ProcessChunks"].tries == (2 if status == "SUCCEEDED" else 1)
    assert ("Write" in steps, "RecordFailure" in steps) == (status == "SUCCEEDED", status == "FAILED")
    billed = sum(step.billed_ms for step in steps.values() if step.measured != "assumed")
    assert 0 < billed / 1000 <= outcome.seconds + 1
    lines = logs.logs(pipeline.place, datetime.now(UTC) - timedelta(minutes=5), 10_000).lines
    told = [line for line in lines if line.function == "record_run" and line.fields["batch_id"] == record.batch_id]
    assert told[-1].fields["usd"] == record.usd


def test_an_order_twice_in_a_file_is_superseded_once(pipeline: Pipeline) -> None:
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


def test_keys_with_odd_characters_work(pipeline: Pipeline) -> None:
    outcome = pipeline.run(LINES[0], "a b+c%20d ü €.json")
    assert outcome.published, outcome.line()
    assert outcome.manifest is not None
    assert outcome.manifest.source.key == "incoming/orders/a b+c%20d ü €.json"


def test_the_monitor_shows_runs_and_structured_logs(pipeline: Pipeline) -> None:
    outcome = pipeline.run(LINES[0], "seen.json")

    def shown_run() -> monitor.Run:
        return next(run for run in monitor.recent_runs(pipeline.place, 100) if run.name == outcome.upload.batch_id)

    wait_for(lambda: shown_run().usd != "", "the run's cost")
    shown = shown_run()
    assert Decimal(shown.usd) > 0
    assert (shown.status, shown.counts["published"]) == ("SUCCEEDED", 1)
    since = datetime.now(UTC) - timedelta(minutes=10)

    def speakers() -> set[str]:
        lines = logs.logs(pipeline.place, since, 10_000).lines
        return {line.function for line in lines if outcome.upload.batch_id in str(line.fields)}

    speaking = {"starter", "validate", "transform", "write", "record_run"}
    if speakers() != speaking:  # the embedded AWS may write what a call says at its end at the next call only
        pipeline.run(LINES[1], "after.json")
    wait_for(lambda: speakers() == speaking, "a line of each function")
