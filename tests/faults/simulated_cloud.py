"""The AWS services around the functions, simulated in this process: events, executions, notifications, the queue.

moto provides S3, SNS and the names of executions. The functions are the real ones, called with real events. Nothing
happens on its own: a test says what is delivered, run and reported, and in which order.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.stepfunctions.responses import StepFunctionResponse

from functions.common import executions as by_name
from functions.common.batch import Batch, replay_name, replay_of
from functions.reconciler import index as reconciler
from functions.record_failure import index as record_failure
from functions.starter import index as starter
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from tests import harness
from tests.faults.events import MACHINE, TOPIC, function_in, object_created, status_change, undelivered
from tests.faults.executor import Ended, Executor
from tests.faults.fault_injection import Injector, injecting
from tests.faults.moto_state import erase, executions, get_execution_history, sent_notifications, stored
from tests.faults.process_kills import Killed

HANDLERS: Mapping[str, Callable[[Any], Any]] = {
    "starter": starter.handler,
    "validate": validate.handler,
    "transform": transform.handler,
    "write": write.handler,
    "record_failure": record_failure.handler,
    "reconciler": reconciler.handler,
}
ATTEMPTS_PER_EVENT = 3
"""maximum_retry_attempts in infra/functions.tf, plus the first attempt."""


@dataclass(frozen=True)
class Upload:
    """One uploaded file."""

    key: str
    version_id: str
    data: bytes


@dataclass
class Cloud:
    """A simulated AWS with both buckets, the topic and the state machine. `clouds` creates it."""

    injector: Injector
    functions: dict[str, Callable[[Any], Any]] = field(default_factory=lambda: dict(HANDLERS))
    """The deployed functions. A test may deploy another release."""
    uploads: list[Upload] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """S3 events that are not delivered yet."""
    status_changes: list[dict[str, Any]] = field(default_factory=list)
    """EventBridge events of failed executions that are not delivered yet."""
    queue: list[dict[str, Any]] = field(default_factory=list)
    """The failed-event queue: events that no function could handle."""
    invoked: Counter[str] = field(default_factory=Counter)
    """How often each function was called."""
    waits: list[float] = field(default_factory=list)
    """The longest possible wait of each retry of an execution."""
    sns: Any = field(default_factory=lambda: boto3.client("sns"))

    # --- files and their events ---

    def upload(self, data: bytes, name: str = "x.jsonl", folder: str = "incoming/orders/") -> Upload:
        """Upload a file. Its event waits in `events`."""
        source = harness.upload(data, name, folder)
        sent = Upload(source.key, source.version_id, data)
        self.uploads.append(sent)
        self.events.append(object_created(sent.key, sent.version_id, len(sent.data), len(self.uploads)))
        return sent

    def deliver(self, event: Mapping[str, Any] | None = None) -> bool:
        """Deliver an event, by default the oldest, to the starter. False if the event ends in the queue."""
        return self.invoke_later("starter", self.events.pop(0) if event is None else event)

    def send_back(self) -> None:
        """Do what the replay tool does with the queue: send each event again to the function that failed on it."""
        waiting, self.queue[:] = list(self.queue), []
        for record in waiting:
            self.invoke_later(function_in(record), record["requestPayload"])

    def reconcile(self) -> bool:
        """Run the reconciler without a grace period. What it sends to record_failure waits in `status_changes`."""
        return self.invoke_later("reconciler", {"since_hours": 24, "grace_minutes": 0})

    # --- functions ---

    def invoke(self, function: str, event: Any) -> Any:
        """Call a function. Its errors are raised."""
        self.invoked[function] += 1
        with self.injector.during(function):
            return self.functions[function](json.loads(json.dumps(event)))

    def invoke_later(self, function: str, event: Any) -> bool:
        """Call a function as Lambda does for events: retry if it fails, and put the event into the queue in the end."""
        for _ in range(ATTEMPTS_PER_EVENT):
            try:
                self.invoke(function, event)
            except (Exception, Killed) as exc:
                error = type(exc).__name__
            else:
                return True
        self.queue.append(undelivered(function, event, error))
        return False

    # --- executions ---

    @property
    def executions(self) -> list[Any]:
        """Every execution as moto stores it, in the order of their start."""
        return list(executions())

    def execution(self, name: str) -> Any:
        """The execution with this name."""
        return next(execution for execution in self.executions if execution.name == name)

    @property
    def running(self) -> list[str]:
        """The names of the executions that were started and did not run yet."""
        return [execution.name for execution in self.executions if execution.status == "RUNNING"]

    def run(self, name: str | None = None, before: Callable[[str], None] = lambda _: None) -> Ended:
        """Run an execution, by default the oldest, to its end. If it fails, its event waits in `status_changes`."""
        execution = self.execution(name or self.running[0])
        functions = {name: lambda event, name=name: self.invoke(name, event) for name in self.functions}
        executor = Executor(functions, self._publish, before)
        ended = executor.run(execution.name, json.loads(execution.execution_input))
        self.waits += executor.waits
        execution.status, execution.error, execution.cause = ended.status, ended.error, ended.cause
        execution.output = None if ended.output is None else json.dumps(ended.output)
        execution.stop_date = datetime.now(UTC)
        execution.get_execution_history = lambda _role: executor.history
        if ended.status != "SUCCEEDED":
            self.status_changes.append(status_change(execution))
        return ended

    def report_status(self, event: Mapping[str, Any] | None = None) -> bool:
        """Deliver EventBridge's event of a failed execution, by default the oldest."""
        return self.invoke_later("record_failure", self.status_changes.pop(0) if event is None else event)

    def replay(self, batch_id: str) -> str:
        """Start a batch again as an operator does: with the next name and the same input. Returns the name."""
        batch = Batch.from_input(json.loads(self.execution(batch_id).execution_input))
        replays = max(replay_of(e.name)[1] for e in self.executions if replay_of(e.name)[0] == batch_id)
        name = replay_name(batch_id, replays + 1)
        assert by_name.start(by_name.client(), MACHINE, batch, name), f"{name} already exists"
        return name

    def settle(self) -> None:
        """Deliver, run and report until nothing is left to do. The queue may still have events."""
        while self.events or self.running or self.status_changes:
            if self.events:
                self.deliver()
            elif self.running:
                self.run()
            else:
                self.report_status()

    # --- what is stored ---

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """The current objects of the processed bucket."""
        now = ((key, versions[-1].data) for key, versions in stored(harness.PROCESSED).items())
        return {key: data for key, data in now if data is not None and key.startswith(prefix)}

    def outputs(self) -> dict[str, bytes]:
        """Everything that was published or recorded: all objects except staging."""
        return {key: data for key, data in self.objects().items() if not key.startswith("staging/")}

    @property
    def notifications(self) -> list[dict[str, str]]:
        """Every notification that was sent."""
        return [{"subject": subject, "message": message} for _, message, subject, *_ in sent_notifications()]

    def forget(self, *kept: str) -> None:
        """Reset everything but the uploads: only objects under the `kept` prefixes remain."""
        erase(harness.PROCESSED, kept)
        for forgotten in (executions(), sent_notifications(), self.events, self.status_changes, self.queue):
            forgotten.clear()
        self.invoked.clear()
        self.waits.clear()
        self.functions = dict(HANDLERS)
        self.injector.clear()
        self.events += [
            object_created(sent.key, sent.version_id, len(sent.data), number)
            for number, sent in enumerate(self.uploads, 1)
        ]

    def begin(self) -> None:
        """Reset everything, including the uploads."""
        erase(harness.INGEST, ())
        self.uploads.clear()
        self.forget()

    def _publish(self, asked: Mapping[str, str]) -> Any:
        with self.injector.during("state machine"):
            return self.sns.publish(TopicArn=TOPIC, Subject=asked["Subject"], Message=asked["Message"])


@contextmanager
def clouds(**environment: str) -> Iterator[Cloud]:
    """A fresh cloud, with `environment` for the functions."""
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/x"
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'  # moto only stores the executions
    reconciler._pipeline.cache_clear()
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        harness.buckets(monkeypatch, **{"MAX_REJECT_RATIO": "0.5", **environment}),
        patch.object(StepFunctionResponse, "get_execution_history", get_execution_history),
        injecting() as injector,
    ):
        boto3.client("stepfunctions").create_state_machine(name="test", definition=definition, roleArn=role)
        boto3.client("sns").create_topic(Name="test")
        versioning: Any = {"Status": "Enabled"}
        boto3.client("s3").put_bucket_versioning(Bucket=harness.PROCESSED, VersioningConfiguration=versioning)
        cloud = Cloud(injector)
        invoked = SimpleNamespace(invoke=lambda Payload, **_: cloud.status_changes.append(json.loads(Payload)))
        monkeypatch.setattr(reconciler, "_lambda", lambda: invoked)
        yield cloud
    reconciler._pipeline.cache_clear()
