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
    """A function's process ended; there is nothing else to show of it in process."""


RuntimeExit.__name__ = "Runtime.ExitError"


def crash() -> None:
    raise RuntimeExit("Runtime exited with error: exit status 1")


def skip_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let retries not wait; answers the list of the seconds that each would have waited at most."""
    seconds: list[float] = []
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=seconds.append))
    monkeypatch.setattr(jitter_strategy_decl, "random", SimpleNamespace(uniform=lambda _least, most: most))
    return seconds


def serve(monkeypatch: pytest.MonkeyPatch, functions: Mapping[str, Function]) -> None:
    """Let moto's Lambda call `functions`, by the last part of their ARN; an error is told by its class name.

    moto would end an execution with States.Runtime whose Fail passes on an error of AWS's own, as States.Timeout:
    that is let through.
    """
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(custom_error_name, "ILLEGAL_CUSTOM_ERROR_PREFIX", "\0")

    def invoke(_self: Any, function: str, _qualifier: Any, body: Any, _headers: Any, answer_headers: Any) -> bytes:
        try:
            answer = functions[function.rpartition(":")[2]](json.loads(body))
        except Exception as exc:
            answer_headers["x-amz-function-error"] = "Unhandled"
            answer = {"errorMessage": str(exc), "errorType": type(exc).__name__, "stackTrace": []}
        return json.dumps(answer).encode()

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)


def make_engine(folder: Path) -> Engine:
    """An engine on the moto that is active."""
    make: Any = boto3.client
    clients = {name: make(name, region_name=harness.REGION) for name in ("stepfunctions", "sns", "sqs", "lambda")}
    topic = clients["sns"].create_topic(Name="notices")["TopicArn"]
    queue = clients["sqs"].create_queue(QueueName="notices")["QueueUrl"]
    clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=ARN.format("sqs", "notices"))
    arns = {f"{name}_arn": ARN.format("lambda", f"function:{name}") for name in FUNCTIONS}
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/state-machine"
    return Engine(clients.__getitem__, {**arns, "topic_arn": topic}, role, queue, folder)
