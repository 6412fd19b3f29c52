"""The policies of a plan, as the provider renders them, and the names of the resources in it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.infra.conftest import Run

NAME = "order-pipeline-dev"
ACCOUNT = "123456789012"
HERE = f"eu-central-1:{ACCOUNT}"
INGEST, PROCESSED = f"arn:aws:s3:::{NAME}-ingest-{ACCOUNT}", f"arn:aws:s3:::{NAME}-processed-{ACCOUNT}"
MACHINE = f"arn:aws:states:{HERE}:stateMachine:{NAME}"
EXECUTION = f"arn:aws:states:{HERE}:execution:{NAME}:orders-0"
NOTIFICATIONS, ALARMS = f"arn:aws:sns:{HERE}:{NAME}-notices", f"arn:aws:sns:{HERE}:{NAME}-alarms"
QUEUE = f"arn:aws:sqs:{HERE}:{NAME}-on-failure"
FUNCTION = f"arn:aws:lambda:{HERE}:function:{NAME}"

FUNCTIONS = ("starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler")
ROLES = (*FUNCTIONS, "state_machine", "scheduler")


def role_policies(plan: Run) -> dict[str, list[dict[str, Any]]]:
    """The statements of each role's policy, by function, `state_machine` or `scheduler`."""
    policies = plan.planned("aws_iam_role_policy")
    return {
        re.findall(r"[a-z_]+", address.removeprefix("aws_iam_role_policy."))[-1]: statements_of(values["policy"])
        for address, values in policies.items()
    }


def resource_policies(plan: Run) -> list[list[dict[str, Any]]]:
    """The statements of each policy of a bucket, topic or queue."""
    values = plan.planned("aws_s3_bucket_policy", "aws_sns_topic_policy", "aws_sqs_queue", "aws_sqs_queue_policy")
    return [statements_of(planned["policy"]) for planned in values.values()]


def policies(plan: Run) -> Iterator[tuple[str, str]]:
    """Every policy of a plan, from resources and outputs: its address and attribute, and the JSON."""
    outputs = {name: change["after"] for name, change in plan.plan["output_changes"].items() if "after" in change}
    for address, values in {**plan.planned(), "output": outputs}.items():
        for attribute, value in values.items():
            if isinstance(value, str) and value.startswith("{") and "Statement" in json.loads(value):
                yield f"{address}.{attribute}", value


def statements_of(policy: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return statements


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
