"""Every policy of a first deployment, as the provider renders it: least privilege, nothing wider unexplained."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.infra.conftest import Run

NAME = "order-pipeline-dev"
ACCOUNT = "123456789012"
HERE = f"eu-central-1:{ACCOUNT}"
INGEST, PROCESSED = f"arn:aws:s3:::{NAME}-ingest-{ACCOUNT}", f"arn:aws:s3:::{NAME}-processed-{ACCOUNT}"
MACHINE = f"arn:aws:states:{HERE}:stateMachine:{NAME}"
EXECUTION = f"arn:aws:states:{HERE}:execution:{NAME}:orders-0"
TOPIC, QUEUE = f"arn:aws:sns:{HERE}:{NAME}-notices", f"arn:aws:sqs:{HERE}:{NAME}-on-failure"

ROLES = ("starter", "validate", "transform", "write", "record_failure", "state_machine")

# Actions for which AWS knows no resource, so that a policy can only say "*".
WITHOUT_RESOURCE = {
    "xray:PutTraceSegments": "traces belong to no resource",
    "xray:PutTelemetryRecords": "traces belong to no resource",
    "xray:GetSamplingRules": "sampling is the account's",
    "xray:GetSamplingTargets": "sampling is the account's",
    "logs:CreateLogDelivery": "what Step Functions needs to deliver its logs",
    "logs:GetLogDelivery": "what Step Functions needs to deliver its logs",
    "logs:UpdateLogDelivery": "what Step Functions needs to deliver its logs",
    "logs:DeleteLogDelivery": "what Step Functions needs to deliver its logs",
    "logs:ListLogDeliveries": "what Step Functions needs to deliver its logs",
    "logs:PutResourcePolicy": "what Step Functions needs to deliver its logs",
    "logs:DescribeResourcePolicies": "what Step Functions needs to deliver its logs",
    "logs:DescribeLogGroups": "what Step Functions needs to deliver its logs",
}

# Resources that end in a `*`, for what they leave open is named at run time.
OPEN_ENDED = {
    f"{INGEST}/incoming/*": "files are named by who sends them",
    **{
        f"{PROCESSED}/{folder}/*": "outputs are named after their batch"
        for folder in ("staging", "rejected", "processed", "tables", "manifests", "failures")
    },
    **{
        f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{NAME}-{function}:*": "Lambda names the log streams"
        for function in ("starter", "validate", "transform", "write", "record-failure")
    },
    **{
        f"arn:aws:lambda:{HERE}:function:{NAME}-{function}:*": "executions finish with the version they began with"
        for function in ("validate", "transform", "write", "record-failure")
    },
    f"arn:aws:states:{HERE}:execution:{NAME}:*": "executions are named after their batch",
}


def test_every_role_has_exactly_one_policy(first_plan: Run) -> None:
    assert set(role_policies(first_plan)) == set(ROLES)
    attached = first_plan.planned("aws_iam_role_policy_attachment", "aws_iam_policy_attachment", "aws_iam_policy")
    assert attached == {}, "managed policies are not looked at here"


@pytest.mark.parametrize("role", ROLES)
def test_no_unexpected_star(first_plan: Run, role: str) -> None:
    for statement in role_policies(first_plan)[role]:
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{role} is allowed {action}: name the actions that it needs"
        for resource in listed(statement["Resource"]):
            if resource == "*":
                wide = set(listed(statement["Action"])) - set(WITHOUT_RESOURCE)
                assert not wide, f"{role} is allowed {wide} on everything: name the resources"
            elif "*" in resource:
                assert resource in OPEN_ENDED, f"{role} is allowed {resource}: narrow it, or say here why not"


# What each role may do, and what one could think that it may. A role's neighbours' work stands for all the rest.
@pytest.mark.parametrize(
    ("role", "action", "resource", "expected"),
    [
        ("starter", "s3:GetObjectVersion", f"{INGEST}/incoming/orders/x.json", True),
        ("starter", "s3:GetObjectVersion", f"{INGEST}/elsewhere/x.json", False),
        ("starter", "s3:ListBucket", INGEST, True),
        ("starter", "states:StartExecution", MACHINE, True),
        ("starter", "states:StartExecution", f"{MACHINE}-2", False),
        ("starter", "sqs:SendMessage", QUEUE, True),
        ("starter", "s3:GetObject", f"{PROCESSED}/tables/x", False),
        ("validate", "s3:GetObjectVersion", f"{INGEST}/incoming/orders/x.json", True),
        ("validate", "s3:ListBucket", INGEST, True),
        ("validate", "s3:PutObject", f"{PROCESSED}/staging/x", True),
        ("validate", "s3:PutObject", f"{PROCESSED}/tables/x", False),
        ("validate", "states:StartExecution", MACHINE, False),
        ("transform", "s3:GetObject", f"{PROCESSED}/staging/x", True),
        ("transform", "s3:PutObject", f"{PROCESSED}/staging/x", True),
        ("transform", "s3:PutObject", f"{PROCESSED}/manifests/x", False),
        ("transform", "s3:GetObjectVersion", f"{INGEST}/incoming/orders/x.json", False),
        ("write", "s3:GetObject", f"{PROCESSED}/staging/x", True),
        ("write", "s3:PutObject", f"{PROCESSED}/staging/x", False),
        ("write", "s3:ListBucket", PROCESSED, True),
        *[
            ("write", action, f"{PROCESSED}/{folder}/x", True)
            for action in ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
            for folder in ("rejected", "processed", "tables", "manifests")
        ],
        ("write", "s3:PutObject", f"{PROCESSED}/failures/x", False),
        ("record_failure", "s3:GetObject", f"{PROCESSED}/manifests/x", True),
        ("record_failure", "s3:GetObject", f"{PROCESSED}/rejected/x", True),
        ("record_failure", "s3:PutObject", f"{PROCESSED}/failures/x", True),
        ("record_failure", "s3:PutObject", f"{PROCESSED}/manifests/x", False),
        ("record_failure", "s3:ListBucket", PROCESSED, True),
        ("record_failure", "states:GetExecutionHistory", EXECUTION, True),
        ("record_failure", "sns:Publish", TOPIC, True),
        ("record_failure", "sqs:SendMessage", QUEUE, True),
        ("state_machine", "lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:{NAME}-write:7", True),
        ("state_machine", "lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:{NAME}-write", False),
        ("state_machine", "lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:{NAME}-starter:7", False),
        ("state_machine", "sns:Publish", TOPIC, True),
        ("state_machine", "s3:GetObject", f"{PROCESSED}/tables/x", False),
        *[
            (role, action, f"{bucket}/{folder}/x", False)
            for role in ROLES
            for action in ("s3:DeleteObject", "s3:DeleteObjectVersion")
            for bucket, folder in ((INGEST, "incoming"), (PROCESSED, "staging"), (PROCESSED, "tables"))
        ],
        *[(role, "s3:PutObject", f"{INGEST}/incoming/orders/x.json", False) for role in ROLES],
        *[(role, "logs:CreateLogGroup", f"arn:aws:logs:{HERE}:log-group:/aws/lambda/x", False) for role in ROLES],
    ],
)
def test_a_role_may_do_its_own_work_only(
    first_plan: Run, role: str, action: str, resource: str, expected: bool
) -> None:
    allowed = any(
        action in listed(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        for statement in role_policies(first_plan)[role]
    )
    assert allowed == expected, f"{role} {'may' if allowed else 'may not'} {action} on {resource}"


def test_each_function_writes_to_its_own_log_group(first_plan: Run) -> None:
    for role, statements in role_policies(first_plan).items():
        if role == "state_machine":
            continue
        groups = [s["Resource"] for s in statements if "logs:PutLogEvents" in listed(s["Action"])]
        assert groups == [f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{NAME}-{role.replace('_', '-')}:*"]


def test_only_the_service_itself_takes_on_a_role(first_plan: Run) -> None:
    for address, role in first_plan.planned("aws_iam_role").items():
        [statement] = statements_of(role["assume_role_policy"])
        if address == "aws_iam_role.state_machine":
            assert statement["Principal"] == {"Service": "states.amazonaws.com"}
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
            assert statement["Condition"]["ArnEquals"] == {"aws:SourceArn": MACHINE}
        else:
            assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_buckets_topic_and_queue_refuse_what_does_not_come_by_tls(first_plan: Run) -> None:
    covered: dict[str, Any] = {}
    for policy in resource_policies(first_plan):
        for statement in policy:
            if statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}:
                assert statement["Effect"] == "Deny"
                assert statement["Principal"] == "*"
                covered |= dict.fromkeys(listed(statement["Resource"]), statement["Action"])
    assert covered == {
        INGEST: "s3:*",
        f"{INGEST}/*": "s3:*",
        PROCESSED: "s3:*",
        f"{PROCESSED}/*": "s3:*",
        TOPIC: "sns:Publish",
        QUEUE: "sqs:*",
    }


def test_no_resource_policy_lets_anybody_in_but_the_rule_into_the_queue(first_plan: Run) -> None:
    allowing = [s for policy in resource_policies(first_plan) for s in policy if s["Effect"] == "Allow"]
    assert [{name: value for name, value in s.items() if name != "Sid"} for s in allowing] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": QUEUE,
            "Condition": {
                "ArnEquals": {"aws:SourceArn": f"arn:aws:events:{HERE}:rule/{NAME}-execution-failed"},
            },
        }
    ]


def role_policies(plan: Run) -> dict[str, list[dict[str, Any]]]:
    """The statements of each role's policy, by function or `state_machine`."""
    policies = plan.planned("aws_iam_role_policy")
    return {re.findall(r"\w+", address)[-1]: statements_of(values["policy"]) for address, values in policies.items()}


def resource_policies(plan: Run) -> list[list[dict[str, Any]]]:
    """The statements of each policy on a bucket, topic or queue."""
    values = plan.planned("aws_s3_bucket_policy", "aws_sns_topic_policy", "aws_sqs_queue", "aws_sqs_queue_policy")
    return [statements_of(planned["policy"]) for planned in values.values()]


def statements_of(policy: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return statements


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
