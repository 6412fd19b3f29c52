"""A pipeline on moto for tests of the operator's commands. Executions run immediately, on the real functions."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.stepfunctions.models import stepfunctions_backends

from functions.common import executions, s3_utils
from functions.common.batch import Batch
from functions.common.config import CONTRACTS
from functions.common.errors import PipelineError
from functions.common.object_versions import Planner
from functions.reconciler import index as reconciler
from functions.reconciler.index import status_change
from functions.record_failure import index as record_failure
from functions.starter import index as starter
from pipeline import cli
from pipeline.recover import restarts, undelivered
from tests import harness
from tests.statemachine import definition as asl

MACHINE = harness.ENVIRONMENT["STATE_MACHINE_ARN"]
CHUNK_BYTES = int(harness.ENVIRONMENT["CHUNK_BYTES"])


class StepFunctions:
    """moto's Step Functions, except that an execution has ended when StartExecution returns."""

    def __init__(self) -> None:
        self._client: Any = executions.client()
        self.started: list[str] = []
        self.histories: dict[str, list[dict[str, Any]]] = {}
        """The histories of executions by name. moto has histories only of executions on its own engine."""
        self.runs: Callable[[Batch], Any] = harness.run_steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_execution_history(self, executionArn: str, reverseOrder: bool = False, **_: Any) -> Any:
        events = self.histories.get(executionArn.rpartition(":")[2], [])
        return {"events": events[::-1] if reverseOrder else events}

    def get_paginator(self, operation: str) -> Any:
        if operation == "get_execution_history":
            return SimpleNamespace(paginate=lambda **arguments: [self.get_execution_history(**arguments)])
        return self._client.get_paginator(operation)

    def describe_state_machine_for_execution(self, **_: Any) -> Any:
        return {"definition": json.dumps(asl.load())}

    def start_execution(self, **arguments: Any) -> Any:
        answer = self._client.start_execution(**arguments)
        self.started.append(arguments["name"])
        self.run(arguments["name"], Batch.from_input(json.loads(arguments["input"])))
        return answer

    def run(self, name: str, batch: Batch) -> None:
        """Run the steps of an execution; a failure is recorded as the state machine does."""
        try:
            self.runs(batch)
        except PipelineError as exc:
            failure = {"Error": type(exc).__name__, "Cause": str(exc)}
            record_failure.handler({"batch": batch.to_input(), "execution": name, "failure": failure})
            end(name, "FAILED", type(exc).__name__)
            self.notify(name)
        else:
            end(name, "SUCCEEDED")

    def notify(self, name: str) -> None:
        """Act like EventBridge. record_failure finds in the history that the state machine sent the notification."""
        described = self.describe_execution(executionArn=executions.execution_arn(MACHINE, name))
        with patch.object(record_failure, "_was_notified", lambda _: True):
            record_failure.handler(status_change(described))


def end(name: str, status: str, error: str | None = None, ago: timedelta = timedelta(0)) -> None:
    """Set the status of an execution and the time when it ended (or began, if it is RUNNING): `ago`."""
    execution = execution_called(name)
    execution.status, execution.error = status, error
    time = datetime.now(UTC).replace(tzinfo=None) - ago  # moto's times have no zone
    if status == "RUNNING":
        execution.start_date = time
    else:
        execution.stop_date = time


def execution_called(name: str) -> Any:
    machines = stepfunctions_backends[DEFAULT_ACCOUNT_ID][harness.REGION].state_machines
    return next(each for machine in machines for each in machine.executions if each.name == name)


@dataclass
class Lambda:
    """The functions, called in this process."""

    step_functions: StepFunctions

    @property
    def handlers(self) -> Mapping[str, Callable[[Any], Any]]:
        return {"starter": self._start, "record-failure": record_failure.handler, "reconciler": reconciler.handler}

    def _start(self, event: Any) -> Any:
        with patch.object(executions, "client", lambda: self.step_functions):
            return starter.handler(event)

    def invoke(self, FunctionName: str, Payload: str | bytes, **_: Any) -> dict[str, Any]:
        name = FunctionName.split(":")[6] if FunctionName.startswith("arn:") else FunctionName
        try:
            return {"Payload": BytesIO(json.dumps(self.handlers[name](json.loads(Payload))).encode())}
        except Exception as exc:
            answer = {"errorType": type(exc).__name__, "errorMessage": str(exc)}
            return {"FunctionError": "Unhandled", "Payload": BytesIO(json.dumps(answer).encode())}


