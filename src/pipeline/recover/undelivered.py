"""Shows undelivered events in the failed-event queue, and sends them to their functions again.

The queue holds two kinds of messages: Lambda's record of a failed asynchronous invocation, with the event inside
(docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html), and an event that EventBridge or its
Scheduler could not deliver, with the function in an attribute
(docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from botocore.config import Config
from botocore.exceptions import ClientError

from pipeline.deploy.targets import Target

LIVE = "live"
"""The alias of the functions that events invoke."""

_PEEK_SECONDS = 30
"""How long a message that is only read stays hidden from other readers, in seconds."""

_HANDLING_SECONDS = 920
"""How long a message whose event is sent again stays hidden: a function's longest timeout and a few seconds."""

_READ_A_SECOND = 25
"""The minimum number of messages that can be read per second."""

_WAIT_SECONDS = 1
"""With a wait of a second or more, SQS asks all of its servers and also finds messages that have just arrived."""


@dataclass(frozen=True)
class Undelivered:
    """A message in the failed-event queue."""

    receipt: str
    sent: datetime
    function_arn: str
    """The ARN of the function that the event was for, with alias. Empty if the message doesn't name it."""
    event: Any
    error: str
    """Why the event was not handled, in one line."""

    @property
    def function(self) -> str:
        """The name of the function, or `unknown`."""
        return self.function_arn.split(":")[6] if self.function_arn.count(":") >= 6 else "unknown"

    @property
    def about(self) -> str:
        """The keys or the execution that the event is about."""
        try:
            if "Records" in self.event:
                return ", ".join(unquote_plus(record["s3"]["object"]["key"]) for record in self.event["Records"])
            return str(self.event["detail"]["name"])
        except (KeyError, TypeError, AttributeError):
            return ""


def waiting(place: Target) -> int:
    """Return the approximate number of messages in the queue, including hidden ones."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = place.client("sqs").get_queue_attributes(QueueUrl=_url(place), AttributeNames=names)
    return sum(int(found["Attributes"][name]) for name in names)


def peek(place: Target) -> Iterator[tuple[Undelivered, str]]:
    """Yield the messages of the queue, each with its error. Afterwards, other readers can see the messages again."""
    for message in _received(place, _PEEK_SECONDS + waiting(place) // _READ_A_SECOND, 10):
        yield message, message.error or "the message gives no error"


def redrive(place: Target) -> Iterator[tuple[Undelivered, str]]:
    """Send each event to its function again and wait. Yield the message and its error, which is empty on success.

    A message leaves the queue only after its event was handled. Every function tolerates duplicate events.
    """
    names = set(place.outputs()["function_names"].values())
    invoker = place.client("lambda", config=Config(read_timeout=_HANDLING_SECONDS, retries={"total_max_attempts": 1}))
    for message in _received(place, _HANDLING_SECONDS, 1):
        if message.event is None or message.function not in names:
            yield message, message.error if message.event is None else "not for a function of this deployment"
            continue
        result = invoker.invoke(FunctionName=message.function, Qualifier=LIVE, Payload=json.dumps(message.event))
        if "FunctionError" in result:
            yield message, _error_of(json.loads(result["Payload"].read())) or "the function failed"
            continue
        place.client("sqs").delete_message(QueueUrl=_url(place), ReceiptHandle=message.receipt)
        yield message, ""


def _received(place: Target, hidden_seconds: int, at_once: int) -> Iterator[Undelivered]:
    """Yield each message of the queue once. When the reader stops, the remaining messages are visible again at once."""
    sqs, url, received, seen = place.client("sqs"), _url(place), [], set[str]()
    try:
        while messages := sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=at_once,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", []):
            received += [message["ReceiptHandle"] for message in messages]
            new = [message for message in messages if message["MessageId"] not in seen]
            if not new:  # the messages are visible again: all were read, or reading takes too long
                return
            seen |= {message["MessageId"] for message in new}
            yield from map(parse, new)
    finally:
        for receipt in received:
            with suppress(ClientError):  # the message was deleted
                sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)


def parse(message: Mapping[str, Any]) -> Undelivered:
    """Convert a message that SQS returned."""
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


def _error_of(payload: Any) -> str:
    """Return the error that a function returned, in one line."""
    if not isinstance(payload, Mapping):
        return ""
    return " ".join(f"{payload.get('errorType', '')}: {payload.get('errorMessage', '')}".split()).strip(": ")


def _url(place: Target) -> str:
    return str(place.outputs()["on_failure_queue_url"])
