"""Deployments in these tests run with the permissions of a deploy role of infra/bootstrap."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.deploy import bootstrap, environments, terraform, workspace
from pipeline.deploy.targets import Target

REPOSITORY = "example@12/orders@345"

SMOKE_ROLE = "order-pipeline-deploy-smoke"
AS_THROW_AWAY = {"order-pipeline-smoke-*": "order-pipeline-e2e", "order_pipeline_smoke_*": "order_pipeline_e2e"}
"""The name of these tests' deployment, which replaces that of a temporary one."""

# The embedded AWS authorizes these actions without a resource, or with a wrong one (a rule's bus, a schedule's group).
# If the role has such an action, it must be allowed on every resource here.
WITHOUT_RESOURCE = (
    *("athena:CreateWorkGroup", "athena:DeleteNamedQuery", "athena:GetNamedQuery", "athena:ListTagsForResource"),
    *("budgets:ListTagsForResource", "budgets:ModifyBudget", "budgets:ViewBudget"),
    *("cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
    *("cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"),
    *("events:DeleteRule", "events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"),
    *("events:PutRule", "events:PutTargets", "events:RemoveTargets"),
    *("glue:DeleteDatabase", "glue:GetDatabase"),
    *("lambda:CreateFunction", "lambda:GetAlias"),
    *("scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule", "scheduler:ListTagsForResource"),
    *("sns:GetSubscriptionAttributes", "sns:ListTagsForResource", "sns:Unsubscribe", "states:ListTagsForResource"),
    "sns:TagResource",
    # `make smoke` also calls these.
    *("athena:GetQueryExecution", "athena:GetQueryResults", "iam:SimulatePrincipalPolicy"),
    # The emulator ignores the condition on the boundary; tests/infra/test_deploy_roles.py checks that it exists.
    *("iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePolicy"),
)
MISNAMED = {
    "lambda:GetAlias": ("lambda:ListAliases",),
    # On AWS these two actions cover every call on a budget; the embedded AWS has one action per call.
    "budgets:ModifyBudget": tuple(
        f"budgets:{verb}{what}"
        for verb in ("Create", "Update", "Delete")
        for what in ("Budget", "Notification", "Subscriber")
    ),
    "budgets:ViewBudget": tuple(
        f"budgets:Describe{what}"
        for what in ("Budget", "Budgets", "NotificationsForBudget", "SubscribersForNotification")
    ),
}
"""The embedded AWS's names of actions, where they differ from those of AWS."""


def make_bootstrap(place: Target, home: Path, environment: str) -> dict[str, Any]:
    """Run `make bootstrap` for one environment from a copy of infra/bootstrap, and return its result."""
    with bootstrap_of(place, home, environment):
        return bootstrap.bootstrap(place, REPOSITORY)


WITHOUT_LIFECYCLE_RULES = 'resource "aws_s3_bucket_lifecycle_configuration" "state" {\n  count = 0\n}\n'
"""The embedded AWS never reports the rules as applied, so the provider would wait; tests/infra checks them."""


@contextmanager
def bootstrap_of(place: Target, home: Path, environment: str) -> Iterator[pytest.MonkeyPatch]:
    """A copy of infra/bootstrap in `home`, for one environment, used as the working directory."""
    folder = home / "bootstrap"
    left = shutil.ignore_patterns(".terraform", ".terraform-*", "*.tfstate*", "*override.tf")
    shutil.copytree(terraform.BOOTSTRAP, folder, ignore=left)
    (folder / "lifecycle_override.tf").write_text(WITHOUT_LIFECYCLE_RULES)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        for module in (bootstrap, workspace):
            patch.setattr(module, "BOOTSTRAP", folder)
        patch.setattr(environments, "names", lambda: [environment])
        yield patch


def acting_as(place: Target, role: str, instead: Mapping[str, str] | None = None) -> Target:
    """The same place for a user with the policies of a role; `instead` maps names in them to other names."""
    iam, user = place.client("iam"), f"as-{role}{'-renamed' if instead else ''}"
    iam.create_user(UserName=user)
    granted: set[str] = set()
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
        arn = policy["PolicyArn"]
        if instead:
            text = json.dumps(document)
            for name, other in instead.items():
                text = text.replace(name, other)
            arn = iam.create_policy(PolicyName=f"{policy['PolicyName']}-renamed", PolicyDocument=text)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=user, PolicyArn=arn)
        for statement in document["Statement"]:
            granted |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    without_resource = [
        name for action in WITHOUT_RESOURCE if action in granted for name in MISNAMED.get(action, (action,))
    ]
    everywhere = {"Effect": "Allow", "Action": without_resource, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everywhere]})
    iam.put_user_policy(UserName=user, PolicyName="without-resource", PolicyDocument=document)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    environment = {
        **place.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    return replace(place, environment=environment, workspace=replace(place.workspace, environment=environment))


def bind_analyst(place: Target, role_arn: str) -> None:
    """Give the analyst the boundary of the smoke test: the boundary of an environment allows no query."""
    iam, smoke = place.client("iam"), f"arn:aws:iam::{place.account()}:policy/order-pipeline-boundary-smoke"
    version = iam.get_policy(PolicyArn=smoke)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=smoke, VersionId=version)["PolicyVersion"]["Document"]
    without_resource = [
        "athena:BatchGetNamedQuery",
        *(action for action in WITHOUT_RESOURCE if action.startswith("athena:Get")),
    ]
    document["Statement"].append({"Effect": "Allow", "Action": without_resource, "Resource": "*"})
    text = json.dumps(document)
    for name, other in AS_THROW_AWAY.items():
        text = text.replace(name, other)
    boundary = iam.create_policy(PolicyName="order-pipeline-boundary-renamed", PolicyDocument=text)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=role_arn.rpartition("/")[2], PermissionsBoundary=boundary)
