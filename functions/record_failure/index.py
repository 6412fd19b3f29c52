"""The Lambda handler of `record_failure`, which the failure branch and EventBridge call when an execution fails."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from msgspec import structs

from functions.common import aws, executions, s3_utils
from functions.common.config import settings
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.notification import Notification
from functions.common.errors import TransientError
from functions.common.telemetry import count, step
from functions.record_failure.failure import Failure, notification, record

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_NOTIFYING_STATES = ("NotifyFailure", "NotifyRejects")
_ENDS = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted", "ExecutionSucceeded")


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, str]:
    """Write the failure record of an execution once, and return the notification.

    If the state machine calls this function, the state machine sends the notification afterwards. If EventBridge or the
    reconciler calls after the execution's end, this function sends a missing notification and records the sender.
    """
    has_ended = "detail" in event
    failure = Failure.from_status_change(event) if has_ended else Failure.from_state_machine(event)
    with step("record_failure", failure.batch.batch_id, execution=failure.execution, error=failure.error) as outcome:
        content = _record(failure, outcome)
        message = notification(content, f"s3://{settings().processed_bucket}/{failure.key}")
        if has_ended and not content.is_notified:
            notified_by = _ensure_notified(event["detail"]["executionArn"], message)
            content = structs.replace(content, notified_by=notified_by)
            s3_utils.storage().put_bytes(settings().processed_bucket, failure.key, content.to_bytes())
            outcome["notified_by"] = notified_by
    return message.to_output()


def _record(failure: Failure, outcome: dict[str, Any]) -> FailureRecord:
    """Write the failure record unless one exists, and return the stored record."""
    bucket = settings().processed_bucket
    committed = s3_utils.storage().head(bucket, failure.batch.manifest_key) is not None
    has_rejects = s3_utils.storage().head(bucket, failure.batch.rejected_key) is not None
    rejects_uri = f"s3://{bucket}/{failure.batch.rejected_key}" if has_rejects else None
    content = record(failure, committed=committed, rejects_uri=rejects_uri)
    outcome["recorded"] = s3_utils.storage().put_new(bucket, failure.key, content.to_bytes())
    if outcome["recorded"]:
        count(failure.batch.dataset, {"FilesFailed": 1})
        return content
    stored = s3_utils.storage().get_bytes(bucket, failure.key)
    return FailureRecord.read(stored, failure.key) if stored else content


def _ensure_notified(execution_arn: str, message: Notification) -> str:
    """Send the notification unless the state machine has sent it. Return `state_machine` or `record_failure`.

    The caller records the result afterwards. A crash in between causes a second notification, but never a missing one.
    """
    if _was_notified(execution_arn):
        return "state_machine"
    with s3_utils.transient_faults("Publish"):
        _sns().publish(TopicArn=settings().topic_arn, Subject=message.subject, Message=message.message)
    return "record_failure"


def _was_notified(execution_arn: str) -> bool:
    """Return whether a notifying state succeeded. Exiting the state isn't enough, because its Catch also exits it.

    Raises TransientError if the history does not show the execution's end yet.
    """
    with s3_utils.transient_faults("GetExecutionHistory"):
        events = executions.client().get_execution_history(
            executionArn=execution_arn, reverseOrder=True, maxResults=20, includeExecutionData=False
        )["events"]
    if events and not any(event["type"] in _ENDS for event in events):
        raise TransientError("GetExecutionHistory: the history does not show the execution's end yet. Retry later.")
    types = {event["id"]: event["type"] for event in events}
    return any(
        event["stateExitedEventDetails"]["name"] in _NOTIFYING_STATES and types.get(event["id"] - 1) == "TaskSucceeded"
        for event in events
        if "stateExitedEventDetails" in event
    )


@cache
def _sns() -> "SNSClient":
    config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=10)
    sns: SNSClient = aws.client("sns", config)
    return sns
