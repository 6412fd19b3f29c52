"""The entry point of `record_failure`: the failure branch calls it, and EventBridge for what died without."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from functions.common import s3_utils
from functions.common.config import settings
from functions.common.telemetry import count, step
from functions.record_failure.failure import Failure, notice, record

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_stepfunctions import SFNClient

_NOTICES = ("NotifyFailure", "NotifyRejects")


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, str]:
    """Write the failure record of an execution, once; answers the notice.

    The state machine sends the notice itself. For EventBridge it is sent from here, unless the execution's
    history shows that the state machine did.
    """
    from_event_bridge = "detail" in event
    failure = Failure.from_status_change(event) if from_event_bridge else Failure.from_state_machine(event)
    with step("record_failure", failure.batch.batch_id, execution=failure.execution, error=failure.error) as outcome:
        message = _record(failure, outcome)
        if from_event_bridge and not _was_notified(event["detail"]["executionArn"]):
            with s3_utils.transient_faults("Publish"):
                _sns().publish(TopicArn=settings().topic_arn, Subject=message["subject"], Message=message["message"])
            outcome["notified"] = True
    return message


def _record(failure: Failure, outcome: dict[str, Any]) -> dict[str, str]:
    bucket, key = settings().processed_bucket, failure.batch.failure_key(failure.execution)
    committed = s3_utils.head(bucket, failure.batch.manifest_key) is not None
    has_rejects = s3_utils.head(bucket, failure.batch.rejected_key) is not None
    rejects_uri = f"s3://{bucket}/{failure.batch.rejected_key}" if has_rejects else None
    content = record(failure, committed=committed, rejects_uri=rejects_uri)
    outcome["recorded"] = s3_utils.put_new(bucket, key, json.dumps(content, indent=2, ensure_ascii=False).encode())
    if outcome["recorded"]:
        count(failure.batch.dataset, {"FilesFailed": 1})
    return notice(content, f"s3://{bucket}/{key}")


def _was_notified(execution_arn: str) -> bool:
    """Whether a notice was taken: a notifying state is also left, by its Catch, where the notice was not."""
    with s3_utils.transient_faults("GetExecutionHistory"):
        events = _step_functions().get_execution_history(
            executionArn=execution_arn, reverseOrder=True, maxResults=20, includeExecutionData=False
        )["events"]
    types = {event["id"]: event["type"] for event in events}
    return any(
        event["stateExitedEventDetails"]["name"] in _NOTICES and types.get(event["id"] - 1) == "TaskSucceeded"
        for event in events
        if "stateExitedEventDetails" in event
    )


@cache
def _step_functions() -> "SFNClient":
    return boto3.client("stepfunctions", config=Config(retries={"mode": "standard", "max_attempts": 5}))


@cache
def _sns() -> "SNSClient":
    return boto3.client("sns", config=Config(retries={"mode": "standard", "max_attempts": 5}))
