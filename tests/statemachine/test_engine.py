"""The definition on a local Step Functions endpoint, with small real functions in separate processes."""

import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from pipeline import ROOT
from tests.statemachine import function_doubles
from tests.statemachine.definition_cases import CASES, Case
from tests.statemachine.engine import FUNCTIONS, Engine, Run, check, run

BOOTSTRAP = f"""#!/bin/sh
export PYTHONPATH="{ROOT}" PYTHONDONTWRITEBYTECODE=1
exec "{sys.executable}" -m awslambdaric "$_HANDLER"
"""
"""A custom runtime: AWS's own runtime client, which reports an exception by its class name."""


@pytest.fixture(scope="module")
def engine(local_client: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The endpoint with the doubles deployed, a topic, and a queue that is subscribed to it."""
    folder = tmp_path_factory.mktemp("doubles")
    name = f"statemachine-test-{uuid4().hex[:8]}"
    functions, topics, queues = local_client("lambda"), local_client("sns"), local_client("sqs")
    topic = topics.create_topic(Name=name)["TopicArn"]
    queue = queues.create_queue(QueueName=name)["QueueUrl"]
    heard_by = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=heard_by)
    account = topic.split(":")[4]
    role = f"arn:aws:iam::{account}:role/{name}"
    arns = {
        f"{function}_arn": functions.create_function(
            FunctionName=f"{name}-{function}",
            Runtime="provided.al2023",
            Handler=f"{function_doubles.__name__}.{function}",
            Role=role,
            Code={"ZipFile": _zip()},
            Timeout=30,
            Environment={"Variables": {function_doubles.FOLDER: str(folder)}},
        )["FunctionArn"]
        for function in FUNCTIONS
    }
    engine = Engine(local_client, {**arns, "topic_arn": topic}, role, queue, folder)
    yield engine
    for arn in engine.machines.values():
        local_client("stepfunctions").delete_state_machine(stateMachineArn=arn)
    for arn in arns.values():
        functions.delete_function(FunctionName=arn)
    with suppress(ClientError):
        topics.delete_topic(TopicArn=topic)
        queues.delete_queue(QueueUrl=queue)


def _zip() -> bytes:
    """The package of a function: only the bootstrap, because the code is in this repository."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
        entry.create_system = 3  # Unix, so that the permissions are kept
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, BOOTSTRAP)
    return packed.getvalue()


@pytest.fixture(scope="module")
def runs(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Run]]]:
    """The runs of all selected cases, three at a time, because an execution here mostly waits."""
    items: Any = request.session.items
    cases = [item.callspec.params["case"] for item in items if item.path == request.node.path]
    for case in cases:
        engine.machine(case)
    with ThreadPoolExecutor(3) as pool:
        yield {case.name: pool.submit(run, engine, case) for case in cases}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_definition(engine: Engine, runs: Mapping[str, Future[Run]], case: Case) -> None:
    check(engine, case, runs[case.name].result())
