"""What the checks of one deployment share: the files that were sent and what became of them, and what was heard."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError

from pipeline import ROOT
from pipeline import console as show
from pipeline.deploy.targets import Target
from pipeline.errors import CliError
from pipeline.run import runs
from pipeline.smoke.second_apply import Changed, apply_again
from pipeline.waiting import retry_call, wait_for

_Answer = TypeVar("_Answer")

DATASET = "orders"
ORDERS = 100
BAD = 1
"""Of the orders of the mixed file: it lacks a field, which no setting lets pass."""
HOPELESS = 10
LARGE = 20_000
"""So many orders that their execution can be stopped before it ends."""
UNHANDLED = 600.0
"""How many seconds Lambda may take to give up on an event: it waits a minute and then two between its attempts."""

_AUTHORIZATION_SECONDS = 600.0
"""How long a new key's alias and tags, or a new role, may take to affect authorization; AWS says five minutes."""
_DENIED = ("AccessDenied", "AccessDeniedException", "KMSAccessDeniedException")

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
        self._heard += [json.loads(message["Body"]) for message in _received(self.place, self.url)]
        return self._heard


@dataclass
class Trial:
    """One deployment under test. Each file is sent once, when a check first asks what became of it."""

    place: Target
    folder: Path
    """Where the files lie that are sent, and what is downloaded."""
    ear: Ear
    _made: dict[str, Any] = field(default_factory=dict)
    """What was asked for once, or the exception that kept it from being made."""
    _failed: list[str] = field(default_factory=list)
    _mark: str = field(default_factory=lambda: uuid4().hex[:8])

    def good(self) -> runs.RunResult:
        """What became of a file of ORDERS good orders."""
        return self._outcome("good", lambda path: generate(path, ORDERS))

    def mixed(self) -> runs.RunResult:
        """What became of a file of ORDERS other orders, of which BAD breaks the contract."""
        return self._outcome(
            "mixed", lambda path: generate(path, ORDERS, "--seed=1", f"--invalid-ratio={BAD / ORDERS}")
        )

    def hopeless(self) -> runs.RunResult:
        """What became of a file without a single order."""
        return self._outcome("hopeless", lambda path: path.write_bytes(b"{}\n" * HOPELESS))

    def outcomes(self) -> Sequence[runs.RunResult]:
        return self.good(), self.mixed(), self.hopeless()

    def definition(self) -> dict[str, Any]:
        """The state machine as it is deployed."""
        return self._once("definition", self._describe_definition)

    def _describe_definition(self) -> Any:
        machine = self.place.outputs()["state_machine_arn"]
        described = self.place.step_functions().describe_state_machine(stateMachineArn=machine)
        return json.loads(described["definition"])

    def changed(self) -> Changed:
        """The deployment after its second apply, which is made when a check first asks for it."""
        return self._once("second apply", lambda: apply_again(self.place))

    def analyst(self, service: str) -> Any:
        """A client of somebody who has analyst_policy and nothing else."""
        keys = self._once("analyst", self._assume_analyst)
        return self.place.client(
            service,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def unhandled(self) -> str:
        """A mark in the event that the starter can't handle, which is sent when a check first asks for it."""
        return self._once("unhandled", self._send_unhandled)

    def failed_events(self) -> str:
        """All that was read from the failed-event queue until now, as text."""
        self._failed += [
            message["Body"] for message in _received(self.place, self.place.outputs()["on_failure_queue_url"])
        ]
        return "\n".join(self._failed)

    def notices(self, batch: str) -> list[str]:
        """The notifications about a batch until now."""
        topic = self.place.outputs()["topic_arn"]
        heard = (one["Message"] for one in self.ear.heard() if one.get("TopicArn") == topic)
        return [message for message in heard if batch in message]

    def send_large(self, name: str) -> runs.Upload:
        """Upload a file of LARGE good orders."""
        return self._upload(name, lambda path: generate(path, LARGE))

    def settled(self, call: Callable[[], _Answer], what: str) -> _Answer:
        """What a call returns that AWS may refuse until what was deployed affects authorization. Raises ClientError."""
        seconds = _AUTHORIZATION_SECONDS if self.place.name == "aws" else 0
        message = f"AWS still refuses {what}; waiting"
        return retry_call(call, _is_denied, seconds, _PAUSE_SECONDS[self.place.name], lambda: show.step(message))

    def _assume_analyst(self) -> Any:
        role, sts = self.changed().place.outputs()["analyst_role_arn"], self.place.client("sts")
        answer = self.settled(
            lambda: sts.assume_role(RoleArn=role, RoleSessionName="smoke"), "to let the analyst's role be assumed"
        )
        return answer["Credentials"]

    def _send_unhandled(self) -> str:
        mark = f"smoke-{self._mark}-unhandled"
        self.place.client("lambda").invoke(
            FunctionName=self.place.outputs()["function_names"]["starter"],
            Qualifier="live",
            InvocationType="Event",
            Payload=json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "about": mark}]}),
        )
        return mark

    def _once(self, name: str, make: Callable[[], _Answer]) -> _Answer:
        if name not in self._made:
            try:
                self._made[name] = make()
            except Exception as exc:  # the next check that asks must not wait for it again
                self._made[name] = exc
        made: _Answer | Exception = self._made[name]
        if isinstance(made, Exception):
            raise made
        return made

    def _outcome(self, name: str, write: Callable[[Path], object]) -> runs.RunResult:
        return self._once(name, lambda: self._run(name, write))

    def _run(self, name: str, write: Callable[[Path], object]) -> runs.RunResult:
        uploaded = self._upload(name, write)
        for _ in runs.follow(self.place, uploaded):
            pass
        return runs.outcome(self.place, uploaded)

    def _upload(self, name: str, write: Callable[[Path], object]) -> runs.Upload:
        path = self.folder / f"smoke-{self._mark}-{name}.jsonl"
        write(path)
        return self.settled(lambda: runs.upload(self.place, path, DATASET), "an upload with the new key")

    def wait_for(self, condition: Callable[[], bool], what: str, aws_seconds: float | None = None) -> None:
        """Wait until something is so; on AWS for `aws_seconds`, if given. Raises CliError where it takes too long."""
        seconds = _PATIENCE_SECONDS[self.place.name]
        if aws_seconds and self.place.name == "aws":
            seconds = aws_seconds
        if not wait_for(condition, seconds, _PAUSE_SECONDS[self.place.name]):
            raise CliError(f"{what} did not come within {seconds:.0f} s")


def _is_denied(error: BaseException) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _DENIED


def _received(place: Target, url: str) -> Iterator[dict[str, Any]]:
    """The messages that are in a queue now; each is deleted as it is read."""
    queue = place.client("sqs")
    while messages := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            yield message
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def generate(path: Path, orders: int, *arguments: str) -> None:
    """Write a file of generated orders."""
    script = ROOT / "src" / "generate_data.py"
    command = [sys.executable, str(script), f"--orders={orders}", f"--out={path}", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def listening(place: Target) -> Iterator[Ear]:
    """A queue that hears both topics of a deployment, and is gone afterwards."""
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
