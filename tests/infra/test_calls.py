"""Roles against what their functions really ask of AWS: nothing is missing, and nothing is there that nobody uses.

tests/aws_calls.py makes the requests. What each needs, AWS says in the Service Authorization Reference and, for S3, in
AmazonS3/latest/userguide/using-with-s3-policy-actions.html.
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
    NOTICES,
    PROCESSED,
    QUEUE,
    listed,
    role_policies,
)

BUCKETS = {harness.INGEST: INGEST, harness.PROCESSED: PROCESSED}

NEEDS = {
    "PutObject": {"s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject", "s3:AbortMultipartUpload"},  # boto3 takes back what it can't finish
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
OF_A_VERSION = {
    "GetObject": {"s3:GetObjectVersion"},  # and no s3:GetObject: API/API_GetObject.html, versionId
    "HeadObject": {"s3:GetObject", "s3:GetObjectVersion"},  # both: API/API_HeadObject.html, Permissions
}
LISTS_FOR_THE_ANSWER = {"GetObject", "HeadObject"}
"""Whoever may not list is told of a missing object, or version, that it is forbidden."""

ON_BEHALF = {
    "logs:CreateLogStream": "Lambda writes the log",
    "logs:PutLogEvents": "Lambda writes the log",
    "xray:PutTraceSegments": "Lambda writes the trace",
    "xray:PutTelemetryRecords": "Lambda writes the trace",
    "sqs:SendMessage": "Lambda hands over events that failed, for functions that events invoke",
}
"""Actions that no code of ours calls."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_every_call_of_its_function(first_plan: Run, function: str) -> None:
    granted = grants(first_plan, function)
    missing = {
        (action, resource)
        for action, resource in needed(function)
        if not any(action == allowed and fnmatchcase(resource, pattern) for allowed, pattern in granted)
    }
    assert not missing, f"{function} calls what its role in infra/iam.tf does not allow"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_nothing_that_its_function_does_not_call(first_plan: Run, function: str) -> None:
    wanted = {*needed(function), *for_the_answer(function), *on_behalf(first_plan, function)}
    unused = {
        (allowed, pattern)
        for allowed, pattern in grants(first_plan, function)
        if not any(action == allowed and fnmatchcase(resource, pattern) for action, resource in wanted)
    }
    assert not unused, f"the role of {function} in infra/iam.tf allows what {function} never calls"


def grants(plan: Run, function: str) -> set[tuple[str, str]]:
    """What a role allows: each action on each pattern of resources."""
    return {
        (action, resource)
        for statement in role_policies(plan)[function]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def needed(function: str) -> set[tuple[str, str]]:
    """The action and the resource of each right that a function's calls need."""
    return {
        (action, resource_of(call)) for call in aws_calls.by_function()[function] for action in sorted(actions_of(call))
    }


def actions_of(call: Call) -> set[str]:
    return (OF_A_VERSION if "VersionId" in call.params else NEEDS)[call.operation]


def resource_of(call: Call) -> str:
    """The ARN that a call is about, named as in the plan."""
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
        return NOTICES
    assert call.operation == "Invoke"
    assert call.params["FunctionName"] == harness.ENVIRONMENT["RECORD_FAILURE_ARN"]
    return f"{FUNCTION}-record-failure:live"


def for_the_answer(function: str) -> Iterator[tuple[str, str]]:
    """Listing, of each bucket that a function reads objects of."""
    for call in aws_calls.by_function()[function]:
        if call.operation in LISTS_FOR_THE_ANSWER:
            yield "s3:ListBucket", BUCKETS[call.params["Bucket"]]
            if "VersionId" in call.params:
                yield "s3:ListBucketVersions", BUCKETS[call.params["Bucket"]]


def on_behalf(plan: Run, function: str) -> Iterator[tuple[str, str]]:
    """What Lambda does with the role of a function."""
    own = f"{NAME}-{function.replace('_', '-')}"
    yield from ((action, "*") for action in ON_BEHALF if action.startswith("xray:"))
    yield from ((a, f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{own}:x") for a in ON_BEHALF if a.startswith("logs:"))
    if f'aws_lambda_function_event_invoke_config.live["{function}"]' in plan.planned():
        yield "sqs:SendMessage", QUEUE
