"""Starts and finds executions of the state machine by name. The name ensures that a batch starts only once."""

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
    """Return the process's Step Functions client, which is created on first use."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=10, max_pool_connections=16
    )
    step_functions: SFNClient = aws.client("stepfunctions", config)
    return step_functions


aws.make_at_start(client)


def start(client: "SFNClient", machine_arn: str, batch: Batch, name: str | None = None) -> bool:
    """Start an execution named `name`, by default the batch id. Return False if the name is already in use.

    While an execution runs, AWS accepts another start with the same name and input, and returns its ARN. To detect
    this, each call adds a unique `start_id` to the input, which no function reads. AWS then accepts only botocore's own
    retries of the same call.

    Raises TransientError for temporary faults, and ClientError for all other errors.
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
    """Return the response of DescribeExecution, or None if the execution doesn't exist.

    AWS deletes an execution 90 days after it ends.
    """
    try:
        with transient_faults(f"DescribeExecution {name}"):
            return dict(client.describe_execution(executionArn=execution_arn(machine_arn, name)))
    except ClientError as exc:
        if exc.response["Error"]["Code"] == "ExecutionDoesNotExist":
            return None
        raise


def started_since(client: "SFNClient", machine_arn: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the executions that started after a time, as ListExecutions describes them."""
    return (execution for execution in changed_since(client, machine_arn, since) if execution["startDate"] >= since)


def changed_since(client: "SFNClient", machine_arn: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the executions that started or ended after a time, as ListExecutions describes them, newest first.

    ListExecutions sorts closed executions by their end, and running executions by their start or redrive
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
    """Yield the running executions, newest first, as ListExecutions describes them."""
    pages = _pages(client, machine_arn, statusFilter="RUNNING")
    with transient_faults("ListExecutions"):
        for page in pages:
            yield from (dict(execution) for execution in page["executions"])


def _pages(client: "SFNClient", machine_arn: str, **selection: Any) -> Any:
    """Return the pages of ListExecutions, with as many executions per page as AWS allows.

    The quota is a bucket of 100 or 200 requests, refilled at 2 or 5 requests per second, depending on the region. When
    the bucket is empty, the client's backoff slows the listing down to that rate.
    """
    return client.get_paginator("list_executions").paginate(
        stateMachineArn=machine_arn, PaginationConfig={"PageSize": 1000}, **selection
    )


def history(client: "SFNClient", execution_arn: str, *, with_data: bool = False) -> Iterator[Any]:
    """Yield the events of an execution, oldest first. `with_data` includes inputs, outputs, errors and causes."""
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, includeExecutionData=with_data, PaginationConfig={"PageSize": 1000}
    )
    for page in pages:
        yield from page["events"]


def execution_arn(machine_arn: str, name: str) -> str:
    """Return the ARN of the execution named `name`."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
