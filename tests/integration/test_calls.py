"""The cost model of S3 requests, compared with the requests of the real functions."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from functions.common import executions, s3_utils
from functions.common.batch import Batch
from functions.common.pricing import s3_requests
from functions.common.pricing.s3_requests import Calls, Objects, calls_of
from functions.record_failure import index as record_failure
from functions.starter import index as starter
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from tests import harness
from tests.unit.orders import lines, order

PUTS = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListObjectsV2")
GETS = ("GetObject", "HeadObject")

CHUNK_BYTES = 4000
GOOD = [order(order_id=str(number)) for number in range(20)]


@contextmanager
def counting() -> Iterator[Callable[[], Calls]]:
    """Count the requests to S3 from now on."""
    made: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        made[model.name] += 1

    def counted() -> Calls:
        assert set(made) <= {*PUTS, *GETS}, f"say in calls.py what S3 charges for one of {set(made)}"
        return Calls(sum(made[name] for name in PUTS), sum(made[name] for name in GETS))

    events = s3_utils.client().meta.events
    events.register("before-call.s3", count)
    try:
        yield counted
    finally:
        events.unregister("before-call.s3", count)


def run_counted(batch: Batch) -> dict[str, Calls]:
    """Run every step of a batch. Returns the requests of each."""
    made = {}
    for function in (validate, transform):
        with counting() as counted:
            for chunk in range(batch.chunk_count):
                function.handler({"batch": batch.to_input(), "chunk": chunk})
            made[function.__name__.split(".")[1]] = counted()
    with counting() as counted:
        write.handler(batch.to_input())
        made["write"] = counted()
    return made


def objects_of(batch: Batch) -> Objects:
    """What a published batch read and wrote, as the buckets and its manifest show it."""
    staged = [(key.rpartition("/")[2], len(harness.get(key))) for key in harness.keys("staging/")]
    outputs = [
        len(harness.get(key)) for prefix in ("processed/", "tables/", "rejected/") for key in harness.keys(prefix)
    ]
    return Objects(
        batch.chunk_count, batch.source.size, staged, outputs, harness.manifest(batch)["counts"]["superseded"]
    )


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("records", "chunked"),
    [
        pytest.param(GOOD, False, id="one chunk"),
        pytest.param(GOOD, True, id="chunks"),
        pytest.param([*GOOD, {}], False, id="a reject"),
        pytest.param([*GOOD, {}], True, id="a reject in one of the chunks"),
        pytest.param([*GOOD, GOOD[0]], False, id="superseded"),
    ],
)
def test_a_published_file_makes_the_requests_of_the_model(records: list[Any], chunked: bool) -> None:
    batch = harness.plan(harness.upload(lines(records)), CHUNK_BYTES if chunked else 1_000_000)
    assert (batch.chunk_count > 2) == chunked
    made = run_counted(batch)
    assert calls_of(objects_of(batch)) == made


@pytest.mark.parametrize("n_bytes", [0, (1 << 20) - 1, 1 << 20, 10 << 20, (10 << 20) + 1])
@pytest.mark.usefixtures("aws")
def test_large_objects_are_transferred_in_parts(n_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts are smaller than deployed: the minimum of S3."""
    monkeypatch.setattr(s3_requests, "MULTIPART_BYTES", 1 << 20)
    monkeypatch.setattr(s3_requests, "PART_BYTES", 5 << 20)
    config = TransferConfig(multipart_threshold=1 << 20, multipart_chunksize=5 << 20)
    monkeypatch.setattr(s3_utils, "_transfer", lambda: config)
    monkeypatch.setattr(s3_utils, "_MULTIPART_BYTES", 1 << 20)
    path = tmp_path / "large"
    path.write_bytes(bytes(n_bytes))
    with counting() as counted:
        s3_utils.storage().upload(path, harness.PROCESSED, "staging/large", "application/x-ndjson")
        assert counted() == s3_requests.upload(n_bytes)
    with counting() as counted:
        s3_utils.storage().download(harness.PROCESSED, "staging/large", path)
        assert counted() == s3_requests.download(n_bytes)


def test_the_part_size_of_the_model_is_the_deployed_one() -> None:
    deployed = s3_utils._transfer()
    assert (deployed.multipart_threshold, deployed.multipart_chunksize) == (
        s3_requests.MULTIPART_BYTES,
        s3_requests.PART_BYTES,
    )


@pytest.mark.usefixtures("aws")
def test_the_starter_makes_the_requests_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    source = harness.upload(lines(GOOD))
    monkeypatch.setattr(executions, "start", lambda *_: True)
    record = {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {
            "bucket": {"name": source.bucket},
            "object": {"key": source.key, "size": 1, "versionId": source.version_id, "eTag": "e", "sequencer": "1"},
        },
    }
    with counting() as counted:
        starter.handler({"Records": [record]})
        assert counted() == s3_requests.OUTSIDE_MACHINE["starter"]


@pytest.mark.usefixtures("aws")
def test_a_failure_makes_the_requests_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_failure, "_was_notified", lambda _: True)
    batch = harness.plan(harness.upload(b"{}\n"))
    failure = {"Error": "E", "Cause": "c"}
    with counting() as counted:
        record_failure.handler({"batch": batch.to_input(), "execution": batch.batch_id, "failure": failure})
        assert counted() == s3_requests.FAILURE_IN_MACHINE
    detail = {"name": batch.batch_id, "status": "FAILED", "executionArn": "x", "input": json.dumps(batch.to_input())}
    with counting() as counted:
        record_failure.handler({"detail": detail})
        assert counted() == s3_requests.FAILURE_OUTSIDE
