"""Run a case on an engine, and check that the result is what the case expects."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from functions.common.batch import Batch, Source, batch_id_for
from functions.common.causes import plain_cause
from functions.common.documents.manifest import Manifest
from functions.write.manifest import summary
from tests import documents
from tests.statemachine import definition as asl
from tests.statemachine import function_doubles
from tests.statemachine.definition_cases import Case

FUNCTIONS = ("validate", "transform", "write", "record_failure")

WAIT_SECONDS = 30
NOTIFICATION_SECONDS = 2


@dataclass
class Engine:
    """Where cases run: an implementation of the Step Functions API with the doubles as its functions."""

    client: Callable[[str], Any]
    """A client of a service, by its name."""
    arns: Mapping[str, str]
    """A value for each placeholder of the definition, except for the partition."""
    role_arn: str
    queue_url: str
    """A queue that is subscribed to the topic."""
    folder: Path
    """The folder with the scripts of the doubles."""
    machines: dict[str, str] = field(default_factory=dict)
    """The ARNs of the state machines made so far, by the definitions that they run."""
    received: list[dict[str, str]] = field(default_factory=list)
    """Every notification received so far."""

    def machine(self, case: Case) -> str:
        """The ARN of the state machine that a case runs on."""
        arns = self.arns if case.topic else {**self.arns, "topic_arn": f"{self.arns['topic_arn']}-missing"}
        definition = asl.render({"partition": "aws", **arns})
        if case.write_seconds:
            definition["States"]["Write"]["TimeoutSeconds"] = case.write_seconds
        text = json.dumps(definition)
        if text not in self.machines:
            created = self.client("stepfunctions").create_state_machine(
                name=f"pipeline-{uuid4().hex[:8]}", definition=text, roleArn=self.role_arn
            )
            self.machines[text] = created["stateMachineArn"]
        return self.machines[text]

    def notifications(self, batch_id: str, expected: int) -> list[dict[str, str]]:
        """The notifications about a batch. Waits for `expected` of them, but not for an additional one."""
        queue = self.client("sqs")
        deadline = time.monotonic() + NOTIFICATION_SECONDS
        while True:
            for message in queue.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages", []):
                notification = json.loads(message["Body"])
                self.received.append({"subject": notification["Subject"], "message": notification["Message"]})
                queue.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            about = [notification for notification in self.received if batch_id in notification["message"]]
            if len(about) >= expected or time.monotonic() > deadline:
                return about
            time.sleep(0.05)


@dataclass(frozen=True)
class Run:
    """One finished execution."""

    batch: Batch
    execution: str
    write_output: Mapping[str, Any]
    """What the test double of `write` returns."""
    description: Mapping[str, Any]
    """The response of DescribeExecution."""
    history: list[Mapping[str, Any]]
    calls: Mapping[str, list[Any]]
    """The events that each function was called with."""


def run(engine: Engine, case: Case) -> Run:
    """Run a case to its end."""
    batch = make_batch(case.chunks)
    write_output = write_result(batch, case)
    folder = engine.folder / batch.batch_id
    folder.mkdir()
    (folder / "script.json").write_text(json.dumps({"actions": case.actions, "summary": write_output}))
    execution = f"{batch.batch_id}-again"  # named like a replay, not like the batch itself
    client = engine.client("stepfunctions")
    arn = client.start_execution(
        stateMachineArn=engine.machine(case), name=execution, input=json.dumps(batch.to_input())
    )["executionArn"]
    description = ended(client, arn)
    history = client.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    calls = {
        function: [
            json.loads(line) for path in folder.glob(f"{function}*.calls") for line in path.read_text().splitlines()
        ]
        for function in FUNCTIONS
    }
    return Run(batch, execution, write_output, description, history, calls)


def ended(client: Any, arn: str) -> Mapping[str, Any]:
    """The description of an execution, once it has ended."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (description := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < deadline, f"still running: {client.get_execution_history(executionArn=arn)['events']}"
        time.sleep(0.02)
    return dict(description)


