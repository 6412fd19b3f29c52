"""The on-failure queue: events that no retry could get handled, shown and sent back to the function they were for.

Two kinds of messages come here: Lambda's record of an asynchronous invocation that failed, with the event inside
(docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html), and the event itself, which EventBridge
or its Scheduler could not deliver, with the function in an attribute
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

_PEEK_SECONDS = 30
"""How long a message that was only looked at stays hidden from others."""

_HANDLING_SECONDS = 920
"""How long a message that is being sent back is hidden: the longest that a function may run, and some seconds."""


LIVE = "live"
"""The alias that events invoke."""

_READ_A_SECOND = 25
"""How many messages are surely read in a second: so much longer they stay hidden."""

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
        try:
            if "Records" in self.event:
                return ", ".join(unquote_plus(record["s3"]["object"]["key"]) for record in self.event["Records"])
            return str(self.event["detail"]["name"])
        except (KeyError, TypeError, AttributeError):
            return ""


def waiting(place: Target) -> int:
    """About how many messages are in the queue, hidden ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = place.client("sqs").get_queue_attributes(QueueUrl=_url(place), AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def peek(place: Target) -> Iterator[tuple[Undelivered, str]]:
    """What is in the queue and why; when all was looked at, it can be seen by others again."""
    for message in _received(place, _PEEK_SECONDS + waiting(place) // _READ_A_SECOND, 10):
        yield message, message.error or "it does not say why"


def redrive(place: Target) -> Iterator[tuple[Undelivered, str]]:
    """Send each event back to its function and wait for the answer; gives the error, or nothing where it was handled.

    A message leaves the queue only when its event was handled. Every function here may be told of one event twice.
    """
    names = set(place.outputs()["function_names"].values())
    invoker = place.client("lambda", config=Config(read_timeout=_HANDLING_SECONDS, retries={"total_max_attempts": 1}))
    sqs = place.client("sqs")
    for message in _received(place, _HANDLING_SECONDS, 1):
        if message.event is None or message.function not in names:
            yield message, message.error if message.event is None else "not for a function of this deployment"
            continue
        answer = invoker.invoke(FunctionName=message.function, Qualifier=LIVE, Payload=json.dumps(message.event))
        if "FunctionError" in answer:
            yield message, _error_of(json.loads(answer["Payload"].read())) or "the function failed"
            continue
        sqs.delete_message(QueueUrl=_url(place), ReceiptHandle=message.receipt)
        yield message, ""


def _received(place: Target, hidden_seconds: int, at_once: int) -> Iterator[Undelivered]:
    """Each message of the queue once; what is still there when the reader stops can be seen by others at once."""
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
            if not new:  # they can be seen again: all were looked at, or this takes too long
                return
            seen |= {message["MessageId"] for message in new}
            yield from map(parse, new)
    finally:
        for receipt in received:
            with suppress(ClientError):  # it was deleted
                sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)


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
    return str(place.outputs()["on_failure_queue_url"])
