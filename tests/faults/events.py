"""The events that AWS would send, with the members that the functions read."""

from typing import Any
from urllib.parse import quote_plus

from tests import harness

MACHINE = harness.ENVIRONMENT["STATE_MACHINE_ARN"]
TOPIC = harness.ENVIRONMENT["TOPIC_ARN"]


def object_created(key: str, version_id: str, size: int, number: int) -> dict[str, Any]:
    """S3's event for a new version, the `number`th one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    created = {
        "key": quote_plus(key),
        "size": size,
        "eTag": "of-the-event",
        "versionId": version_id,
        "sequencer": f"{number:016X}",
    }
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": harness.INGEST}, "object": created},
    }
    return {"Records": [record]}


def versions_in(event: Any) -> list[str]:
    """The version ids in an S3 event; none in any other event."""
    return [record["s3"]["object"]["versionId"] for record in event.get("Records", [])]


def status_change(execution: Any) -> dict[str, Any]:
    """EventBridge's event for one of moto's executions that did not succeed.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    detail = {
        "executionArn": execution.execution_arn,
        "stateMachineArn": MACHINE,
        "name": execution.name,
        "status": execution.status,
        "input": execution.execution_input,
        "error": execution.error,
        "cause": execution.cause,
    }
    return {"detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail}


def undelivered(function: str, event: Any, error: str) -> dict[str, Any]:
    """The record that Lambda puts into the failed-event queue.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    function_arn = f"arn:aws:lambda:{harness.REGION}:123456789012:function:{function}:live"
    return {
        "version": "1.0",
        "requestContext": {
            "functionArn": function_arn,
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"},
        "responsePayload": {"errorType": error},
    }


def function_in(record: Any) -> str:
    """The function that could not handle a record of the queue."""
    name: str = record["requestContext"]["functionArn"].split(":")[6]
    return name
