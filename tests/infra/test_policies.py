"""Every policy of a first deployment, as the provider renders it: least privilege, and each exception has a reason."""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.infra.conftest import Run
from tests.infra.policies import (
    ACCOUNT,
    ALARMS,
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
    ROLES,
    listed,
    policies,
    resource_policies,
    role_policies,
    statements_of,
)

# Actions for which IAM has no resource type, so a policy must use "*".
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

# Resources that end in a `*`, because the rest of the name is only known at run time.
OPEN_ENDED = {
    f"{INGEST}/incoming/*": "files are named by who sends them",
    **{
        f"{PROCESSED}/{folder}/*": "outputs are named after their batch"
        for folder in ("staging", "rejected", "processed", "tables", "manifests", "failures", "runs")
    },
    **{
        f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{NAME}-{function}:*": "Lambda names the log streams"
        for function in ("starter", "validate", "transform", "write", "record-failure", "record-run", "reconciler")
    },
    **{
        f"{FUNCTION}-{function}:*": "executions finish with the version they began with"
        for function in ("validate", "transform", "write", "record-failure")
    },
    f"arn:aws:states:{HERE}:execution:{NAME}:*": "executions are named after their batch",
}


def test_every_role_has_exactly_one_policy(first_plan: Run) -> None:
    assert set(role_policies(first_plan)) == set(ROLES)
    attached = first_plan.planned("aws_iam_role_policy_attachment", "aws_iam_policy_attachment", "aws_iam_policy")
    assert attached == {}, "these tests do not check managed policies"


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_no_unexplained_wildcard(any_plan: Run, role: str) -> None:
    for statement in role_policies(any_plan)[role]:
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
                assert resource in OPEN_ENDED, (
                    f"{role} is allowed {resource}: narrow it, or add it to OPEN_ENDED with a reason"
                )


