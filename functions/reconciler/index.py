"""The entry point of `reconciler`: on a schedule, it looks for versions without an outcome and gives them one."""

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
"""What only a person can mend."""


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, int]:
    """Survey the versions of the last `since_hours` that are older than `grace_minutes`; answers how many are what.

    What is missing is started. Of failures that nobody was told of, record_failure is told: Step Functions tells
    EventBridge of them with its best effort only. What is stuck or lost, and what could not be mended, is counted in
    the metric BatchesUnaccounted, which has an alarm.
    """
    patience = Patience(datetime.now(UTC), timedelta(minutes=event["grace_minutes"]))
    since = patience.now - timedelta(hours=event["since_hours"])
    found: Counter[str] = Counter({state.value: 0 for state in BatchState})
    with step("reconcile", batch_id="", since=since.isoformat(timespec="seconds")) as outcome:
        pipeline, unmended = _pipeline(), 0
        known = executions_since(pipeline, since)
        for finding in survey(pipeline, since, patience, known=known):
            found[finding.state] += 1
            if finding.state is BatchState.MISSING:
                unmended += not _mended(partial(_start, finding), finding.batch_id)
            elif finding.state in _UNACCOUNTED:
                logger().warning(
                    f"batch {finding.state}", extra={"event": LogEvent.BATCH_UNACCOUNTED, "batch_id": finding.batch_id}
                )
        for execution in not_notified(pipeline, known, patience):
            unmended += not _mended(partial(_tell, execution), execution["name"])
        outcome |= found
    unaccounted = sum(found[state] for state in _UNACCOUNTED) + unmended
    count(None, {"BatchesStartedLate": found[BatchState.MISSING], "BatchesUnaccounted": unaccounted})
    return dict(found)


def _mended(mend: Callable[[], None], name: str) -> bool:
    """Do one repair; where it fails, the others are still done."""
    try:
        mend()
    except (PipelineError, ClientError) as exc:
        extra = {"event": LogEvent.REPAIR_FAILED, "batch_id": name, "error": type(exc).__name__}
        logger().error("could not be repaired", extra=extra)
        return False
    return True


def _start(finding: Finding) -> None:
    assert finding.version is not None
    pipeline = _pipeline()
    batch = plan(pipeline, finding.version)
    if batch is None:
        return  # deleted meanwhile, with all its data: there is nothing left to account for
    started = executions.start(pipeline.step_functions, pipeline.state_machine_arn, batch)
    logger().warning(
        "started a version whose event never came" if started else "its event came meanwhile",
        extra={
            "event": LogEvent.EXECUTION_STARTED if started else LogEvent.EXECUTION_KNOWN,
            "batch_id": batch.batch_id,
        },
    )


def _tell(execution: Mapping[str, Any]) -> None:
    """Tell record_failure of an execution as EventBridge should have; it sees by itself what is still to be done."""
    pipeline, name = _pipeline(), execution["name"]
    described = executions.describe(pipeline.step_functions, pipeline.state_machine_arn, name)
    assert described is not None  # it was listed a moment ago
    extra = {"event": LogEvent.FAILURE_NOT_NOTIFIED, "batch_id": name}
    logger().warning("a failure that nobody was notified of", extra=extra)
    with s3_utils.transient_faults("Invoke record_failure"):
        _lambda().invoke(
            FunctionName=settings().record_failure_arn,
            InvocationType="Event",
            Payload=json.dumps(status_change(described)),
        )


def status_change(execution: Mapping[str, Any]) -> dict[str, Any]:
    """What EventBridge would say of an execution that DescribeExecution describes; only what record_failure reads.

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
