"""A queue that receives what the topics of a deployment publish."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pipeline.deploy.targets import Target


@dataclass
class Subscriber:
    """Receives what both topics publish: notifications and alarms."""

    place: Target
    url: str
    """Of its queue."""
    _received: list[dict[str, str]] = field(default_factory=list)

    def notifications(self, words: str) -> list[dict[str, str]]:
        """The notifications until now that contain some words, such as a batch id, as SNS wraps them."""
        return [one for one in self._of("topic_arn") if words in one["Message"]]

    def alarms(self) -> list[dict[str, Any]]:
        """The messages that alarms have published until now. A budget publishes plain text to the same topic."""
        return [json.loads(one["Message"]) for one in self._of("alarms_topic_arn") if one["Message"].startswith("{")]

    def _of(self, topic: str) -> list[dict[str, str]]:
        self._received += [json.loads(message["Body"]) for message in messages(self.place, self.url)]
        return [one for one in self._received if one.get("TopicArn") == self.place.outputs()[topic]]


def messages(place: Target, url: str) -> Iterator[dict[str, Any]]:
    """The messages that are in a queue now; each is deleted as it is read."""
    queue = place.client("sqs")
    while received := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in received:
            yield message
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def subscribed(place: Target) -> Iterator[Subscriber]:
    """A subscriber to both topics of a deployment; its queue and subscriptions are deleted afterwards."""
    queue, topics = place.client("sqs"), [place.outputs()["topic_arn"], place.outputs()["alarms_topic_arn"]]
    name = f"{place.outputs()['name']}-smoke-{uuid4().hex[:8]}"
    arn = topics[0].replace(":sns:", ":sqs:").rpartition(":")[0] + f":{name}"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    url = queue.create_queue(QueueName=name, Attributes={"Policy": policy}, tags=place.outputs()["tags"])["QueueUrl"]
    subscriptions: list[str] = []
    try:
        for topic in topics:
            answer = place.client("sns").subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
            )
            subscriptions.append(answer["SubscriptionArn"])
        yield Subscriber(place, url)
    finally:
        for subscription in subscriptions:
            place.client("sns").unsubscribe(SubscriptionArn=subscription)
        queue.delete_queue(QueueUrl=url)