class Place:
    """A Target."""

    name = "local"
    runtime = SimpleNamespace(contracts=CONTRACTS)

    def __init__(self) -> None:
        role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/x"
        definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
        arn = boto3.client("stepfunctions").create_state_machine(name="test", definition=definition, roleArn=role)
        assert arn["stateMachineArn"] == MACHINE
        boto3.client("sns").create_topic(Name="test")
        self._s3 = s3_utils.client()
        self._step_functions = StepFunctions()
        self.functions = Lambda(self._step_functions)
        self._logs = boto3.client("logs")
        for function in ("starter", "reconciler"):
            self._logs.create_log_group(logGroupName=function)
            self._logs.create_log_stream(logGroupName=function, logStreamName="x")
        queue = boto3.client("sqs").create_queue(QueueName="on-failure")["QueueUrl"]
        self._outputs = {
            "ingest_bucket": harness.INGEST,
            "processed_bucket": harness.PROCESSED,
            "state_machine_arn": MACHINE,
            "state_machine_console_url": f"https://console/states/home?region=x#/statemachines/view/{MACHINE}",
            "log_group_names": {name: name for name in ("starter", "reconciler", "state_machine")},
            "chunk_bytes": CHUNK_BYTES,
            "release": harness.ENVIRONMENT["RELEASE"],
            "on_failure_queue_url": queue,
            "function_names": {
                name: name.replace("_", "-")
                for name in ("starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler")
            },
        }

    def outputs(self) -> dict[str, Any]:
        return self._outputs

    def s3(self) -> Any:
        return self._s3

    def step_functions(self) -> Any:
        return self._step_functions

    def logs(self) -> Any:
        return self._logs

    def deploy(self, release: str, monkeypatch: Any) -> None:
        """Set the release of the functions."""
        self._outputs["release"] = release
        monkeypatch.setenv("RELEASE", release)
        harness.forget_clients()

    def client(self, service: str, config: Any = None) -> Any:
        return self.functions if service == "lambda" else boto3.client(service, config=config)

    def log(self, function: str, message: str, level: str = "INFO", **fields: Any) -> None:
        """Add a log line of a function with the current time."""
        line = json.dumps({"level": level, "message": message, **fields})
        event: Any = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": line}
        self._logs.put_log_events(logGroupName=function, logStreamName="x", logEvents=[event])

    def upload(self, data: bytes, name: str = "x.jsonl", folder: str = "incoming/orders/") -> Batch:
        """Upload a file without sending its event."""
        source = harness.upload(data, name, folder)
        head = s3_utils.storage().head(source.bucket, source.key, source.version_id)
        assert head is not None
        batch = Planner(s3_utils.storage(), CHUNK_BYTES).plan(source.bucket, source.key, source.version_id)
        assert batch is not None
        return batch

    def process(self, data: bytes, name: str = "x.jsonl", folder: str = "incoming/orders/") -> Batch:
        """Upload a file and run its execution to the end, which may be a failure."""
        batch = self.upload(data, name, folder)
        self.start(batch)
        return batch

    def start(self, batch: Batch, name: str | None = None) -> None:
        executions.start(self._step_functions, MACHINE, batch, name)  # type: ignore[arg-type]


def patience(grace: timedelta = timedelta(0)) -> restarts.Patience:
    """Ends a second from now, because S3's times have no fractions."""
    return restarts.Patience(datetime.now(UTC) + timedelta(seconds=1), grace)


def use_place(place: Place, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Let the commands of these modules use `place` as their target, without any waits."""
    for module in modules:
        monkeypatch.setattr(module, "target", lambda _: place)
    monkeypatch.setattr(restarts, "_POLL_SECONDS", {"local": 0})
    monkeypatch.setattr(undelivered, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(restarts, "patience", patience)


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Run a command of the CLI; returns its exit status, and what it printed to stdout and stderr."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["pipeline", *arguments, "--target", "local"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err
