"""Executions of the state machine: started and looked up by name. The name is what makes a start happen once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common import aws
from functions.common.batch import Batch
from functions.common.s3_utils import transient_faults

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@cache
def client() -> "SFNClient":
    """The process's Step Functions client, made on first use."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=10, max_pool_connections=16
    )
    made: SFNClient = aws.client("stepfunctions", config)
    return made


aws.make_at_start(client)


def start(client: "SFNClient", machine_arn: str, batch: Batch, name: str | None = None) -> bool:
    """Start the execution that is named after the batch, or `name`; False where one has that name already.

    AWS accepts a second start with the same name and input while the first execution runs, and returns its ARN. So
    each call adds a `start_id` of its own to the input, which nothing reads: AWS refuses whatever repeats an earlier
    call, and accepts only what botocore repeats within this one.

    Raises TransientError, and ClientError for what waiting does not mend.
    """
    name = name or batch.batch_id
    described = {**replace(batch, execution=name).to_input(), "start_id": uuid4().hex}
    try:
        with transient_faults(f"StartExecution {name}"):
            client.start_execution(stateMachineArn=machine_arn, name=name, input=json.dumps(described))
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ExecutionAlreadyExists":
            return False
        raise
    return True


def describe(client: "SFNClient", machine_arn: str, name: str) -> dict[str, Any] | None:
    """The execution called `name`, as DescribeExecution answers it, or None: AWS forgets it after 90 days."""
    try:
        with transient_faults(f"DescribeExecution {name}"):
            return dict(client.describe_execution(executionArn=execution_arn(machine_arn, name)))
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ExecutionDoesNotExist":
            return None
        raise


def started_since(client: "SFNClient", machine_arn: str, since: datetime) -> Iterator[dict[str, Any]]:
    """The executions that were started since a time, as ListExecutions describes them."""
    return (execution for execution in changed_since(client, machine_arn, since) if execution["startDate"] >= since)


def changed_since(client: "SFNClient", machine_arn: str, since: datetime) -> Iterator[dict[str, Any]]:
    """The executions that were started or have ended since a time, as ListExecutions describes them, newest first.

    It sorts those that have ended by their end, those that run by their start or redrive
    (step-functions/latest/apireference/API_ListExecutions.html).
    """
    pages = _pages(client, machine_arn)
    with transient_faults("ListExecutions"):
        for page in pages:
            for execution in page["executions"]:
                if (execution.get("stopDate") or execution.get("redriveDate") or execution["startDate"]) < since:
                    return
                yield dict(execution)


def running(client: "SFNClient", machine_arn: str) -> Iterator[dict[str, Any]]:
    """The executions that run, newest first, as ListExecutions describes them."""
    pages = _pages(client, machine_arn, statusFilter="RUNNING")
    with transient_faults("ListExecutions"):
        for page in pages:
            yield from (dict(execution) for execution in page["executions"])


def _pages(client: "SFNClient", machine_arn: str, **selection: Any) -> Any:
    """The pages of ListExecutions, of as many executions as AWS allows.

    The quota counts requests: a bucket of 100 or 200, refilled at 2 or 5 a second, by region. Beyond the bucket the
    client's own backoff slows the listing down to that rate.
    """
    return client.get_paginator("list_executions").paginate(
        stateMachineArn=machine_arn, PaginationConfig={"PageSize": 1000}, **selection
    )


def execution_arn(machine_arn: str, name: str) -> str:
    """The ARN of the execution called `name`."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
