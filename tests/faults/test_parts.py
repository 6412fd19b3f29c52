"""Files that travel in parts: uploads of many requests, downloads of ranges, and objects that change meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from boto3.s3.transfer import TransferConfig
from moto.s3 import models
from s3transfer.utils import ChunksizeAdjuster

from functions.common import s3_utils
from functions.common.errors import TransientError
from tests import harness
from tests.faults import files, ledger
from tests.faults.cloud import clouds
from tests.faults.inject import Call, Fault, at
from tests.faults.sampling import sampled
from tests.faults.scenes import Scene
from tests.faults.wire import wires

PART = 700
"""Bytes: so that the parquet files of a small batch are three parts or more."""


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Transfers of the size of a test are cut as those of 64 MiB and more are."""
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    with (
        patch.object(s3_utils, "_transfer", lambda: config),
        patch.object(s3_utils, "_MULTIPART_BYTES", PART),
        patch.object(ChunksizeAdjuster, "adjust_chunksize", lambda _, size, __=None: size),
        patch.object(models, "S3_UPLOAD_PART_MIN_SIZE", 1),
    ):
        yield


@pytest.fixture(scope="module")
def scene(small_parts: None) -> Iterator[Scene]:
    """A file of which every step's outputs travel in parts."""
    with clouds() as cloud:
        cloud.upload(files.mixed())
        cloud.settle()
        ledger.check(cloud)
        yield Scene(cloud, cloud.outputs(), list(cloud.injector.calls))


OPERATIONS = ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject")


@pytest.mark.parametrize(("step", "operation", "fault"), sampled(("transform", "write"), OPERATIONS, Fault, every=5))
def test_a_fault_in_a_part_leaves_no_trace(scene: Scene, step: str, operation: str, fault: Fault) -> None:
    """The last such call of the step: of what travels in parts, others are there already."""
    made = [call for call in scene.calls if (call.step, call.operation) == (step, operation)]
    if not made[-1].can(fault):
        return
    cloud = scene.again()
    cloud.injector.strike(fault, at(made[-1]))
    cloud.settle()
    assert len(cloud.injector.struck) == 1
    assert cloud.outputs() == scene.outputs
    ledger.check(cloud)


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.THROTTLE, Fault.STALL, Fault.LOSE_ANSWER])
def test_a_fault_on_the_wire_leaves_no_trace(scene: Scene, fault: Fault) -> None:
    cloud = scene.again()
    with wires() as wire:
        wire.fault = fault
        cloud.settle()
    assert wire.requests.keys() >= set(OPERATIONS)
    assert cloud.outputs() == scene.outputs
    ledger.check(cloud, notices_may_repeat=fault is Fault.LOSE_ANSWER)


@pytest.mark.parametrize("number", [2, 3])  # the first finds that it is large, and is broken off
def test_an_object_that_is_replaced_while_it_is_read_is_read_again_later(
    scene: Scene, number: int, tmp_path: Path
) -> None:
    """Two runs of one batch, of two releases: never half of the one and half of the other."""
    cloud, key = scene.again(), "staging/file"
    s3_utils.storage().put_bytes(harness.PROCESSED, key, b"a" * 3 * PART)

    def replace(call: Call) -> None:
        if call.operation == "GetObject" and call.nth == number:
            cloud.injector.before = None
            s3_utils.storage().put_bytes(harness.PROCESSED, key, b"b" * 3 * PART)

    cloud.injector.before = replace
    with cloud.injector.during("transform"), pytest.raises(TransientError, match="replaced while it was read"):
        s3_utils.storage().download(harness.PROCESSED, key, tmp_path / "file")
    s3_utils.storage().download(harness.PROCESSED, key, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"b" * 3 * PART
