"""Each permission for an AWS service is limited to this account, so that others cannot misuse the service.

docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.infra.conftest import Run
from tests.infra.policies import ACCOUNT, HERE, listed, policies

# Services for which no condition is possible, and why they need none.
UNCONDITIONAL = {
    "lambda.amazonaws.com": "names no source when it takes on a role; only functions of its account can be given one",
}

SERVICES = {
    "cloudwatch.amazonaws.com": "alarms publish to their topic",
    "events.amazonaws.com": "rules invoke record_failure and record_run, and send to the queue what they can't",
    "lambda.amazonaws.com": "takes on the functions' roles",
    "s3.amazonaws.com": "invokes the starter",
    "scheduler.amazonaws.com": "takes on the scheduler's role",
    "states.amazonaws.com": "takes on the state machine's role",
}
WITH_KEY = {"logs.eu-central-1.amazonaws.com": "encrypts the log groups"}


def test_only_known_services_get_permissions(first_plan: Run, plan_with_key: Run) -> None:
    """Every permission for a service is found, and a new service needs an entry here."""
    assert {service for service, _, _ in permissions_of_services(first_plan)} == set(SERVICES)
    assert {service for service, _, _ in permissions_of_services(plan_with_key)} == set(SERVICES) | set(WITH_KEY)


def test_every_permission_of_a_service_is_limited_to_this_account(any_plan: Run) -> None:
    loose = {
        f"{service} in {where}"
        for service, where, condition in permissions_of_services(any_plan)
        if service not in UNCONDITIONAL and not names_this_account(condition)
    }
    assert loose == set(), "Add a condition on aws:SourceAccount, or on aws:SourceArn where that names an account."


def test_a_service_without_a_condition_only_assumes_a_role(any_plan: Run) -> None:
    for service, where, _ in permissions_of_services(any_plan):
        assert service not in UNCONDITIONAL or where.endswith(".assume_role_policy"), f"{service} in {where}"


def test_a_role_is_assumed_only_for_its_own_resource(first_plan: Run) -> None:
    arns = {
        "states.amazonaws.com": f"arn:aws:states:{HERE}:stateMachine:order-pipeline-dev",
        # the group's ARN, never a schedule's: scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        "scheduler.amazonaws.com": f"arn:aws:scheduler:{HERE}:schedule-group/order-pipeline-dev",
    }
    found = {
        service: condition
        for service, where, condition in permissions_of_services(first_plan)
        if where.endswith("role_policy")
    }
    for service, arn in arns.items():
        assert found[service] == {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnEquals": {"aws:SourceArn": arn},
        }


def permissions_of_services(plan: Run) -> Iterator[tuple[str, str, dict[str, dict[str, Any]]]]:
    """Every permission for a service in a plan: the service, its place, and its condition."""
    for where, policy in policies(plan):
        for statement in json.loads(policy)["Statement"]:
            if statement["Effect"] == "Allow" and isinstance(statement.get("Principal"), dict):
                for service in listed(statement["Principal"].get("Service", [])):
                    yield service, where, statement.get("Condition", {})
    for where, permission in plan.planned("aws_lambda_permission").items():
        source = {"aws:SourceArn": permission["source_arn"], "aws:SourceAccount": permission["source_account"]}
        yield permission["principal"], where, {"StringEquals": {key: value for key, value in source.items() if value}}


def names_this_account(condition: dict[str, dict[str, Any]]) -> bool:
    """A bucket's ARN names no account, so it is not sufficient. The encryption context stands for the source's ARN."""
    return any(
        all(value == ACCOUNT or f":{ACCOUNT}:" in value for value in listed(values))
        for operator, keys in condition.items()
        for key, values in keys.items()
        if operator in ("StringEquals", "ArnEquals", "ArnLike")
        and (key in ("aws:SourceAccount", "aws:SourceArn") or key.startswith("kms:EncryptionContext:aws:"))
    )
