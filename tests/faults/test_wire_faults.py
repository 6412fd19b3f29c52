"""Faults that botocore's own retries handle: no step fails, and the output is the same, byte by byte."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.errors import TransientError
from tests import harness
from tests.faults import order_files, outcome_check
from tests.faults.fault_injection import Fault
from tests.faults.fault_table import survives
from tests.faults.simulated_cloud import Cloud, clouds
from tests.faults.test_every_call import run_into_the_time_limit
from tests.faults.wire_faults import Wire, wires

ON_THE_WIRE = (Fault.FAIL, Fault.THROTTLE, Fault.STALL, Fault.LOSE_RESPONSE)


@pytest.fixture(scope="module")
def scenario() -> Iterator[tuple[Cloud, Wire, dict[str, bytes]]]:
    """One file that is published, one that is refused, one that times out; and their outputs."""
    with clouds() as cloud, wires() as wire:
        cloud.upload(order_files.good(), "late.jsonl")
        cloud.upload(order_files.mixed(1))
        cloud.upload(order_files.hopeless())
        run_into_the_time_limit(cloud)
        outcome_check.check(cloud)
        yield cloud, wire, cloud.outputs()


@survives("503 SlowDown from S3")
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", ON_THE_WIRE, ids=lambda fault: fault.name.lower())
def test_botocore_retries_a_fault_on_the_wire(
    scenario: tuple[Cloud, Wire, dict[str, bytes]], fault: Fault, times: int
) -> None:
    """The first requests of every operation meet the fault."""
    cloud, wire, outputs = scenario
    cloud.forget()
    wire.fault, wire.times = fault, times
    for forgotten in (wire.requests, wire.sleeps):
        forgotten.clear()
    run_into_the_time_limit(cloud)
    wire.fault = None
    assert set(wire.requests) >= {"HeadObject", "GetObject", "PutObject", "StartExecution", "Publish"}
    assert len(wire.sleeps) == times * len(wire.requests), "botocore must wait before each retry"
    assert cloud.outputs() == outputs
    assert not cloud.waits, "the state machine must not retry"
    assert cloud.invoked == {"starter": 3, "validate": 3, "transform": 3, "write": 2, "record_failure": 3}
    outcome_check.check(cloud, notifications_may_repeat=fault is Fault.LOSE_RESPONSE)


@pytest.mark.parametrize("fault", ON_THE_WIRE, ids=lambda fault: fault.name.lower())
def test_a_fault_that_outlasts_botocores_retries_is_a_transient_error(
    scenario: tuple[Cloud, Wire, dict[str, bytes]], fault: Fault, tmp_path: Any
) -> None:
    _, wire, _ = scenario
    s3_utils.storage().put_bytes(harness.PROCESSED, "staging/file", b"x")
    (tmp_path / "file").write_bytes(b"x")
    wire.fault, wire.times = fault, 1_000
    made = {
        "HeadObject": lambda: s3_utils.storage().head(harness.PROCESSED, "staging/file"),
        "GetObject": lambda: s3_utils.storage().get_bytes(harness.PROCESSED, "staging/file"),
        "PutObject": lambda: s3_utils.storage().upload(
            tmp_path / "file", harness.PROCESSED, "staging/file", "text/plain"
        ),
    }
    for operation, call in made.items():
        wire.requests.clear()
        with pytest.raises(TransientError):
            call()
        assert wire.requests == {operation: s3_utils.client().meta.config.retries["total_max_attempts"]}
    wire.fault = None


OPERATIONS = {
    "s3": ("HeadObject", "GetObject", "PutObject", "UploadPart", "ListObjectsV2", "ListObjectVersions"),
    "sns": ("Publish",),
    "stepfunctions": ("StartExecution", "DescribeExecution", "GetExecutionHistory"),
    "lambda": ("Invoke",),
}
"""What the functions call."""


@pytest.mark.parametrize("service", OPERATIONS)
def test_every_throttling_error_of_a_service_is_transient(service: str) -> None:
    model = boto3.client(service, harness.REGION).meta.service_model
    for operation in OPERATIONS[service]:
        for shape in model.operation_model(operation).error_shapes:
            error = shape.metadata.get("error", {})
            code, status = error.get("code", shape.name), error.get("httpStatusCode", 400)
            if "throttl" in code.lower() or "toomanyrequests" in code.lower():
                response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
                assert s3_utils.is_transient(ClientError(response, operation)), f"{code}: functions/common/s3_utils.py"
