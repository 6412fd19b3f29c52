"""Whoever deploys in these tests may do what a deploy role of infra/bootstrap may, and no more."""

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
"""What the deployment of these tests is called instead of a throw-away."""

# Of these the embedded AWS doesn't tell which resource they are about, or tells it wrong (a rule's bus, a schedule's
# group), so that here they must be allowed on everything: those that the role may take at all.
UNTOLD = (
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
    # Of what make smoke asks besides.
    *("athena:GetQueryExecution", "athena:GetQueryResults", "iam:SimulatePrincipalPolicy"),
    # It knows no condition on the boundary. tests/infra/test_deploy_roles.py sees that it is there.
    *("iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePolicy"),
)
MISNAMED = {
    "lambda:GetAlias": ("lambda:ListAliases",),
    # AWS has these two for all that is done to a budget; the embedded AWS has each call of the API.
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
"""What the embedded AWS calls an action, where it is otherwise than AWS."""


def make_bootstrap(place: Target, home: Path, environment: str) -> dict[str, Any]:
    """What `make bootstrap` answers for one environment, from a copy of infra/bootstrap."""
    with bootstrap_of(place, home, environment):
        return bootstrap.bootstrap(place, REPOSITORY)


WITHOUT_LIFECYCLE_RULES = 'resource "aws_s3_bucket_lifecycle_configuration" "state" {\n  count = 0\n}\n'
"""The provider waits a minute for rules that the embedded AWS never settles; tests/infra looks at them in the plan."""


@contextmanager
def bootstrap_of(place: Target, home: Path, environment: str) -> Iterator[pytest.MonkeyPatch]:
    """A copy of infra/bootstrap in `home`, for one environment, as if somebody worked there."""
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
    """The same place for a user who has the policies of a role, with other names `instead` of those in them."""
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
    untold = [name for action in UNTOLD if action in granted for name in MISNAMED.get(action, (action,))]
    everywhere = {"Effect": "Allow", "Action": untold, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everywhere]})
    iam.put_user_policy(UserName=user, PolicyName="untold", PolicyDocument=document)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    environment = {
        **place.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    return replace(place, environment=environment, workspace=replace(place.workspace, environment=environment))


def bind_analyst(place: Target, role_arn: str) -> None:
    """Bind the analyst by the boundary of the smoke test, as a throw-away's is: an environment's allows no query."""
    iam, smoke = place.client("iam"), f"arn:aws:iam::{place.account()}:policy/order-pipeline-boundary-smoke"
    version = iam.get_policy(PolicyArn=smoke)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=smoke, VersionId=version)["PolicyVersion"]["Document"]
    untold = ["athena:BatchGetNamedQuery", *(action for action in UNTOLD if action.startswith("athena:Get"))]
    document["Statement"].append({"Effect": "Allow", "Action": untold, "Resource": "*"})
    text = json.dumps(document)
    for name, other in AS_THROW_AWAY.items():
        text = text.replace(name, other)
    boundary = iam.create_policy(PolicyName="order-pipeline-boundary-renamed", PolicyDocument=text)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=role_arn.rpartition("/")[2], PermissionsBoundary=boundary)
