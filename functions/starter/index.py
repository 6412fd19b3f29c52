"""The entry point of `starter`: an S3 event in, an execution for each object version out."""

from collections.abc import Mapping
from typing import Any

from functions.common import executions, s3_utils
from functions.common.batch import Batch, Source
from functions.common.config import settings
from functions.common.planning import padded_sequencer, plan_batch, source_of
from functions.common.telemetry import LogEvent, count, logger
from functions.starter.events import TEST_EVENT, ObjectCreated, objects_created


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, int]:
    """Start one execution for each object version of an S3 event; answers how many were started and known.

    Any error makes Lambda deliver the whole event again; what was started is then known.
    """
    if event.get("Event") == TEST_EVENT:
        extra = {"event": LogEvent.IGNORED, "bucket": event.get("Bucket")}
        logger().info("ignored S3's test event", extra=extra)
        return {"started": 0, "known": 0}
    outcomes = [_start(created) for created in objects_created(event)]
    return {"started": outcomes.count("started"), "known": outcomes.count("known")}


def _start(created: ObjectCreated) -> str:
    if created.is_folder:
        extra = {"event": LogEvent.IGNORED, "bucket": created.bucket, "key": created.key}
        logger().info("ignored a folder marker", extra=extra)
        return "passed over"
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
    """The batch of a version, planned from its HEAD.

    A version that is gone is planned from the event: its execution fails and tells somebody.
    """
    place = (created.bucket, created.key, created.version_id)
    head = s3_utils.storage().head(*place)
    if head is None:
        source = Source(*place, created.size, created.etag, padded_sequencer(created.sequencer))
        return plan_batch(source, created.time, settings().chunk_bytes)
    return plan_batch(source_of(*place, head, created.sequencer), head["LastModified"], settings().chunk_bytes)
