"""Stored documents: their bytes, the members of earlier and later releases, and unreadable content."""

import json
import sys
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from functions.common.batch_state import is_notified
from functions.common.documents.chunk_counts import ChunkCounts, DriftCount, VersionCounts
from functions.common.documents.document import StoredDocument
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.documents.notification import Notification
from functions.common.documents.run_record import RunRecord
from functions.common.errors import DocumentError
from tests import documents

SOURCE = asdict(documents.SOURCE)
COUNTS = ChunkCounts(
    chunk=3,
    chunk_bytes=1000,
    position_kind="byte",
    received=3,
    valid=2,
    rejected=1,
    rejected_by_reason={"unknown_field": 1},
    records_by_version={"1": VersionCounts(valid=2, rejected=1)},
    drift=(DriftCount(contract_version=1, field="/gift", records=1, dropped=False),),
    control_totals={"total_amount": "9.50"},
    received_bytes=300,
    unreadable_bytes=0,
)
EVERY: dict[str, StoredDocument] = {
    "manifest": documents.manifest(rejects=documents.published_file("rejected/x.jsonl"), drift=COUNTS.drift),
    "failure record": documents.failure_record(rejects="s3://out/rejected/x.jsonl"),
    "run record": documents.run_record(),
    "chunk's counts": COUNTS,
}
DROPPED = {
    "manifest": ("release", "bytes", "records_by_version", "drift"),
    "failure record": ("notified_by",),
    "chunk's counts": ("records_by_version", "drift", "received_bytes", "unreadable_bytes"),
}
"""The members that releases before this one did not always write."""

CHARACTERS = "".join(chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number <= 0xDFFF)


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_a_manifest_is_one_line_with_its_members_in_order() -> None:
    assert documents.manifest().to_bytes().decode() == (
        '{"manifest_version":1,"dataset":"orders","batch_id":"orders-0123456789abcdef0123456789abcdef","revision":1,'
        '"contract_version":1,"release":"0f3c0f3c0f3c0f3c","source":{"bucket":"ingest","key":"incoming/orders/x.jsonl",'
        '"version_id":"v1","size":528000,"etag":"e","sequencer":"1","corrects":""},'
        '"ingested_at":"2026-01-01T00:00:00Z","ingest_date":"2026-01-01",'
        '"counts":{"received":1,"valid":1,"rejected":0,"superseded":0,"published":1},'
        '"bytes":{"received":300,"unreadable":0},"rejected_by_reason":{},"records_by_version":{},"drift":[],'
        '"control_totals":{"total_amount":{"validated":"9.5","superseded":"0","published":"9.5"}},'
        '"tables":{"orders":{"rows":1,'
        f'"parquet":{{"key":"tables/orders.parquet","bytes":400,"sha256":"{"0" * 64}"}},'
        f'"csv":{{"key":"processed/orders.csv","bytes":400,"sha256":"{"0" * 64}"}}}}}},"rejects":null}}\n'
    )


def test_a_failure_record_is_one_line_with_its_members_in_order() -> None:
    assert documents.failure_record().to_bytes().decode() == (
        '{"failure_version":1,"dataset":"orders","batch_id":"orders-0123456789abcdef0123456789abcdef",'
        '"execution":"orders-0123456789abcdef0123456789abcdef","status":"FAILED","error":"NoValidRecordsError",'
        '"cause":"All 2 records violate the contract.",'
        '"next_step":"Read the rejects, correct the records and upload the file again.","remedy":"",'
        '"published":false,'
        f'"rejects":null,"notified_by":null,"source":{json.dumps(SOURCE, separators=(",", ":"))},'
        '"ingested_at":"2026-01-01T00:00:00Z"}\n'
    )


