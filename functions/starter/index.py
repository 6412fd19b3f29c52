"""The entry point of `starter`: an S3 event in, an execution for each object version out."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes.s3_event import S3Event, S3EventRecord
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch import Batch, Source
from functions.common.config import settings
from functions.common.telemetry import count, logger
from functions.starter.planning import padded_sequencer, plan_batch

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, int]:
    """Start one execution for each object version of an S3 event; answers how many were started and known.

    Any error makes Lambda deliver the whole event again; what was started is then known.
    """
    if event.get("Event") == "s3:TestEvent":
        logger().info("passed over S3's test event", extra={"bucket": event.get("Bucket")})
        return {"started": 0, "known": 0}
    outcomes = [_start(record) for record in S3Event(dict(event)).records]
    return {"started": outcomes.count("started"), "known": outcomes.count("known")}


def _start(record: S3EventRecord) -> str:
    obj = record.s3.get_object
    if obj.key.endswith("/"):
        logger().info("passed over a folder marker", extra={"bucket": record.s3.bucket.name, "key": obj.key})
        return "passed over"
    batch = _batch(record)
    outcome = _start_execution(batch)
    logger().info(f"execution {outcome}", extra={"batch_id": batch.batch_id, "chunks": batch.chunk_count})
    count(batch.dataset, {"FilesStarted" if outcome == "started" else "DuplicateEvents": 1})
    return outcome


def _batch(record: S3EventRecord) -> Batch:
    """The batch of the version that the event names, planned from its HEAD.

    A version that is gone is planned from the event: its execution fails and tells somebody.
    """
    obj, bucket = record.s3.get_object, record.s3.bucket.name
    version_id = obj.version_id or "null"
    head = s3_utils.head(bucket, obj.key, version_id)
    source = Source(
        bucket=bucket,
        key=obj.key,
        version_id=version_id,
        size=head["ContentLength"] if head else obj.size,
        etag=(head["ETag"] if head else obj.etag).strip('"'),
        sequencer=padded_sequencer(obj.sequencer),
    )
    last_modified = head["LastModified"] if head else datetime.fromisoformat(record.event_time)
    return plan_batch(source, last_modified, settings().chunk_bytes)


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
