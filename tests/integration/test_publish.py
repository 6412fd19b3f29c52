"""Publish and commit: all tables or none, once, with the same manifest at every attempt."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.documents.manifest import Manifest
from functions.common.errors import (
    CommitConflictError,
    EmptyFileError,
    NoValidRecordsError,
    ReconciliationError,
    SourceMissingError,
    TooManyRejectsError,
    TransientError,
)
from functions.write import index as write
from functions.write import reject_limit
from functions.write.reconciliation import Totals
from tests import harness
from tests.unit.orders import CONTRACT, lines, order

# --- whether a file fails as a whole ----------------------------------------------------------------------------------


def totals(rejected: int, received: int) -> Totals:
    return Totals(received, received - rejected, rejected, {"not_json": rejected}, {}, (), {}, 100 * received, 0)


@pytest.mark.parametrize(
    ("rejected", "received", "ratio", "fails"),
    [
        (0, 10, 0.0, False),
        (1, 10, 0.0, True),
        (1, 1_000_000, 0.0, True),
        (1, 10, 0.1, False),
        (2, 10, 0.1, True),
        (3, 30, 0.1, False),
        (4, 30, 0.1, True),
        (29, 100, 0.29, False),  # 0.29 × 100 is 28.999999999999996
        (57, 100, 0.57, False),
        (58, 100, 0.57, True),
        (1, 3, 1 / 3, False),
        (9, 10, 1.0, False),
    ],
)
def test_a_file_is_accepted_up_to_the_allowed_share_of_rejects(
    rejected: int, received: int, ratio: float, fails: bool
) -> None:
    refusal = reject_limit.refusal(totals(rejected, received), ratio, "s3://b/k")
    assert isinstance(refusal, TooManyRejectsError) is fails
    if fails:
        assert str(refusal).startswith(
            f"{rejected} of {received} records violate the contract (not_json {rejected}), a share of "
        )
        assert str(refusal).endswith("s3://b/k.")


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
def test_a_file_without_a_valid_record_fails_at_any_ratio(ratio: float) -> None:
    refusal = reject_limit.refusal(totals(2, 2), ratio, "s3://b/k")
    assert isinstance(refusal, NoValidRecordsError)
    assert str(refusal) == "The file has no valid records. Rejected: 2 (not_json 2). See s3://b/k."
    assert isinstance(reject_limit.refusal(totals(0, 0), ratio, ""), EmptyFileError)


# --- a batch on S3 ----------------------------------------------------------------------------------------------------

on_moto = pytest.mark.usefixtures("aws")
GOOD = [order(order_id=str(number)) for number in range(10)]
WITH_REJECT = lines([*GOOD, order(total_amount=0), GOOD[0]])


def outputs(batch: Batch) -> dict[str, bytes]:
    """All objects of a batch, except for staging."""
    keys = [key for key in harness.keys("") if not key.startswith("staging/")]
    assert all(batch.batch_id in key for key in keys)
    return {key: harness.get(key) for key in keys}


@on_moto
def test_the_manifest_has_source_counts_totals_and_outputs() -> None:
    batch = harness.run(WITH_REJECT, "a b.jsonl")
    manifest = harness.manifest(batch)
    assert manifest["counts"] == {"received": 12, "valid": 11, "rejected": 1, "superseded": 1, "published": 10}
    assert manifest["rejected_by_reason"] == {"total_mismatch": 1}
    assert manifest["control_totals"] == {
        "total_amount": {"validated": "3228.28", "superseded": "293.48", "published": "2934.8"},
        "line_total": {"validated": "2872.1", "superseded": "261.1", "published": "2611"},
    }
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        "orders": 10,
        "customers": 1,
        "items": 20,
    }
    assert manifest["bytes"] == {"received": len(WITH_REJECT) - 12, "unreadable": 0}
    rest = (
        "counts",
        "bytes",
        "rejected_by_reason",
        "records_by_version",
        "drift",
        "control_totals",
        "tables",
        "rejects",
    )
    assert {name: value for name, value in manifest.items() if name not in rest} == {
        "manifest_version": 1,
        "dataset": "orders",
        "batch_id": batch.batch_id,
        "revision": 1,
        "contract_version": CONTRACT.current.number,
        "release": "test",
        "source": batch.to_input()["source"],
        "ingested_at": batch.ingested_at,
        "ingest_date": batch.ingested_at[:10],
    }, "nothing may differ between two attempts, no time and no name of an execution"
    named = harness.document(Manifest, batch.manifest_key).outputs
    assert len(named) == 7
    for output in named:
        data = harness.get(output.key)
        assert (output.bytes, output.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert outputs(batch).keys() == {batch.manifest_key, *(output.key for output in named)}


@on_moto
def test_a_file_without_rejects_has_none() -> None:
    batch = harness.run(lines(GOOD))
    assert harness.manifest(batch)["rejects"] is None
    assert harness.keys("rejected/") == []
    assert len(harness.document(Manifest, batch.manifest_key).outputs) == 6


@on_moto
def test_another_attempt_at_write_writes_the_same_bytes() -> None:
    """The same holds after a crash before the commit, when everything but the manifest exists."""
    batch = harness.run(WITH_REJECT)
    first = outputs(batch)
    s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    harness.run_steps(batch)
    assert outputs(batch) == first


@on_moto
def test_a_plan_of_other_chunks_commits_the_same_manifest() -> None:
    batch = harness.run(WITH_REJECT)
    first = outputs(batch)
    s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    cut = harness.plan(batch.source, chunk_bytes=2_000)
    assert cut.chunk_count > 2
    harness.run_steps(cut)
    assert outputs(batch) == first


@on_moto
def test_a_committed_batch_is_verified_and_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = harness.run(WITH_REJECT)
    answer = write.handler(batch.to_input())
    for key in harness.keys("staging/"):
        s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=key)
    monkeypatch.setattr(
        s3_utils.Storage, "upload", lambda *_: pytest.fail("a committed batch must not be written again")
    )
    monkeypatch.setattr(
        s3_utils.Storage, "put_new", lambda *_: pytest.fail("a committed batch must not be written again")
    )
    assert write.handler(batch.to_input()) == answer


@on_moto
def test_a_committed_batch_with_a_changed_output_is_not_reported_as_published() -> None:
    batch = harness.run(WITH_REJECT)
    manifest = harness.document(Manifest, batch.manifest_key)
    for output in manifest.outputs:
        place = {"Bucket": harness.PROCESSED, "Key": output.key}
        whole = s3_utils.client().get_object(**place)
        s3_utils.client().delete_object(**place)
        harms = ["missing", "changed"]
        if output == manifest.rejects:  # which are kept for a shorter time than the tables
            assert write.handler(batch.to_input())["published"] == 10
            s3_utils.storage().put_bytes(harness.PROCESSED, output.key, b"now missing")
            harms = ["changed"]
        for harm in harms:
            with pytest.raises(
                ReconciliationError, match=f"committed, but {output.key} is missing or differs from what its"
            ):
                write.handler(batch.to_input())
            s3_utils.storage().put_bytes(harness.PROCESSED, output.key, f"now {harm}".encode())
        s3_utils.client().put_object(**place, Body=whole["Body"].read(), Metadata=whole["Metadata"])
    assert write.handler(batch.to_input())["published"] == 10


@on_moto
@pytest.mark.parametrize("same", [True, False])
def test_the_first_commit_of_two_writers_is_kept(same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other writer commits after this one looked for a manifest."""
    batch = harness.run(WITH_REJECT)
    committed = harness.get(batch.manifest_key)
    if not same:
        committed = committed.replace(b'"received":12', b'"received":13')
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.manifest_key, committed)
    real, looked = s3_utils.Storage.get_bytes, []

    def nothing_yet(storage: s3_utils.Storage, bucket: str, key: str) -> bytes | None:
        if key == batch.manifest_key and not looked:
            looked.append(key)
            return None
        return real(storage, bucket, key)

    monkeypatch.setattr(s3_utils.Storage, "get_bytes", nothing_yet)
    if same:
        assert write.handler(batch.to_input())["published"] == 10
    else:
        with pytest.raises(CommitConflictError, match="The first commit is kept"):
            write.handler(batch.to_input())
    assert harness.get(batch.manifest_key) == committed