def test_the_counts_of_a_chunk_are_compact_with_their_members_in_order() -> None:
    assert COUNTS.to_bytes().decode() == (
        '{"chunk":3,"chunk_bytes":1000,"position_kind":"byte","received":3,"valid":2,"rejected":1,'
        '"rejected_by_reason":{"unknown_field":1},"records_by_version":{"1":{"valid":2,"rejected":1}},'
        '"drift":[{"contract_version":1,"field":"/gift","records":1,"dropped":false}],'
        '"control_totals":{"total_amount":"9.50"},"received_bytes":300,"unreadable_bytes":0,"diagnosis":""}'
    )


def test_a_run_record_is_indented_with_its_members_in_order() -> None:
    content = {
        "run_version": 1,
        "dataset": "orders",
        "batch_id": documents.BATCH,
        "execution": "é",
        "status": "SUCCEEDED",
        "started_at": "2026-01-01T00:00:00.000Z",
        "stopped_at": "2026-01-01T00:00:02.500Z",
        "region": "eu-central-1",
        "architecture": "arm64",
        "prices": {"dated": "2026-01-01", "region": "eu-central-1"},
        "steps": {
            "Write": {
                "functions": ["write"],
                "tries": 1,
                "billed_ms": 400,
                "measured": "history",
                "unfinished": 0,
                "memory_mb": 1769,
                "disk_mb": 512,
            }
        },
        "transitions": {"states": 5, "retries": 0},
        "s3_requests": {"put": 7, "get": 9},
        "bytes": {"source": 528_000, "staged": 1000, "published": 2000},
        "cost": [{"item": "write", "quantity": "1", "price_of": "x", "price": "0.1", "usd": "0.1"}],
        "usd": "0.1",
        "records": 1,
        "usd_for_1000_records": "100",
        "usd_a_month_kept": "0.01",
    }
    assert documents.run_record(execution="é").to_bytes() == json.dumps(content, indent=2).encode()


