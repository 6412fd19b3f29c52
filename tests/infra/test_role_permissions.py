"""Roles against the AWS requests of their functions: no permission is missing, and none is unused.

tests/aws_calls.py makes the requests. The permissions of each are in the Service Authorization Reference and, for S3,
in AmazonS3/latest/userguide/using-with-s3-policy-actions.html.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from tests import aws_calls, harness
from tests.aws_calls import Call
from tests.infra.conftest import Run
from tests.infra.policies import (
    EXECUTION,
    FUNCTION,
    FUNCTIONS,
    HERE,
    INGEST,
    MACHINE,
    NAME,
    NOTIFICATIONS,
    PROCESSED,
    QUEUE,
    listed,
    role_policies,
)

UNREADABLE = aws_calls._FORGOTTEN_EVENT.source.bucket
"""A bucket that no function may read. The reconciler asks whether an object in it exists, and may be refused."""
BUCKETS = {harness.INGEST: INGEST, harness.PROCESSED: PROCESSED}

NEEDS = {
    "PutObject": {"s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject", "s3:AbortMultipartUpload"},  # boto3 aborts an upload that it can't finish
    "UploadPart": {"s3:PutObject"},
    "CompleteMultipartUpload": {"s3:PutObject"},
    "GetObject": {"s3:GetObject"},
    "HeadObject": {"s3:GetObject"},
    "ListObjectsV2": {"s3:ListBucket"},
    "ListObjectVersions": {"s3:ListBucketVersions"},
    "StartExecution": {"states:StartExecution"},
    "ListExecutions": {"states:ListExecutions"},
    "DescribeExecution": {"states:DescribeExecution"},
    "GetExecutionHistory": {"states:GetExecutionHistory"},
    "Publish": {"sns:Publish"},
    "Invoke": {"lambda:InvokeFunction"},
}
NEEDS_WITH_VERSION = {
    "GetObject": {"s3:GetObjectVersion"},  # and not s3:GetObject: API/API_GetObject.html, versionId
    "HeadObject": {"s3:GetObject", "s3:GetObjectVersion"},  # both: API/API_HeadObject.html, Permissions
}
NEEDS_LIST_FOR_404 = {"GetObject", "HeadObject"}
"""Without the permission to list, S3 returns 403 instead of 404 for a missing object or version."""

ON_BEHALF = {
    "logs:CreateLogStream": "Lambda writes the log",
    "logs:PutLogEvents": "Lambda writes the log",
    "xray:PutTraceSegments": "Lambda writes the trace",
    "xray:PutTelemetryRecords": "Lambda writes the trace",
    "sqs:SendMessage": "Lambda sends failed events, for functions that events invoke",
}
"""Actions that our own code never calls."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_every_call_of_its_function(first_plan: Run, function: str) -> None:
    granted = grants(first_plan, function)
    missing = {
        (action, resource)
        for action, resource in needed(function)
        if not any(action == allowed and fnmatchcase(resource, pattern) for allowed, pattern in granted)
    }
    assert not missing, f"{function} calls operations that its role in infra/iam.tf does not allow"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_only_the_calls_of_its_function(first_plan: Run, function: str) -> None:
    wanted = {*needed(function), *list_permissions(function), *on_behalf(first_plan, function)}
    unused = {
        (allowed, pattern)
        for allowed, pattern in grants(first_plan, function)
        if not any(action == allowed and fnmatchcase(resource, pattern) for action, resource in wanted)
    }
    assert not unused, f"the role of {function} in infra/iam.tf allows operations that {function} never calls"


def grants(plan: Run, function: str) -> set[tuple[str, str]]:
    """The permissions of a role: each action on each pattern of resources."""
    return {
        (action, resource)
        for statement in role_policies(plan)[function]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def needed(function: str) -> set[tuple[str, str]]:
    """The action and the resource of each permission that a function's calls need."""
    return {
        (action, resource_of(call))
        for call in aws_calls.by_function()[function]
        if call.params.get("Bucket") != UNREADABLE
        for action in sorted(actions_of(call))
    }


def actions_of(call: Call) -> set[str]:
    return (NEEDS_WITH_VERSION if "VersionId" in call.params else NEEDS)[call.operation]


def resource_of(call: Call) -> str:
    """The ARN of a call's resource, with the names of the plan."""
    if call.service == "s3":
        bucket = BUCKETS[call.params["Bucket"]]
        return f"{bucket}/{call.params['Key']}" if "Key" in call.params else bucket
    if call.operation in ("StartExecution", "ListExecutions"):
        assert call.params["stateMachineArn"] == harness.ENVIRONMENT["STATE_MACHINE_ARN"]
        return MACHINE
    if call.operation in ("DescribeExecution", "GetExecutionHistory"):
        return EXECUTION.rpartition(":")[0] + ":" + call.params["executionArn"].rpartition(":")[2]
    if call.operation == "Publish":
        assert call.params["TopicArn"] == harness.ENVIRONMENT["TOPIC_ARN"]
        return NOTIFICATIONS
    assert call.operation == "Invoke"
    assert call.params["FunctionName"] == harness.ENVIRONMENT["RECORD_FAILURE_ARN"]
    return f"{FUNCTION}-record-failure:live"


def list_permissions(function: str) -> Iterator[tuple[str, str]]:
    """Permission to list each bucket from which a function reads objects."""
    for call in aws_calls.by_function()[function]:
        if call.operation in NEEDS_LIST_FOR_404:
            yield "s3:ListBucket", BUCKETS[call.params["Bucket"]]
            if "VersionId" in call.params:
                yield "s3:ListBucketVersions", BUCKETS[call.params["Bucket"]]


def on_behalf(plan: Run, function: str) -> Iterator[tuple[str, str]]:
    """The actions of Lambda itself with the role of a function."""
    own = f"{NAME}-{function.replace('_', '-')}"
    yield from ((action, "*") for action in ON_BEHALF if action.startswith("xray:"))
    yield from ((a, f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{own}:x") for a in ON_BEHALF if a.startswith("logs:"))
    if f'aws_lambda_function_event_invoke_config.live["{function}"]' in plan.planned():
        yield "sqs:SendMessage", QUEUE
