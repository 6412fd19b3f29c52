"""Permissions that the embedded AWS does not enforce: roles of the state machine and the schedule, invokes, trust.

test_role_permissions.py checks the functions' roles, test_confused_deputy.py on whose behalf a service acts, and
infra/tests/roles.tftest.hcl which role each resource gets.
"""

import pytest

from tests.infra.conftest import Run
from tests.infra.policies import (
    ACCOUNT,
    FUNCTION,
    HERE,
    INGEST,
    NAME,
    NOTIFICATIONS,
    QUEUE,
    ROLES,
    role_policies,
    statements_of,
)
from tests.infra.test_role_permissions import grants
from tests.statemachine import definition as asl

# step-functions/latest/dg/cw-logs.html
LOG_DELIVERY = {
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
}
# step-functions/latest/dg/concepts-xray-tracing.html
TRACING = {
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
}


def test_the_state_machine_may_only_do_what_its_tasks_do(first_plan: Run) -> None:
    """It invokes versions only, because a deploy changes what the name of a function refers to."""
    tasks = asl.tasks(asl.load()).values()
    invoked = {function for task in tasks if (function := asl.function_of(task))}
    assert {task["Resource"] for task in tasks} == {asl.LAMBDA, asl.SNS}, "add the permissions of another service below"
    assert grants(first_plan, "state_machine") == {
        *(("lambda:InvokeFunction", f"{FUNCTION}-{function.replace('_', '-')}:*") for function in invoked),
        ("sns:Publish", NOTIFICATIONS),
        *((action, "*") for action in LOG_DELIVERY | TRACING),
    }


def test_the_schedule_may_only_invoke_the_reconciler(first_plan: Run) -> None:
    assert grants(first_plan, "scheduler") == {
        ("lambda:InvokeFunction", f"{FUNCTION}-reconciler:live"),
        ("sqs:SendMessage", QUEUE),
    }


def test_each_function_can_be_invoked_only_by_alias_and_from_one_source(first_plan: Run) -> None:
    permissions = first_plan.planned("aws_lambda_permission").values()
    fields = ("function_name", "qualifier", "action", "principal", "source_arn", "source_account")
    rule = f"arn:aws:events:{HERE}:rule/{NAME}-execution"
    invoke = "lambda:InvokeFunction"
    assert {tuple(permission.get(field) for field in fields) for permission in permissions} == {
        (f"{NAME}-starter", "live", invoke, "s3.amazonaws.com", INGEST, ACCOUNT),
        (f"{NAME}-record-failure", "live", invoke, "events.amazonaws.com", f"{rule}-failed", None),
        (f"{NAME}-record-run", "live", invoke, "events.amazonaws.com", f"{rule}-ended", None),
    }
    assert first_plan.planned("aws_lambda_function_url") == {}, "a function URL would be another way to invoke it"


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_create_pass_or_assume_another_role(any_plan: Run, role: str) -> None:
    services = {action.partition(":")[0] for action, _ in grants(any_plan, role)}
    assert not services & {"iam", "sts", "organizations"}, f"{role} could extend its own permissions"


def test_each_role_trusts_one_service_for_one_action(first_plan: Run) -> None:
    roles = first_plan.planned("aws_iam_role")
    assert len(roles) == len(ROLES) == len(role_policies(first_plan))
    for address, values in roles.items():
        [statement] = statements_of(values["assume_role_policy"])
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole"), address
        assert set(statement["Principal"]) == {"Service"}, address
        assert isinstance(statement["Principal"]["Service"], str), address
