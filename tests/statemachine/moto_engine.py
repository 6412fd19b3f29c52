"""moto's engine: Step Functions in this process, which calls functions of this process."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.stepfunctions.parser.asl.component.common.error_name import custom_error_name
from moto.stepfunctions.parser.asl.component.common.retry import jitter_strategy_decl, retrier_decl

from tests import harness
from tests.statemachine.engine import FUNCTIONS, Engine

CONFIG: Any = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
ARN = f"arn:aws:{{}}:{harness.REGION}:{DEFAULT_ACCOUNT_ID}:{{}}"

Function = Callable[[Any], Any]


class RuntimeExit(Exception):
    """A function's process ended. In one process nothing more can be shown of it."""


RuntimeExit.__name__ = "Runtime.ExitError"


def crash() -> None:
    raise RuntimeExit("Runtime exited with error: exit status 1")


def skip_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make retries not wait. Returns the list of the maximum seconds that each would have waited."""
    seconds: list[float] = []
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=seconds.append))
    monkeypatch.setattr(jitter_strategy_decl, "random", SimpleNamespace(uniform=lambda _least, most: most))
    return seconds


def serve(monkeypatch: pytest.MonkeyPatch, functions: Mapping[str, Function]) -> None:
    """Let moto's Lambda call `functions`, by the last part of their ARN. An error is reported by its class name.

    moto would end an execution with States.Runtime if a Fail passes on one of AWS's own errors, such as
    States.Timeout. This check is off.
    """
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(custom_error_name, "ILLEGAL_CUSTOM_ERROR_PREFIX", "\0")

    def invoke(_self: Any, function: str, _qualifier: Any, body: Any, _headers: Any, response_headers: Any) -> bytes:
        try:
            response = functions[function.rpartition(":")[2]](json.loads(body))
        except Exception as exc:
            response_headers["x-amz-function-error"] = "Unhandled"
            response = {"errorMessage": str(exc), "errorType": type(exc).__name__, "stackTrace": []}
        return json.dumps(response).encode()

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)


def make_engine(folder: Path) -> Engine:
    """An engine on the active moto."""
    make: Any = boto3.client
    clients = {name: make(name, region_name=harness.REGION) for name in ("stepfunctions", "sns", "sqs", "lambda")}
    topic = clients["sns"].create_topic(Name="notices")["TopicArn"]
    queue = clients["sqs"].create_queue(QueueName="notices")["QueueUrl"]
    clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=ARN.format("sqs", "notices"))
    arns = {f"{name}_arn": ARN.format("lambda", f"function:{name}") for name in FUNCTIONS}
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/state-machine"
    return Engine(clients.__getitem__, {**arns, "topic_arn": topic}, role, queue, folder)
