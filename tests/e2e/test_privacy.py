"""No personal data leaves the buckets: marked records are processed, and no log or notification contains a mark."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from functions.common.batch import run_key
from functions.common.documents.run_record import RunRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.run import runs
from tests.e2e.conftest import Pipeline, wait_for
from tests.e2e.northwind import LINES

MARK = "Zyxwv"
ERASED = "CUSTOMER-TO-FORGET"
MARKED = re.compile(r"Zyxwv|4815162342|zyxwv", re.IGNORECASE)


def marked(value: Any, name: str = "") -> Any:
    """A record with a mark in every free-text field, and in the digits of its numbers."""
    if isinstance(value, dict):
        return {key: marked(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [marked(member, name) for member in value]
    if isinstance(value, str) and name in {"name", "street", "city", "region", "sku", "product_id", "product_name"}:
        return f"{MARK} {value}"
    if name == "email":
        return f"{MARK}@example.com"
    if name in {"order_id", "customer_id"}:
        return f"{MARK}{value}"
    return value


def files() -> dict[str, bytes]:
    """Files for every outcome, with marks in valid and invalid values."""
    good = [json.dumps(marked(json.loads(line))).encode() for line in LINES[:30]]
    wrong = [
        b'{"order_id": "Zyxwv half',
        good[0].replace(b'"total_amount": 472.38', b'"total_amount": 4815162342'),
        good[1].replace(b'"country": "DE"', b'"country": "Zyxwv"'),
        good[2].replace(b'"order_id"', b'"Zyxwv_id"'),
    ]
    return {
        "marked good.jsonl": b"\n".join([*good, good[0]]),
        "marked mixed.jsonl": b"\n".join([*good, *wrong[:3]]),
        "marked hopeless.jsonl": b"\n".join(wrong),
        "marked broken.json": b"[" + b",".join(good) + b', {"Zyxwv": "Zyxwv"',
        "marked envelope.json": json.dumps({"records": [json.loads(line) for line in good]}).encode(),
        "marked.jsonl.gz": b"\x1f\x8bZyxwv",
        "marked latin.json": json.dumps([{"name": "Zyxwv ü"}], ensure_ascii=False).encode("latin-1"),
    }


def test_logs_histories_and_notifications_contain_no_record_values(pipeline: Pipeline) -> None:
    outcomes = {name: pipeline.run(data, name) for name, data in files().items()}
    assert {name: outcome.published for name, outcome in outcomes.items()} == {
        name: name in ("marked good.jsonl", "marked mixed.jsonl") for name in outcomes
    }
    recorded = everything_recorded(pipeline, list(outcomes.values()))
    for place, text in recorded.items():
        assert text, f"nothing was written to {place}: this test checks nothing there"
        text = re.sub(r'"drift": ?\[[^]]*\]', "", text)  # drift names unknown fields by design
        if found := MARKED.search(text):
            around = text[max(0, found.start() - 200) : found.end() + 200]
            raise AssertionError(f"{place} holds what a record holds: …{around}…")
    kept = rejects_and_tables(pipeline, outcomes["marked mixed.jsonl"])
    assert all(MARKED.search(text) for text in kept), "rejects and tables do hold it: the marks went through"


def everything_recorded(pipeline: Pipeline, outcomes: list[runs.RunResult]) -> dict[str, str]:
    """Everything that these runs wrote outside of the places that hold records, by place."""
    place = pipeline.place
    for outcome in outcomes:
        key = run_key("orders", outcome.upload.batch_id, outcome.upload.batch_id)
        wait_for(lambda key=key: read_document(place, RunRecord, key) is not None, key)
    recorded = {
        f"the log of {name}": log(pipeline, group) for name, group in place.outputs()["log_group_names"].items()
    }
    for silent in ("state_machine", "reconciler"):  # the state machine logs elsewhere, and the reconciler has not run
        recorded.pop(f"the log of {silent}", None)
    recorded["notifications"] = "\n".join(
        str(notification)
        for outcome in outcomes
        for notification in pipeline.notifications(outcome.upload.batch_id, 0, seconds=1)
    )
    recorded["histories"] = "\n".join(history(pipeline, outcome.upload.execution_arn) for outcome in outcomes)
    for prefix in ("manifests/", "failures/", "runs/"):
        recorded[prefix] = "\n".join(objects(pipeline, prefix, [outcome.upload.batch_id for outcome in outcomes]))
    recorded["counts"] = "\n".join(
        text for text in objects(pipeline, "staging/", [o.upload.batch_id for o in outcomes], "counts.json")
    )
    return recorded


def log(pipeline: Pipeline, group: str) -> str:
    pages = pipeline.place.logs().get_paginator("filter_log_events").paginate(logGroupName=group)
    return "\n".join(event["message"] for page in pages for event in page["events"])


def history(pipeline: Pipeline, arn: str) -> str:
    step_functions = pipeline.place.step_functions()
    pages = step_functions.get_paginator("get_execution_history").paginate(executionArn=arn, includeExecutionData=True)
    described = step_functions.describe_execution(executionArn=arn)
    return str(described) + "".join(str(page["events"]) for page in pages)


def objects(pipeline: Pipeline, prefix: str, batches: list[str], name: str = "") -> list[str]:
    s3, bucket = pipeline.place.s3(), pipeline.place.outputs()["processed_bucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return [
        s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        for key in keys
        if key.endswith(name) and any(batch in key for batch in batches)
    ]


def rejects_and_tables(pipeline: Pipeline, outcome: runs.RunResult) -> list[str]:
    tables = pipeline.tables(outcome)
    return [tables[name].read_text() for name in ("rejects.jsonl", "orders.csv", "customers.csv")]


def test_one_customer_is_erased_as_the_documentation_says(
    pipeline: Pipeline, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """docs/reference/guarantees.md, "One customer's data"."""
    since = datetime.now(UTC).replace(microsecond=0)  # S3's times have no fractions
    orders = [json.loads(line) for line in LINES[:30]]
    orders[0]["customer"]["customer_id"] = ERASED
    with_her = [json.dumps(order).encode() for order in orders]
    outcome = pipeline.run(b"\n".join([*with_her, b'{"order_id": "half, of %s' % ERASED.encode()]), "all.jsonl")
    held = places_of(pipeline, ERASED, tmp_path, since)
    for kind in ("incoming/", "staging/", "rejected/", "processed/", "tables/"):
        assert any(key.startswith(kind) for key in held), (
            f"{kind} does not hold the customer: this test checks nothing there"
        )

    customers = pipeline.tables(outcome)["customers.parquet"]
    found = duckdb.sql(f"SELECT DISTINCT batch_id FROM '{customers}' WHERE customer_id = '{ERASED}'").fetchall()
    assert found == [(outcome.upload.batch_id,)]
    rest = pipeline.run(b"\n".join(with_her[1:]), "without her.jsonl")
    status, recorded = command("erase", outcome.upload.batch_id, "--apply")
    assert status == 0, recorded

    assert places_of(pipeline, ERASED, tmp_path, since) == []
    assert rest.manifest is not None
    assert rest.manifest.counts.published == 29
    status, recorded = command("reconcile", "--since", "1d", "--grace", "0m")
    assert (status, outcome.upload.batch_id in recorded) == (0, False), recorded


def strings_of(path: Path) -> str:
    """All values of a Parquet file as strings: DuckDB needs pytz to return a time with a zone."""
    return str(duckdb.sql(f"SELECT CAST(row AS VARCHAR) FROM read_parquet('{path}') AS row").fetchall())


def places_of(pipeline: Pipeline, text: str, folder: Path, since: datetime) -> list[str]:
    """The keys in both buckets that have a version since then with a string in it."""
    found, path = [], folder / "object"
    for bucket in (pipeline.place.outputs()["ingest_bucket"], pipeline.place.outputs()["processed_bucket"]):
        pages = pipeline.place.s3().get_paginator("list_object_versions").paginate(Bucket=bucket)
        versions = (version for page in pages for version in page.get("Versions", []))
        for version in (version for version in versions if version["LastModified"] >= since):
            key = version["Key"]
            body = pipeline.place.s3().get_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])["Body"]
            path.write_bytes(body.read())
            is_parquet = path.read_bytes()[:4] == b"PAR1"
            content = strings_of(path) if is_parquet else path.read_text("latin-1")
            if text in content:
                found.append(key)
    return found