def make_batch(chunks: int) -> Batch:
    """A batch with its own id, of a file whose name needs escaping in JSON and in templates."""
    source = Source("ingest", "incoming/orders/{} \"Bücher\" + 'x'.jsonl", uuid4().hex, 100 * chunks, "etag", "")
    batch_id = batch_id_for("orders", source.bucket, source.key, source.version_id)
    return Batch("orders", batch_id, 1, source, "2024-05-06T07:08:09Z", 100, chunks - 1)


def check(engine: Engine, case: Case, run: Run) -> None:
    """Check that the result of a run is what its case expects."""
    error_and_cause = run.description.get("error"), run.description.get("cause")
    assert run.description["status"] == ("SUCCEEDED" if case.error is None else "FAILED"), error_and_cause
    _check_error(case, run)
    ends = [event["stateEnteredEventDetails"]["name"] for event in run.history if "stateEnteredEventDetails" in event]
    assert ends[-1] == case.ends_in
    _check_calls(case, run)
    if case.calls[3]:
        _check_failure(run)
    assert engine.notifications(run.batch.batch_id, expected=1 if case.notification else 0) == _expected_notifications(
        case, run
    )


def _check_error(case: Case, run: Run) -> None:
    error_and_cause = run.description.get("error"), run.description.get("cause")
    if case.error is None:
        assert error_and_cause == (None, None)
    elif case.error.endswith("."):
        assert str(error_and_cause[0]).startswith(case.error)
        assert error_and_cause[1]
    else:
        assert error_and_cause[0] == case.error
    if case.failing_function and case.error:
        assert plain_cause(error_and_cause[1] or "") == function_doubles.error_message(
            case.error, case.failing_function
        )


def _check_calls(case: Case, run: Run) -> None:
    counted = {function: len(run.calls[function]) for function in FUNCTIONS}
    expected = {
        function: counted[function] if number is None else number
        for function, number in zip(FUNCTIONS, case.calls, strict=True)
    }
    assert counted == expected
    batch = run.batch.to_input()
    for function in ("validate", "transform"):
        assert all(event == {"batch": batch, "chunk": event["chunk"]} for event in run.calls[function])
        if run.calls["write"]:
            assert {event["chunk"] for event in run.calls[function]} == set(range(case.chunks))
    assert all(event == batch for event in run.calls["write"])


def _check_failure(run: Run) -> None:
    """Every call of record_failure has the batch, the execution's name and the first error."""
    for event in run.calls["record_failure"]:
        assert event["batch"] == run.batch.to_input()
        assert event["execution"] == run.execution
        assert event["failure"]["Error"] == run.description["error"]
        assert event["failure"]["Cause"] == run.description.get("cause", "")
        assert set(event) == {"batch", "execution", "failure", "notice"}


def _expected_notifications(case: Case, run: Run) -> list[Mapping[str, str]]:
    if case.notification == "rejects":
        return [run.write_output["notice"]]
    if case.notification == "failure":
        return [function_doubles.failure_notification(run.calls["record_failure"][-1])]
    if case.notification == "unrecorded":
        source = run.batch.source
        return [
            {
                "subject": "A file could not be processed",
                "message": f"s3://{source.bucket}/{source.key} could not be processed ({run.description['error']}), "
                "and its failure record could not be written. "
                f"Next: look at the execution {run.execution} in the Step Functions console, "
                f"then run the batch again. Batch: {run.batch.batch_id}.",
            }
        ]
    return []


def write_result(batch: Batch, case: Case) -> dict[str, Any]:
    """What the test double of `write` returns."""
    manifest = _manifest(batch, case.rejected)
    return summary(manifest, "processed", manifest if case.notified_before else None)


def _manifest(batch: Batch, rejected: int) -> Manifest:
    return documents.manifest(
        dataset=batch.dataset,
        batch_id=batch.batch_id,
        source=batch.source,
        counts=documents.record_counts(10 + rejected, rejected),
        rejected_by_reason={"schema": rejected} if rejected else {},
        rejects=documents.published_file(batch.rejected_key) if rejected else None,
    )
