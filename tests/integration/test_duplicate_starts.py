"""A duplicate event is counted as known even while the first execution runs. moto is as idempotent as AWS."""

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID

from functions.common import executions
from functions.common.batch import Batch, Source
from functions.common.planning import plan_batch
from functions.starter import index as starter
from pipeline import ROOT
from tests import harness
from tests.integration.test_index import s3_put
from tests.unit.orders import lines, order

MACHINE = harness.ENVIRONMENT["STATE_MACHINE_ARN"]


@pytest.fixture
def machine(aws: None) -> Any:
    """A Step Functions client. Executions started with it run forever."""
    client = boto3.client("stepfunctions")
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/x"
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
    assert client.create_state_machine(name="test", definition=definition, roleArn=role)["stateMachineArn"] == MACHINE
    return client


def test_a_duplicate_event_is_known_while_the_first_execution_runs(machine: Any) -> None:
    source = harness.upload(lines([order()]))
    event = s3_put(source.key, source.version_id)
    assert starter.handler(event) == {"started": 1, "known": 0, "ignored": 0}
    (execution,) = machine.list_executions(stateMachineArn=MACHINE)["executions"]
    assert execution["status"] == "RUNNING"
    assert starter.handler(event) == {"started": 0, "known": 1, "ignored": 0}


def test_the_engine_accepts_the_same_start_twice(machine: Any) -> None:
    """Without this, the test above would show nothing."""
    first, second = (machine.start_execution(stateMachineArn=MACHINE, name="x", input="{}") for _ in range(2))
    assert first["executionArn"] == second["executionArn"]


def test_a_call_that_botocore_repeats_starts_the_execution_once(machine: Any) -> None:
    """botocore retries a request whose response was lost, with the same input."""
    batch, client = harness.plan(harness.upload(lines([order()]))), executions.client()

    def start_twice(**arguments: Any) -> Any:
        client.start_execution(**arguments)
        return client.start_execution(**arguments)

    assert executions.start(SimpleNamespace(start_execution=start_twice), MACHINE, batch)  # type: ignore[arg-type]


def test_the_input_still_describes_the_batch(machine: Any) -> None:
    batch = harness.plan(harness.upload(lines([order()])))
    assert executions.start(executions.client(), MACHINE, batch)
    described = executions.describe(executions.client(), MACHINE, batch.batch_id)
    assert described is not None
    execution_input = json.loads(described["input"])
    assert set(execution_input) == {*batch.to_input(), "start_id"}
    assert Batch.from_input(execution_input).to_input() == {**batch.to_input(), "execution": batch.batch_id}


def test_an_input_of_a_later_release_can_be_read() -> None:
    source = Source("bucket", "incoming/orders/x.json", "v1", 1, "etag", "")
    batch = plan_batch(source, datetime(2026, 1, 2, tzinfo=UTC), 1000)
    execution_input = batch.to_input()
    later = {**execution_input, "new": 1, "source": {**execution_input["source"], "new": {}}}
    assert Batch.from_input(later) == batch


def test_the_starter_goes_live_after_the_state_machine() -> None:
    """Functions of the previous release fail on an input with an unknown member."""
    terraform = (ROOT / "infra" / "functions.tf").read_text("utf-8")
    alias = re.search(r'resource "aws_lambda_alias" "live" \{.*?\n\}', terraform, re.DOTALL)
    assert alias
    assert "depends_on = [aws_sfn_state_machine.pipeline]" in alias[0]
