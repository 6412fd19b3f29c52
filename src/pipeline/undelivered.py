"""The on-failure queue: events that no retry could get handled, shown and sent back to the function they were for.

Two kinds of messages come here: Lambda's record of an asynchronous invocation that failed, with the event inside
(docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html), and the event itself, which EventBridge
or its Scheduler could not deliver, with the function in an attribute
(docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from botocore.config import Config

from pipeline.targets import Target

_PEEK_SECONDS = 30
"""How long a message that was only looked at stays hidden from others."""

_HANDLING_SECONDS = 920
"""How long a message that is being sent back is hidden: the longest that a function may run, and some seconds."""


_WAIT_SECONDS = 1
"""Asking for a second or more asks all of SQS's servers, and finds also a message that just came."""


@dataclass(frozen=True)
class Undelivered:
    """One message of the queue."""

    receipt: str
    sent: datetime
    function_arn: str
    """Whom the event was for, with alias; empty where the message does not say."""
    event: Any
    error: str
    """Why it was not handled, in one line."""

    @property
    def function(self) -> str:
        """The function's name."""
        return self.function_arn.split(":")[6] if self.function_arn.count(":") >= 6 else "unknown"

    @property
    def about(self) -> str:
        """The keys or the execution that the event tells of."""
        if not isinstance(self.event, Mapping):
            return ""
        objects = (record.get("s3", {}).get("object", {}) for record in self.event.get("Records", []))
        keys = [unquote_plus(found["key"]) for found in objects if "key" in found]
        return ", ".join(keys) or self.event.get("detail", {}).get("name", "")


def waiting(place: Target) -> int:
    """About how many messages are in the queue, hidden ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = place.client("sqs").get_queue_attributes(QueueUrl=_url(place), AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def peek(place: Target) -> list[Undelivered]:
    """What is in the queue; it stays there."""
    return list(_receive(place, _PEEK_SECONDS))


def redrive(place: Target) -> Iterator[tuple[Undelivered, str]]:
    """Send each event back to its function and wait for the answer; gives the error, or nothing where it was handled.

    A message leaves the queue only when its event was handled; else it shows up again later. Every function here may
    be told of one event twice.
    """
    functions = set(place.outputs["function_names"].values())
    invoker = place.client("lambda", config=Config(read_timeout=_HANDLING_SECONDS, retries={"total_max_attempts": 1}))
    for message in _receive(place, _HANDLING_SECONDS):
        if message.function not in functions:
            yield message, "not a function of this deployment"
            continue
        answer = invoker.invoke(FunctionName=message.function_arn, Payload=json.dumps(message.event))
        if "FunctionError" in answer:
            yield message, _error_of(json.loads(answer["Payload"].read()))
            continue
        place.client("sqs").delete_message(QueueUrl=_url(place), ReceiptHandle=message.receipt)
        yield message, ""


def _receive(place: Target, hidden_seconds: int) -> Iterator[Undelivered]:
    """Each message of the queue once, for as long as it stays hidden."""
    sqs = place.client("sqs")
    while True:
        answer = sqs.receive_message(
            QueueUrl=_url(place),
            MaxNumberOfMessages=10,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        if not (messages := answer.get("Messages", [])):
            return
        yield from map(parse, messages)


def parse(message: Mapping[str, Any]) -> Undelivered:
    """A message as SQS gives it."""
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    try:
        body = json.loads(message["Body"])
    except ValueError:
        return Undelivered(message["ReceiptHandle"], sent, "", None, "the message is not JSON")
    if isinstance(body, dict) and "requestPayload" in body:
        arn, event = body["requestContext"]["functionArn"], body["requestPayload"]
        error = _error_of(body.get("responsePayload")) or body["requestContext"].get("condition", "")
    else:
        attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
        arn, event = attributes.get("TARGET_ARN", ""), body
        error = attributes.get("ERROR_MESSAGE") or attributes.get("ERROR_CODE", "")
    return Undelivered(message["ReceiptHandle"], sent, arn, event, error)


def _error_of(answer: Any) -> str:
    """The error that a function answered with, in one line."""
    if not isinstance(answer, Mapping):
        return ""
    return " ".join(f"{answer.get('errorType', '')}: {answer.get('errorMessage', '')}".split()).strip(": ")


def _url(place: Target) -> str:
    return str(place.outputs["on_failure_queue_url"])
