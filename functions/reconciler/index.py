"""The Lambda handler of `reconciler`, which runs on a schedule to find and repair versions without an outcome."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common import aws, executions, s3_utils
from functions.common.batch_state import (
    BatchState,
    Finding,
    Patience,
    Pipeline,
    executions_since,
    not_notified,
    plan,
    survey,
)
from functions.common.config import settings
from functions.common.errors import PipelineError
from functions.common.telemetry import LogEvent, count, logger, step

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_UNACCOUNTED = (BatchState.STUCK, BatchState.LOST, BatchState.UNKNOWN)
"""The states that require manual recovery."""


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, int]:
    """Survey the versions of the last `since_hours` that are older than `grace_minutes`.

    Starts missing executions. Invokes record_failure for failures without a notification, because Step Functions sends
    events to EventBridge on a best-effort basis. The metric BatchesUnaccounted, which has an alarm, counts failed
    repairs and batches that are stuck, lost or unknown. Returns the number of versions in each state.
    """
    patience = Patience(datetime.now(UTC), timedelta(minutes=event["grace_minutes"]))
    since = patience.now - timedelta(hours=event["since_hours"])
    found: Counter[str] = Counter({state.value: 0 for state in BatchState})
    with step("reconcile", batch_id="", since=since.isoformat(timespec="seconds")) as outcome:
        pipeline, unrepaired = _pipeline(), 0
        known = executions_since(pipeline, since)
        for finding in survey(pipeline, since, patience, known=known):
            found[finding.state] += 1
            if finding.state is BatchState.MISSING:
                unrepaired += not _repaired(partial(_start, finding), finding.batch_id)
            elif finding.state in _UNACCOUNTED:
                logger().warning(
                    f"batch {finding.state}", extra={"event": LogEvent.BATCH_UNACCOUNTED, "batch_id": finding.batch_id}
                )
        for execution in not_notified(pipeline, known, patience):
            unrepaired += not _repaired(partial(_report, execution), execution["name"])
        outcome |= found
    unaccounted = sum(found[state] for state in _UNACCOUNTED) + unrepaired
    count(None, {"BatchesStartedLate": found[BatchState.MISSING], "BatchesUnaccounted": unaccounted})
    return dict(found)


def _repaired(repair: Callable[[], None], name: str) -> bool:
    """Run one repair, and return whether it succeeded. A failed repair doesn't stop the others."""
    try:
        repair()
    except (PipelineError, ClientError) as exc:
        extra = {"event": LogEvent.REPAIR_FAILED, "batch_id": name, "error": type(exc).__name__}
        logger().error("could not repair a batch", extra=extra)
        return False
    return True


def _start(finding: Finding) -> None:
    assert finding.version is not None
    pipeline = _pipeline()
    batch = plan(pipeline, finding.version)
    if batch is None:
        return  # deleted since the survey, with all its data
    started = executions.start(pipeline.step_functions, pipeline.state_machine_arn, batch)
    logger().warning(
        "started a version whose event never arrived" if started else "the event arrived after the survey",
        extra={
            "event": LogEvent.EXECUTION_STARTED if started else LogEvent.EXECUTION_KNOWN,
            "batch_id": batch.batch_id,
        },
    )


def _report(execution: Mapping[str, Any]) -> None:
    """Invoke record_failure with the event that EventBridge should have sent. record_failure does what is missing."""
    pipeline, name = _pipeline(), execution["name"]
    described = executions.describe(pipeline.step_functions, pipeline.state_machine_arn, name)
    assert described is not None  # ListExecutions just returned the execution
    extra = {"event": LogEvent.FAILURE_NOT_NOTIFIED, "batch_id": name}
    logger().warning("requesting the missing notification of a failure", extra=extra)
    with s3_utils.transient_faults("Invoke record_failure"):
        _lambda().invoke(
            FunctionName=settings().record_failure_arn,
            InvocationType="Event",
            Payload=json.dumps(status_change(described)),
        )


def status_change(execution: Mapping[str, Any]) -> dict[str, Any]:
    """Return EventBridge's event for an execution, from its DescribeExecution response, as record_failure reads it.

    https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html
    """
    known = {name: execution[name] for name in ("executionArn", "name", "status", "input")}
    return {"detail": {**known, "error": execution.get("error"), "cause": execution.get("cause")}}


@cache
def _pipeline() -> Pipeline:
    return Pipeline(
        storage=s3_utils.storage(),
        step_functions=executions.client(),
        ingest_bucket=settings().ingest_bucket,
        processed_bucket=settings().processed_bucket,
        state_machine_arn=settings().state_machine_arn,
        chunk_bytes=settings().chunk_bytes,
        contracts=settings().contracts,
    )


@cache
def _lambda() -> "LambdaClient":
    made: LambdaClient = aws.client("lambda", Config(retries={"mode": "standard", "max_attempts": 5}))
    return made
