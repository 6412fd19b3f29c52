"""The Lambda handler of `starter`, which starts an execution for each object version in an S3 event."""

from collections.abc import Mapping
from typing import Any

from functions.common import executions, s3_utils
from functions.common.batch import Batch, Source
from functions.common.config import settings
from functions.common.input_settings import load_input
from functions.common.object_versions import Planner
from functions.common.planning import dataset_of, ignored_by, padded_sequencer, plan_batch
from functions.common.telemetry import LogEvent, count, logger
from functions.starter.events import TEST_EVENT, ObjectCreated, objects_created


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, int]:
    """Start one execution for each object version of an S3 event.

    Returns the numbers of object versions that were started, already known, and ignored. After any error, Lambda
    delivers the whole event again. Versions that were already started are then counted as known.
    """
    if event.get("Event") == TEST_EVENT:
        extra = {"event": LogEvent.IGNORED, "bucket": event.get("Bucket")}
        logger().info("ignored S3's test event", extra=extra)
        return {"started": 0, "known": 0, "ignored": 0}
    outcomes = [_start(created) for created in objects_created(event)]
    return {outcome: outcomes.count(outcome) for outcome in ("started", "known", "ignored")}


def _start(created: ObjectCreated) -> str:
    if created.is_folder:
        extra = {"event": LogEvent.IGNORED, "bucket": created.bucket, "key": created.key}
        logger().info("ignored a folder marker", extra=extra)
        return "passed over"
    if pattern := ignored_by(created.key, load_input(dataset_of(created.key), settings().contracts)):
        extra = {"event": LogEvent.IGNORED, "bucket": created.bucket, "key": created.key, "pattern": pattern}
        logger().info("ignored by the contract", extra=extra)
        count(dataset_of(created.key), {"FilesIgnored": 1})
        return "ignored"
    batch = _batch(created)
    started = executions.start(executions.client(), settings().state_machine_arn, batch)
    outcome = "started" if started else "known"
    event = LogEvent.EXECUTION_STARTED if started else LogEvent.EXECUTION_KNOWN
    logger().info(
        f"execution {outcome}", extra={"event": event, "batch_id": batch.batch_id, "chunks": batch.chunk_count}
    )
    count(batch.dataset, {"FilesStarted" if started else "DuplicateEvents": 1})
    return outcome


def _batch(created: ObjectCreated) -> Batch:
    """Return the batch of a version, planned from the version's metadata and first bytes.

    A deleted version is planned from the event, and its execution fails and sends a notification.
    """
    place = (created.bucket, created.key, created.version_id)
    planner = Planner(s3_utils.storage(), settings().chunk_bytes, settings().contracts)
    if batch := planner.plan(*place, created.sequencer):
        return batch
    source = Source(*place, created.size, created.etag, padded_sequencer(created.sequencer))
    return plan_batch(source, created.time, settings().chunk_bytes)