def test_every_character_is_written_as_in_earlier_releases() -> None:
    """Earlier releases wrote manifests with orjson and failure records with json; Athena reads both."""
    manifest = documents.manifest(release=CHARACTERS).to_bytes()
    assert manifest == orjson.dumps(json.loads(manifest), option=orjson.OPT_APPEND_NEWLINE)
    failure = documents.failure_record(cause=CHARACTERS).to_bytes()
    assert failure == json.dumps(json.loads(failure), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_a_written_document_is_read_back_unchanged(kind: str) -> None:
    document = EVERY[kind]
    assert type(document).kind == kind
    assert type(document).read(document.to_bytes(), "k") == document


@pytest.mark.parametrize(("kind", "member"), [(kind, member) for kind in DROPPED for member in DROPPED[kind]])
def test_a_document_of_an_earlier_release_is_read(kind: str, member: str) -> None:
    content = json.loads(EVERY[kind].to_bytes())
    del content[member]
    document = type(EVERY[kind]).read(json.dumps(content).encode(), "k")
    assert not getattr(document, member)


def test_a_source_of_an_earlier_release_has_no_corrected_batch() -> None:
    content = json.loads(documents.manifest().to_bytes())
    del content["source"]["corrects"]
    assert Manifest.read(json.dumps(content).encode(), "k").source.corrects == ""


def test_a_failure_record_without_notified_by_counts_as_notified() -> None:
    content = json.loads(documents.failure_record().to_bytes())
    assert not FailureRecord.read(json.dumps(content).encode(), "k").is_notified
    del content["notified_by"]
    assert FailureRecord.read(json.dumps(content).encode(), "k").is_notified


def with_more(value: Any) -> Any:
    """A JSON value with an additional member in each object that has fixed members."""
    if isinstance(value, list):
        return [with_more(part) for part in value]
    if not isinstance(value, dict):
        return value
    by_name = ("rejected_by_reason", "records_by_version", "control_totals", "tables", "steps")
    parts = {
        name: {key: with_more(inner) for key, inner in part.items()} if name in by_name else with_more(part)
        for name, part in value.items()
    }
    return {**parts, "of_a_later_release": [1, {"x": "y"}]}


@pytest.mark.parametrize("kind", EVERY)
def test_members_of_a_later_release_are_ignored(kind: str) -> None:
    document = EVERY[kind]
    body = json.dumps(with_more(json.loads(document.to_bytes()))).encode()
    assert body.count(b"of_a_later_release") >= 2
    assert type(document).read(body, "k") == document


def broken(content: dict[str, Any]) -> dict[str, bytes]:
    """Bodies that are not valid documents."""
    name = next(iter(content))
    return {
        "nothing": b"",
        "cut off": json.dumps(content).encode()[:-5],
        "text": b"SECRET",
        "another type": b'["SECRET"]',
        "nested deeply": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "not UTF-8": json.dumps(content).encode().replace(b"orders", b"\xff", 1).replace(b"byte", b"\xff", 1),
        "a member is missing": json.dumps({key: part for key, part in content.items() if key != name}).encode(),
        "a member has another type": json.dumps({**content, name: "SECRET"}).encode(),
        "a member is null": json.dumps({**content, name: None}).encode(),
    }


@pytest.mark.parametrize("how", broken({"x": 1}))
@pytest.mark.parametrize("kind", EVERY)
def test_an_unreadable_document_is_reported_without_its_values(kind: str, how: str) -> None:
    document = EVERY[kind]
    if how == "not UTF-8" and isinstance(document, RunRecord):
        document = documents.run_record(dataset="orders")
    body = broken(json.loads(document.to_bytes()))[how]
    with pytest.raises(DocumentError, match=rf"^folder/x\.json can't be read as a {kind}: .+\.$") as refused:
        type(document).read(body, "folder/x.json")
    assert "SECRET" not in str(refused.value)
    assert len(str(refused.value)) < 200


# --- what follows from them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "notified"),
    [
        (None, False),
        (documents.failure_record(notified_by=None).to_bytes(), False),
        (documents.failure_record(notified_by="state_machine").to_bytes(), True),
        (b"{}", False),
    ],
    ids=["no record", "not notified", "notified", "not a failure record"],
)
def test_a_survey_counts_a_failure_as_notified_only_if_its_record_says_so(body: bytes | None, notified: bool) -> None:
    storage = SimpleNamespace(get_bytes=lambda _bucket, _key: body)
    pipeline: Any = SimpleNamespace(storage=storage, processed_bucket="processed")
    assert is_notified(pipeline, "failures/x.json") is notified


def test_the_outputs_of_a_manifest_are_the_files_of_its_tables_and_its_rejects() -> None:
    tables = {name: documents.published_table(name) for name in ("orders", "items")}
    manifest = documents.manifest(tables=tables, rejects=documents.published_file("rejected/x.jsonl"))
    assert [output.key for output in manifest.outputs] == [
        "tables/orders.parquet",
        "processed/orders.csv",
        "tables/items.parquet",
        "processed/items.csv",
        "rejected/x.jsonl",
    ]
    assert manifest.rejects_key == "rejected/x.jsonl"
    assert documents.manifest().rejects_key is None


def test_a_failure_record_gives_the_key_of_its_rejects() -> None:
    assert documents.failure_record(rejects="s3://out/rejected/a b/x.jsonl").rejects_key == "rejected/a b/x.jsonl"
    assert documents.failure_record().rejects_key is None


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("orders: a file was not published (EmptyFileError)", "orders: a file was not published (EmptyFileError)"),
        ("orders: Zoë\nBcc: x\x7f\u202e", "orders: Zo??Bcc: x??"),
        ("  orders", "orders"),
        ("x" * 99, "x" * 99),
        ("x" * 100, "x" * 99),
        ("é" * 500, "?" * 99),
    ],
)
def test_sns_accepts_the_subject_of_a_notification(subject: str, sent: str) -> None:
    notification = Notification(subject=subject, message=f"{subject}\n")
    assert notification.subject == sent
    assert notification.to_output() == {"subject": sent, "message": f"{subject}\n"}