@on_moto
def test_a_manifest_is_one_line() -> None:
    """Athena reads one object per line."""
    manifest = harness.get(harness.run(WITH_REJECT).manifest_key)
    assert manifest.endswith(b"}\n")
    assert manifest.count(b"\n") == 1


UNTIL_COMMIT = 7
"""Six files of tables and the rejects come before the manifest."""


@on_moto
def test_a_write_killed_between_any_two_writes_publishes_nothing_and_its_retry_completes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = harness.run(WITH_REJECT)
    expected = outputs(batch)

    def dying(function: Any, left: Iterator[int]) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise TransientError("killed")
            return function(*arguments, **options)

        return call

    for survived in range(UNTIL_COMMIT + 1):
        for key in expected:
            s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=key)
        left = iter(range(survived))
        with monkeypatch.context() as patch:
            patch.setattr(s3_utils.Storage, "upload", dying(s3_utils.Storage.upload, left))
            patch.setattr(s3_utils.Storage, "put_new", dying(s3_utils.Storage.put_new, left))
            with pytest.raises(TransientError):
                write.handler(batch.to_input())
        assert (len(outputs(batch)), harness.keys("manifests/")) == (survived, []), "the manifest must come last"
        write.handler(batch.to_input())
        assert outputs(batch) == expected, f"killed after {survived} writes, the retry wrote something else"


# --- files that fail as a whole ---------------------------------------------------------------------------------------