# What each role may do, and what one could assume that it may do. The actions of other roles represent all the rest.
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
        ("validate", "s3:GetObject", f"{INGEST}/incoming/orders/x.json", False),
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
        ("write", "s3:GetObjectVersion", f"{INGEST}/incoming/orders/x.json", True),
        ("write", "s3:GetObject", f"{INGEST}/incoming/orders/x.json", False),
        ("write", "s3:ListBucket", INGEST, True),
        *[
            ("write", action, f"{PROCESSED}/{folder}/x", True)
            for action in ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
            for folder in ("rejected", "processed", "tables")
        ],
        ("write", "s3:GetObject", f"{PROCESSED}/manifests/x", True),
        ("write", "s3:PutObject", f"{PROCESSED}/manifests/x", True),
        ("write", "s3:AbortMultipartUpload", f"{PROCESSED}/manifests/x", False),
        ("write", "s3:PutObject", f"{PROCESSED}/failures/x", False),
        ("record_failure", "s3:GetObject", f"{PROCESSED}/manifests/x", True),
        ("record_failure", "s3:GetObject", f"{PROCESSED}/rejected/x", True),
        ("record_failure", "s3:PutObject", f"{PROCESSED}/failures/x", True),
        ("record_failure", "s3:GetObject", f"{PROCESSED}/failures/x", True),
        ("record_failure", "s3:PutObject", f"{PROCESSED}/manifests/x", False),
        ("record_failure", "s3:ListBucket", PROCESSED, True),
        ("record_failure", "states:GetExecutionHistory", EXECUTION, True),
        ("record_failure", "sns:Publish", NOTIFICATIONS, True),
        ("record_failure", "sns:Publish", ALARMS, False),
        ("record_failure", "sqs:SendMessage", QUEUE, True),
        ("record_run", "s3:GetObject", f"{PROCESSED}/manifests/x", True),
        ("record_run", "s3:PutObject", f"{PROCESSED}/runs/x", True),
        ("record_run", "s3:ListBucket", PROCESSED, True),
        ("record_run", "s3:ListBucket", INGEST, False),
        ("record_run", "s3:GetObject", f"{PROCESSED}/staging/x", False),
        ("record_run", "s3:PutObject", f"{PROCESSED}/manifests/x", False),
        ("record_run", "states:GetExecutionHistory", EXECUTION, True),
        ("record_run", "states:DescribeExecution", EXECUTION, False),
        ("record_run", "sns:Publish", NOTIFICATIONS, False),
        ("record_run", "sqs:SendMessage", QUEUE, True),
        ("reconciler", "s3:ListBucket", INGEST, True),
        ("reconciler", "s3:ListBucketVersions", INGEST, True),
        ("reconciler", "s3:GetObject", f"{INGEST}/incoming/orders/x.json", True),
        ("reconciler", "s3:GetObjectVersion", f"{INGEST}/incoming/orders/x.json", True),
        ("reconciler", "s3:ListBucket", PROCESSED, True),
        ("reconciler", "s3:GetObject", f"{PROCESSED}/manifests/x", True),
        ("reconciler", "s3:GetObject", f"{PROCESSED}/failures/x", True),
        *[
            ("reconciler", "s3:GetObject", f"{PROCESSED}/{folder}/x", False)
            for folder in ("staging", "rejected", "processed", "tables")
        ],
        *[
            ("reconciler", "s3:PutObject", f"{PROCESSED}/{folder}/x", False)
            for folder in ("staging", "rejected", "processed", "tables", "manifests", "failures")
        ],
        ("reconciler", "states:StartExecution", MACHINE, True),
        ("reconciler", "states:StartExecution", f"{MACHINE}-2", False),
        ("reconciler", "states:ListExecutions", MACHINE, True),
        ("reconciler", "states:DescribeExecution", EXECUTION, True),
        ("reconciler", "states:StopExecution", EXECUTION, False),
        ("reconciler", "lambda:InvokeFunction", f"{FUNCTION}-record-failure:live", True),
        ("reconciler", "lambda:InvokeFunction", f"{FUNCTION}-record-failure", False),
        ("reconciler", "lambda:InvokeFunction", f"{FUNCTION}-starter:live", False),
        ("reconciler", "sns:Publish", NOTIFICATIONS, False),
        ("reconciler", "sqs:SendMessage", QUEUE, True),
        ("scheduler", "lambda:InvokeFunction", f"{FUNCTION}-reconciler:live", True),
        ("scheduler", "lambda:InvokeFunction", f"{FUNCTION}-reconciler", False),
        ("scheduler", "lambda:InvokeFunction", f"{FUNCTION}-starter:live", False),
        ("scheduler", "sqs:SendMessage", QUEUE, True),
        ("scheduler", "states:StartExecution", MACHINE, False),
        ("state_machine", "lambda:InvokeFunction", f"{FUNCTION}-write:7", True),
        ("state_machine", "lambda:InvokeFunction", f"{FUNCTION}-write", False),
        ("state_machine", "lambda:InvokeFunction", f"{FUNCTION}-starter:7", False),
        ("state_machine", "sns:Publish", NOTIFICATIONS, True),
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
def test_a_role_may_only_do_its_own_work(
    first_plan: Run, role: str, action: str, resource: str, expected: bool
) -> None:
    allowed = any(
        action in listed(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        for statement in role_policies(first_plan)[role]
    )
    assert allowed == expected, f"{role} {'may' if allowed else 'may not'} {action} on {resource}"


ANALYSTS = f"arn:aws:athena:{HERE}:workgroup/{NAME}"
GLUE = f"arn:aws:glue:{HERE}"
DATABASE = "order_pipeline_dev_orders"


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("athena:StartQueryExecution", ANALYSTS, True),
        ("athena:StartQueryExecution", f"arn:aws:athena:{HERE}:workgroup/primary", False),  # it has no limit
        ("athena:UpdateWorkGroup", ANALYSTS, False),
        ("glue:GetTable", f"{GLUE}:table/{DATABASE}/orders_current", True),
        ("glue:GetTable", f"{GLUE}:table/another/orders", False),
        ("glue:UpdateTable", f"{GLUE}:table/{DATABASE}/orders_current", False),
        *[
            ("s3:GetObject", f"{PROCESSED}/{folder}/x", folder not in ("staging", "processed"))
            for folder in ("tables", "rejected", "manifests", "failures", "queries", "staging", "processed")
        ],
        ("s3:GetObject", f"{INGEST}/incoming/orders/x.json", False),
        ("s3:PutObject", f"{PROCESSED}/queries/x", True),
        *[("s3:PutObject", f"{PROCESSED}/{folder}/x", False) for folder in ("tables", "manifests", "failures")],
        ("s3:DeleteObject", f"{PROCESSED}/queries/x", False),
    ],
)
def test_an_analyst_may_query_but_not_change_data(first_plan: Run, action: str, resource: str, expected: bool) -> None:
    policy = statements_of(dict(policies(first_plan))["output.analyst_policy"])
    allowed = any(
        action in listed(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        for statement in policy
    )
    assert allowed == expected, f"an analyst {'may' if allowed else 'may not'} {action} on {resource}"


def test_each_function_writes_to_its_own_log_group(first_plan: Run) -> None:
    for role in FUNCTIONS:
        statements = role_policies(first_plan)[role]
        groups = [s["Resource"] for s in statements if "logs:PutLogEvents" in listed(s["Action"])]
        assert groups == [f"arn:aws:logs:{HERE}:log-group:/aws/lambda/{NAME}-{role.replace('_', '-')}:*"]


def test_only_its_service_may_assume_a_role(first_plan: Run) -> None:
    """test_confused_deputy.py checks on whose behalf."""
    services = {"aws_iam_role.state_machine": "states", "aws_iam_role.scheduler[0]": "scheduler"}
    for address, role in first_plan.planned("aws_iam_role").items():
        [statement] = statements_of(role["assume_role_policy"])
        assert statement["Principal"] == {"Service": f"{services.get(address, 'lambda')}.amazonaws.com"}


def test_buckets_topics_and_queue_refuse_requests_without_tls(first_plan: Run) -> None:
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
        NOTIFICATIONS: "sns:Publish",
        ALARMS: "sns:Publish",
        QUEUE: "sqs:*",
    }


def test_resource_policies_only_allow_the_event_rules_and_the_alarms(any_plan: Run) -> None:
    allowing = [s for policy in resource_policies(any_plan) for s in policy if s["Effect"] == "Allow"]
    assert [{name: value for name, value in s.items() if name != "Sid"} for s in allowing] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": ALARMS,
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{HERE}:alarm:{NAME}-*"},
            },
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": QUEUE,
            "Condition": {
                "ArnEquals": {
                    "aws:SourceArn": [
                        f"arn:aws:events:{HERE}:rule/{NAME}-execution-{end}" for end in ("failed", "ended")
                    ]
                },
            },
        },
    ]


def test_every_alarm_may_publish(first_plan: Run) -> None:
    """The policies of the topic and of the key allow alarms whose name begins with the deployment's."""
    alarms = first_plan.planned("aws_cloudwatch_metric_alarm").values()
    assert [alarm["alarm_name"] for alarm in alarms if not alarm["alarm_name"].startswith(f"{NAME}-")] == []
