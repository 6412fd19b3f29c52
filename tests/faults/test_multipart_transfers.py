"""Files transferred in parts: multipart uploads, ranged downloads, and objects that change meanwhile."""

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
from tests.faults import order_files, outcome_check
from tests.faults.fault_injection import Call, Fault, at_call
from tests.faults.sampling import sampled
from tests.faults.scenarios import Scenario
from tests.faults.simulated_cloud import clouds
from tests.faults.wire_faults import wires

pytestmark = pytest.mark.slow

PART = 700
"""Bytes: so that the parquet files of a small batch are three parts or more."""


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Transfers of test files are split as those of 64 MiB and more are."""
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    with (
        patch.object(s3_utils, "_transfer", lambda: config),
        patch.object(s3_utils, "_MULTIPART_BYTES", PART),
        patch.object(ChunksizeAdjuster, "adjust_chunksize", lambda _, size, __=None: size),
        patch.object(models, "S3_UPLOAD_PART_MIN_SIZE", 1),
    ):
        yield


@pytest.fixture(scope="module")
def scenario(small_parts: None) -> Iterator[Scenario]:
    """A file whose outputs are transferred in parts by every step."""
    with clouds() as cloud:
        cloud.upload(order_files.mixed())
        cloud.settle()
        outcome_check.check(cloud)
        yield Scenario(cloud, cloud.outputs(), list(cloud.injector.calls))


OPERATIONS = ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject")


@pytest.mark.parametrize(("step", "operation", "fault"), sampled(("transform", "write"), OPERATIONS, Fault, every=5))
def test_the_output_is_the_same_after_a_fault_in_a_part(
    scenario: Scenario, step: str, operation: str, fault: Fault
) -> None:
    """The last such call of the step, so that other parts of the transfer are already done."""
    made = [call for call in scenario.calls if (call.step, call.operation) == (step, operation)]
    if not made[-1].can(fault):
        return
    cloud = scenario.again()
    cloud.injector.inject(fault, at_call(made[-1]))
    cloud.settle()
    assert len(cloud.injector.injected) == 1
    assert cloud.outputs() == scenario.outputs
    outcome_check.check(cloud)


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.THROTTLE, Fault.STALL, Fault.LOSE_RESPONSE])
def test_the_output_is_the_same_after_a_fault_on_the_wire_in_a_part(scenario: Scenario, fault: Fault) -> None:
    cloud = scenario.again()
    with wires() as wire:
        wire.fault = fault
        cloud.settle()
    assert wire.requests.keys() >= set(OPERATIONS)
    assert cloud.outputs() == scenario.outputs
    outcome_check.check(cloud, notifications_may_repeat=fault is Fault.LOSE_RESPONSE)


@pytest.mark.parametrize("number", [2, 3])  # the first request finds that the object is large, and stops
def test_an_object_that_is_replaced_during_its_download_is_read_again(
    scenario: Scenario, number: int, tmp_path: Path
) -> None:
    """Two releases run one batch at_call once. A reader never gets a mix of both."""
    cloud, key = scenario.again(), "staging/file"
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