@on_moto
@pytest.mark.parametrize(
    ("data", "error", "rejects"),
    [
        pytest.param(lines([*GOOD, {}, {}]), TooManyRejectsError, 2, id="too many rejects"),
        pytest.param(lines([{}, {}]), NoValidRecordsError, 2, id="no valid record"),
        pytest.param(b"", EmptyFileError, 0, id="empty"),
        pytest.param(b"\n \r\n", EmptyFileError, 0, id="blank"),
    ],
)
def test_rejects_are_written_before_a_file_fails(data: bytes, error: type[Exception], rejects: int) -> None:
    batch = harness.plan(harness.upload(data))
    with pytest.raises(error) as caught:
        harness.run_steps(batch)
    assert len(harness.rejects(batch)) == rejects
    assert outputs(batch).keys() == ({batch.rejected_key} if rejects else set())
    assert (f"s3://{harness.PROCESSED}/{batch.rejected_key}" in str(caught.value)) is bool(rejects)


@on_moto
@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_a_document_without_records_is_empty(name: str) -> None:
    for data in (b"[]", b" ", b'{"orders": []}', b""):
        with pytest.raises(EmptyFileError):
            harness.run(gzip.compress(data) if name.endswith("gz") else data, name)


@on_moto
def test_missing_counts_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    harness.let_missing_be_gone(monkeypatch)
    batch = harness.run(lines(GOOD))
    for key in (batch.manifest_key, batch.staging_key(0, "counts.json")):
        s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=key)
    with pytest.raises(ReconciliationError, match="Chunk 0 has no counts in staging; it expired"):
        write.handler(batch.to_input())


@on_moto
@pytest.mark.parametrize("name", ["orders.parquet", "items.parquet", "rejected.jsonl"])
def test_expired_staging_files_are_reported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.let_missing_be_gone(monkeypatch)
    batch = harness.run(WITH_REJECT)
    for key in (batch.manifest_key, batch.staging_key(0, name)):
        s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=key)
    with pytest.raises(ReconciliationError, match=f"Chunk 0 has no {name} in staging; it expired. Run the batch again"):
        write.handler(batch.to_input())
    assert harness.keys("manifests/") == []


@on_moto
@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.json"])
def test_a_superseded_record_is_listed_unchanged(name: str) -> None:
    """It keeps its digits, its escapes and its duplicate member, for any layout of the file."""
    plain = json.dumps(order(shipping_cost=5))
    odd = plain.replace('"shipping_cost": 5', '"shipping_cost": 9, "shipping_cost": 5.0e0').replace(
        "order_id", r"order\u005fid"
    )
    data = f"[{odd}, {plain}]" if name.endswith(".json") else f"{odd}\r\n{plain}\n"
    batch = harness.run(gzip.compress(data.encode()) if name.endswith(".gz") else data.encode(), name)
    rejects = harness.get(batch.rejected_key).decode()
    assert rejects.count("\n") == 1
    assert f'"record":{odd}' in rejects


@on_moto
def test_each_chunk_is_read_again_for_its_own_superseded_records() -> None:
    records = [order(order_id=str(number % 7), shipping_cost=number) for number in range(20)]
    batch = harness.run(lines(records), chunk_bytes=2 * len(lines(records[:1])))
    assert batch.chunk_count > 5
    rejects = [json.loads(line) for line in harness.get(batch.rejected_key).splitlines()]
    assert [(reject["position"], reject["record"]) for reject in rejects] == [
        (len(lines(records[:number])), records[number]) for number in range(13)
    ]


@on_moto
@pytest.mark.parametrize(("data", "fails"), [(WITH_REJECT, True), (lines(GOOD), False)])
def test_a_source_deleted_before_write_fails_only_batches_with_superseded_records(
    data: bytes, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.let_missing_be_gone(monkeypatch)
    batch = harness.run(data)
    s3 = s3_utils.client()
    s3.delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    s3.delete_object(Bucket=harness.INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    with pytest.raises(SourceMissingError, match="deleted before it was published") if fails else nullcontext():
        write.handler(batch.to_input())


# --- the result of write ----------------------------------------------------------------------------------------------


@on_moto
def test_the_result_of_write_has_the_counts_and_the_notification() -> None:
    batch = harness.plan(harness.upload(WITH_REJECT, "Zoë & 日本.jsonl"))
    answer = harness.run_steps(batch)
    notification = answer.pop("notice")
    assert answer == {
        "received": 12,
        "valid": 11,
        "rejected": 1,
        "superseded": 1,
        "published": 10,
        "unnotified": 1,
        "batch_id": batch.batch_id,
    }
    assert notification["subject"] == "orders: 1 of 12 records rejected"
    for part in (batch.source.key, "total_mismatch: 1", batch.rejected_key, "Next: ", batch.batch_id):
        assert part in notification["message"]
    assert len(json.dumps({**answer, "notice": notification})) < 20_000, "states pass pointers and small numbers"
