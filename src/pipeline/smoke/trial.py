"""What the checks of one deployment share: the files that were sent and what became of them, and what was heard."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline import ROOT, runs
from pipeline.errors import CliError
from pipeline.targets import Target
from pipeline.waiting import wait_for

DATASET = "orders"
ORDERS = 100
BAD = 1
"""Of the orders of the mixed file: it lacks a field, which no setting lets pass."""
HOPELESS = 10

_PATIENCE_SECONDS = {"local": 20.0, "aws": 300.0}
"""How long what comes by itself may take: run records, notices, alarms, logs and metrics."""
_PAUSE_SECONDS = {"local": 0.1, "aws": 2.0}


@dataclass
class Ear:
    """A queue that hears what both topics say, for as long as the checks run."""

    place: Target
    url: str
    _heard: list[dict[str, str]] = field(default_factory=list)

    def heard(self) -> list[dict[str, str]]:
        """All that was heard until now, as SNS wrapped it."""
        queue = self.place.client("sqs")
        while messages := queue.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                self._heard.append(json.loads(message["Body"]))
                queue.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self._heard


@dataclass
class Trial:
    """One deployment under test. Each file is sent once, when a check first asks what became of it."""

    place: Target
    folder: Path
    """Where the files lie that are sent, and what is downloaded."""
    ear: Ear
    _ended: dict[str, runs.Outcome | Exception] = field(default_factory=dict)
    _mark: str = field(default_factory=lambda: uuid4().hex[:8])

    @property
    def good(self) -> runs.Outcome:
        """What became of a file of ORDERS good orders."""
        return self._outcome("good", lambda path: generate(path, ORDERS))

    @property
    def mixed(self) -> runs.Outcome:
        """What became of a file of ORDERS other orders, of which BAD breaks the contract."""
        return self._outcome(
            "mixed", lambda path: generate(path, ORDERS, "--seed=1", f"--invalid-ratio={BAD / ORDERS}")
        )

    @property
    def hopeless(self) -> runs.Outcome:
        """What became of a file without a single order."""
        return self._outcome("hopeless", lambda path: path.write_bytes(b"{}\n" * HOPELESS))

    @property
    def outcomes(self) -> Sequence[runs.Outcome]:
        return self.good, self.mixed, self.hopeless

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The state machine as it is deployed."""
        machine = self.place.outputs["state_machine_arn"]
        described = self.place.step_functions.describe_state_machine(stateMachineArn=machine)
        definition: dict[str, Any] = json.loads(described["definition"])
        return definition

    def _outcome(self, name: str, write: Callable[[Path], object]) -> runs.Outcome:
        if name not in self._ended:
            try:
                self._ended[name] = self._run(name, write)
            except Exception as exc:  # the next check that asks must not wait for it again
                self._ended[name] = exc
        ended = self._ended[name]
        if isinstance(ended, Exception):
            raise ended
        return ended

    def _run(self, name: str, write: Callable[[Path], object]) -> runs.Outcome:
        path = self.folder / f"smoke-{self._mark}-{name}.jsonl"
        write(path)
        uploaded = runs.upload(self.place, path, DATASET)
        for _ in runs.follow(self.place, uploaded):
            pass
        return runs.outcome(self.place, uploaded)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is so. Raises CliError where it takes too long."""
        seconds = _PATIENCE_SECONDS[self.place.name]
        if not wait_for(condition, seconds, _PAUSE_SECONDS[self.place.name]):
            raise CliError(f"{what} did not come within {seconds:.0f} s")


def generate(path: Path, orders: int, *arguments: str) -> None:
    """Write a file of generated orders."""
    script = ROOT / "src" / "generate_data.py"
    command = [sys.executable, str(script), f"--orders={orders}", f"--out={path}", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def listening(place: Target) -> Iterator[Ear]:
    """A queue that hears both topics of a deployment, and is gone afterwards."""
    queue, topics = place.client("sqs"), [place.outputs["topic_arn"], place.outputs["alarms_topic_arn"]]
    name = f"{place.outputs['name']}-smoke-{uuid4().hex[:8]}"
    arn = topics[0].replace(":sns:", ":sqs:").rpartition(":")[0] + f":{name}"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    url = queue.create_queue(QueueName=name, Attributes={"Policy": policy}, tags=place.outputs["tags"])["QueueUrl"]
    subscribed: list[str] = []
    try:
        for topic in topics:
            answer = place.client("sns").subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
            )
            subscribed.append(answer["SubscriptionArn"])
        yield Ear(place, url)
    finally:
        for subscription in subscribed:
            place.client("sns").unsubscribe(SubscriptionArn=subscription)
        queue.delete_queue(QueueUrl=url)
