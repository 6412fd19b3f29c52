"""The entry point of `starter`: an S3 event in, an execution for each object version out."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch import Batch, Source
from functions.common.config import settings
from functions.common.telemetry import count, logger
from functions.starter.events import TEST_EVENT, ObjectCreated, objects_created
from functions.starter.planning import padded_sequencer, plan_batch

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, int]:
    """Start one execution for each object version of an S3 event; answers how many were started and known.

    Any error makes Lambda deliver the whole event again; what was started is then known.
    """
    if event.get("Event") == TEST_EVENT:
        logger().info("passed over S3's test event", extra={"bucket": event.get("Bucket")})
        return {"started": 0, "known": 0}
    outcomes = [_start(created) for created in objects_created(event)]
    return {"started": outcomes.count("started"), "known": outcomes.count("known")}


def _start(created: ObjectCreated) -> str:
    if created.is_folder:
        logger().info("passed over a folder marker", extra={"bucket": created.bucket, "key": created.key})
        return "passed over"
    batch = _batch(created)
    outcome = _start_execution(batch)
    logger().info(f"execution {outcome}", extra={"batch_id": batch.batch_id, "chunks": batch.chunk_count})
    count(batch.dataset, {"FilesStarted" if outcome == "started" else "DuplicateEvents": 1})
    return outcome


def _batch(created: ObjectCreated) -> Batch:
    """The batch of a version, planned from its HEAD.

    A version that is gone is planned from the event: its execution fails and tells somebody.
    """
    head = s3_utils.head(created.bucket, created.key, created.version_id)
    source = Source(
        bucket=created.bucket,
        key=created.key,
        version_id=created.version_id,
        size=head["ContentLength"] if head else created.size,
        etag=(head["ETag"] if head else created.etag).strip('"'),
        sequencer=padded_sequencer(created.sequencer),
    )
    return plan_batch(source, head["LastModified"] if head else created.time, settings().chunk_bytes)


def _start_execution(batch: Batch) -> str:
    """Start the execution that is named after the batch; one that has that name already is the same one."""
    try:
        with s3_utils.transient_faults(f"StartExecution {batch.batch_id}"):
            _step_functions().start_execution(
                stateMachineArn=settings().state_machine_arn,
                name=batch.batch_id,
                input=json.dumps(batch.to_input()),
            )
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ExecutionAlreadyExists":
            return "known"
        raise
    return "started"


@cache
def _step_functions() -> "SFNClient":
    return boto3.client("stepfunctions", config=Config(retries={"mode": "standard", "max_attempts": 8}))
