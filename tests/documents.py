"""Complete examples of the stored documents; tests change any member."""

from typing import Any

from functions.common.batch import Source
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import (
    ByteCounts,
    ControlTotalSums,
    Manifest,
    PublishedFile,
    PublishedTable,
    RecordCounts,
)
from functions.common.documents.run_record import RunBytes, RunCost, RunPrices, RunRecord, RunStep, RunTransitions
from functions.common.pricing.s3_requests import Calls

BATCH = "orders-0123456789abcdef0123456789abcdef"
SOURCE = Source("ingest", "incoming/orders/x.jsonl", "v1", 528_000, "e", "1")


def record_counts(received: int, rejected: int = 0, superseded: int = 0) -> RecordCounts:
    """Record counts that add up."""
    valid = received - rejected
    published = valid - superseded
    return RecordCounts(received=received, valid=valid, rejected=rejected, superseded=superseded, published=published)


def published_file(key: str) -> PublishedFile:
    return PublishedFile(key=key, bytes=400, sha256="0" * 64)


def published_table(name: str, rows: int = 1) -> PublishedTable:
    parquet, csv = published_file(f"tables/{name}.parquet"), published_file(f"processed/{name}.csv")
    return PublishedTable(rows=rows, parquet=parquet, csv=csv)


def manifest(**changes: Any) -> Manifest:
    """The manifest of a batch with one record."""
    members: dict[str, Any] = {
        "manifest_version": 1,
        "dataset": "orders",
        "batch_id": BATCH,
        "revision": 1,
        "contract_version": 1,
        "release": "0f3c" * 4,
        "source": SOURCE,
        "ingested_at": "2026-01-01T00:00:00Z",
        "ingest_date": "2026-01-01",
        "counts": record_counts(1),
        "bytes": ByteCounts(received=300, unreadable=0),
        "rejected_by_reason": {},
        "control_totals": {"total_amount": ControlTotalSums(validated="9.5", superseded="0", published="9.5")},
        "tables": {"orders": published_table("orders")},
        "rejects": None,
    }
    return Manifest(**{**members, **changes})


def failure_record(**changes: Any) -> FailureRecord:
    """The failure record of a first execution."""
    members: dict[str, Any] = {
        "failure_version": 1,
        "dataset": "orders",
        "batch_id": BATCH,
        "execution": BATCH,
        "status": "FAILED",
        "error": "NoValidRecordsError",
        "cause": "All 2 records violate the contract.",
        "next_step": "Read the rejects, correct the records and upload the file again.",
        "remedy": "",
        "published": False,
        "rejects": None,
        "notified_by": None,
        "source": SOURCE,
        "ingested_at": "2026-01-01T00:00:00Z",
    }
    return FailureRecord(**{**members, **changes})


def run_record(**changes: Any) -> RunRecord:
    """The run record of a first execution."""
    step = RunStep(
        functions=("write",), tries=1, billed_ms=400, measured="history", unfinished=0, memory_mb=1769, disk_mb=512
    )
    members: dict[str, Any] = {
        "run_version": 1,
        "dataset": "orders",
        "batch_id": BATCH,
        "execution": BATCH,
        "status": "SUCCEEDED",
        "started_at": "2026-01-01T00:00:00.000Z",
        "stopped_at": "2026-01-01T00:00:02.500Z",
        "region": "eu-central-1",
        "architecture": "arm64",
        "prices": RunPrices(dated="2026-01-01", region="eu-central-1"),
        "steps": {"Write": step},
        "transitions": RunTransitions(states=5, retries=0),
        "s3_requests": Calls(put=7, get=9),
        "bytes": RunBytes(source=528_000, staged=1000, published=2000),
        "cost": (RunCost(item="write", quantity="1", price_of="x", price="0.1", usd="0.1"),),
        "usd": "0.1",
        "records": 1,
        "usd_for_1000_records": "100",
        "usd_a_month_kept": "0.01",
    }
    return RunRecord(**{**members, **changes})
