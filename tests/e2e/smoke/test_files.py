"""Files and how they end: tables, rejects, records, notifications, duplicates, logs, metrics."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from msgspec import structs

from functions.common.batch import run_key
from functions.common.documents.run_record import RunRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.inspect.executions import recent_runs
from pipeline.inspect.logs import logs
from pipeline.run import runs
from tests.e2e.conftest import event_of
from tests.e2e.northwind import BAD, HOPELESS, MIXED, NORTHWIND
from tests.e2e.outcomes import assert_failed
from tests.e2e.smoke.trial import Trial

LOGGING = {"starter", "validate", "transform", "write", "record_run"}
"""The functions that a file passes which is published."""


@pytest.mark.check("a good file")
def test_all_of_a_good_file_is_published(trial: Trial, found: Callable[[str], None]) -> None:
    """Northwind matches every known figure, and each output is there as the manifest says."""
    good = trial.good()
    assert counts(good) == {"received": 830, "valid": 830, "rejected": 0, "superseded": 0, "published": 830}
    assert good.manifest is not None
    assert good.manifest.control_totals["total_amount"].published == "1330735.98"
    assert good.line().endswith("received=830 published=830 rejected=0 superseded=0 orders=830 customers=89 items=2155")
    folder = trial.folder / "good"
    runs.download_outputs(trial.place, good, folder)
    sums = "count(*), sum(shipping_cost), sum(total_amount)"
    assert figures(folder / "orders.parquet", sums) == (830, Decimal("64942.69"), Decimal("1330735.98"))
    assert figures(folder / "customers.parquet", "count(*), count(DISTINCT customer_id)") == (89, 89)
    sums = "count(*), sum(quantity), sum(quantity * unit_price)"
    assert figures(folder / "items.parquet", sums) == (2155, Decimal(51317), Decimal("1354458.59"))
    customer = "any_value(name) FILTER (customer_id = 'TOMSP'), any_value(city) FILTER (customer_id = 'TOMSP')"
    assert figures(folder / "customers.parquet", customer) == ("Toms Spezialitäten", "Münster")
    outputs = verified_outputs(trial, good)
    assert trial.notifications(good.upload.batch_id) == []
    found(f"830 orders published, {outputs} outputs as the manifest says")


@pytest.mark.check("a mixed file")
def test_good_orders_are_published_and_bad_ones_rejected(trial: Trial, found: Callable[[str], None]) -> None:
    mixed = trial.mixed()
    assert counts(mixed) == {"received": 103, "valid": 100, "rejected": 3, "superseded": 0, "published": 100}
    rejects = [json.loads(line) for line in rejected(trial, mixed).splitlines()]
    reasons = [reject["reason"] for reject in rejects]
    assert reasons == ["not_json", "total_mismatch", "not_an_allowed_value"]
    assert rejects[2]["errors"][0]["pointer"] == "/customer/address/country"
    assert "Germany" not in json.dumps(rejects[2]["errors"]), "a reason must never quote a value"
    verified_outputs(trial, mixed)
    [notification] = notifications(trial, mixed)
    assert f"{len(BAD)} of its 103 records" in notification
    found(f"100 orders published, {len(BAD)} rejected ({', '.join(reasons)}), one notification")


@pytest.mark.check("a hopeless file")
def test_a_file_without_an_order_fails(trial: Trial, found: Callable[[str], None]) -> None:
    """It leaves a failure record, its rejects and one notification, and publishes nothing."""
    hopeless = trial.hopeless()
    assert hopeless.error == "NoValidRecordsError"
    assert_failed(hopeless, "NoValidRecordsError", notifications(trial, hopeless))
    assert rejected(trial, hopeless).count(b"\n") == HOPELESS.count(b"\n")
    found("failed with NoValidRecordsError, a failure record, its rejects and one notification")


@pytest.mark.check("a duplicate event")
def test_the_event_of_a_known_file_starts_nothing(trial: Trial, found: Callable[[str], None]) -> None:
    uploaded = trial.good().upload
    answer = trial.place.client("lambda").invoke(
        FunctionName=trial.place.outputs()["function_names"]["starter"],
        Qualifier="live",
        Payload=event_of(uploaded, size=1),
    )
    assert json.loads(answer["Payload"].read()) == {"started": 0, "known": 1, "ignored": 0}
    machine = trial.place.outputs()["state_machine_arn"]
    paginator = trial.place.step_functions().get_paginator("list_executions")
    pages = paginator.paginate(stateMachineArn=machine, PaginationConfig={"PageSize": 1000})
    names = [run["name"] for page in pages for run in page["executions"] if run["name"].startswith(uploaded.batch_id)]
    assert names == [uploaded.batch_id]
    found("known, and nothing started")


@pytest.mark.check("records of what runs cost")
def test_every_run_has_a_record_of_its_cost(trial: Trial, found: Callable[[str], None]) -> None:
    """EventBridge reports every end, and the record of what the run cost adds up."""
    total = Decimal(0)
    for ended, size in zip(trial.outcomes(), (NORTHWIND.stat().st_size, len(MIXED), len(HOPELESS)), strict=True):
        record = record_of(trial, ended)
        failed = bool(ended.error)
        assert (record.status, record.bytes.source) == ("FAILED" if failed else "SUCCEEDED", size), ended.upload.key
        assert ("RecordFailure" in record.steps) == failed, ended.upload.key
        costs = [Decimal(line.quantity) * Decimal(line.price) for line in record.cost]
        assert costs == [Decimal(line.usd) for line in record.cost]
        assert sum(costs) == Decimal(record.usd) > 0
        total += Decimal(record.usd)
    found(f"{len(trial.outcomes())} runs, {total:.6f} USD")


@pytest.mark.check("structured logs")
def test_each_function_that_has_seen_a_file_says_so_in_its_log(trial: Trial, found: Callable[[str], None]) -> None:
    batch, since = trial.good().upload.batch_id, datetime.now(UTC) - timedelta(hours=1)
    usd = record_of(trial, trial.good()).usd

    def logging() -> set[str]:
        return {line.function for line in logs(trial.place, since, 1000, batch)}

    trial.wait_for(lambda: logging() >= LOGGING, f"lines of {', '.join(sorted(LOGGING))} about {batch}")
    assert logging() - {"reconciler"} == LOGGING
    lines = [line for line in logs(trial.place, since, 1000, batch) if line.function == "record_run"]
    assert lines[-1].fields["usd"] == usd
    found(f"of {', '.join(sorted(logging()))}")


@pytest.mark.check("recent runs")
def test_the_list_of_runs_shows_what_a_file_has_cost(trial: Trial, found: Callable[[str], None]) -> None:
    good = trial.good()

    def shown() -> list[tuple[str, int, bool]]:
        listed = [run for run in recent_runs(trial.place, 100) if run.name == good.upload.batch_id]
        return [(run.status, run.counts["published"], Decimal(run.usd or 0) > 0) for run in listed]

    trial.wait_for(lambda: shown() == [("SUCCEEDED", 830, True)], "the run with its cost")
    found("succeeded, 830 orders, with its cost")


@pytest.mark.check("metrics", not_local="makes no metrics of what functions log")
def test_metrics_arrive_where_the_alarms_look_for_them(trial: Trial, found: Callable[[str], None]) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    good = trial.good()

    def published() -> float:
        answer = trial.place.client("cloudwatch").get_metric_statistics(
            Namespace=trial.place.outputs()["name"],
            MetricName="RecordsReceived",
            Dimensions=[{"Name": "service", "Value": "write"}, {"Name": "dataset", "Value": good.upload.dataset}],
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=5),
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    trial.wait_for(lambda: published() >= 830, "the metric RecordsReceived")
    found("RecordsReceived has arrived")


def counts(ended: runs.RunResult) -> dict[str, int]:
    """The counts of a published batch."""
    assert ended.manifest is not None, ended.line()
    assert not ended.error, ended.line()
    counted: dict[str, int] = structs.asdict(ended.manifest.counts)
    return counted


def figures(path: Path, sql: str) -> tuple[object, ...]:
    """One row of a published table."""
    row = duckdb.sql(f"SELECT {sql} FROM read_parquet('{path}')").fetchone()
    assert row is not None
    return row


def verified_outputs(trial: Trial, ended: runs.RunResult) -> int:
    """How many outputs a manifest names; fail unless each is there with its size and SHA-256."""
    outputs = ended.manifest.outputs if ended.manifest else []
    for output in outputs:
        head = trial.place.s3().head_object(Bucket=trial.place.outputs()["processed_bucket"], Key=output.key)
        stored = (head["ContentLength"], head["Metadata"].get("sha256"))
        assert stored == (output.bytes, output.sha256), output.key
    return len(outputs)


def rejected(trial: Trial, ended: runs.RunResult) -> bytes:
    """The lines of the rejects of a file."""
    assert ended.rejects_key, "no rejects are named"
    bucket = trial.place.outputs()["processed_bucket"]
    return trial.place.s3().get_object(Bucket=bucket, Key=ended.rejects_key)["Body"].read()


def notifications(trial: Trial, ended: runs.RunResult) -> list[str]:
    """The notifications about a batch: waits for one, and a moment longer for one too many."""
    batch = ended.upload.batch_id
    trial.wait_for(lambda: bool(trial.notifications(batch)), f"a notification about {batch}")
    time.sleep(1)
    return trial.notifications(batch)


def record_of(trial: Trial, ended: runs.RunResult) -> RunRecord:
    """The record of what a run cost, which comes after its end."""
    batch = ended.upload.batch_id
    key = run_key(ended.upload.dataset, batch, batch)
    trial.wait_for(lambda: read_document(trial.place, RunRecord, key) is not None, f"the run record {key}")
    record = read_document(trial.place, RunRecord, key)
    assert record is not None, f"{key} is not there any more"
    return record
