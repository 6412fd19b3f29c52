"""The roles of infra/bootstrap: the permissions for deployments, from a table, without a path to more permissions."""

import json
import re
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import ROOT
from pipeline.deploy import bootstrap, environments, terraform
from pipeline.deploy.environments import Environment
from tests.infra.conftest import Run, run_tests
from tests.infra.policies import ACCOUNT, listed, role_policies, statements_of
from tests.infra.test_lint import access_levels

TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load((terraform.BOOTSTRAP / "permissions.yaml").read_text())
OF_SMOKE: dict[str, list[dict[str, Any]]] = yaml.safe_load((terraform.BOOTSTRAP / "smoke.yaml").read_text())
KINDS = ("read", "write", "erase")

BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/order-pipeline-boundary-"
REPOSITORY = "repo:example@12/orders@345"

# Actions that AWS can't limit to our resources, and why.
ON_EVERY_RESOURCE = {
    "kms:CreateKey": "a new key has no ARN; the request must have the project's tag",
    "kms:TagResource": "the same request",
    "kms:ListAliases": "a list",
    "logs:DeleteQueryDefinition": "AWS has no resource type for saved queries",
    "logs:DescribeLogGroups": "a list",
    "logs:DescribeQueryDefinitions": "as above",
    "logs:PutQueryDefinition": "as above",
    "states:ValidateStateMachineDefinition": "reads only its input",
}
# Those that only the role of `make smoke` has.
ON_EVERY_RESOURCE_FOR_SMOKE = {
    "cloudwatch:GetMetricStatistics": "AWS has no resource type for metrics",
    "states:TestState": "reads only its input",
    **dict.fromkeys(next(grant["read"] for grant in OF_SMOKE["throwaway"] if grant["resources"] == ["*"]), "a list"),
}
# Actions that the role of `make smoke` may use on other resources, too.
WIDE = {"cloudwatch:DescribeAlarms": "a list of all alarms", "kms:": "a key has no name; its tag is the condition"}
ON_RESOURCES_OF_OTHERS = {
    ("database/*", "glue:GetDatabases"): "a list of all databases",
    ("database/default", "glue:GetDatabase"): "Athena reads it for every query",
}
ROLES = ("deploy-dev", "deploy-prod", "deploy-smoke")


@pytest.fixture(scope="session")
def mocked(without_account: Callable[[Path], dict[str, str]]) -> dict[str, Run]:
    """Every run of infra/bootstrap/tests/ with a mocked AWS."""
    environment = without_account(terraform.BOOTSTRAP)
    return run_tests(terraform.BOOTSTRAP, environment, "-filter=tests/bootstrap.tftest.hcl")


@pytest.fixture(scope="session")
def plan_as_set(without_account: Callable[[Path], dict[str, str]]) -> Run:
    """The plan of infra/bootstrap for the environments of infra/environments/, as `make bootstrap` reads them."""
    project, regions, _ = bootstrap._shared_settings()
    variables = {"TF_VAR_project": project, "TF_VAR_environments": json.dumps(regions)}
    environment = {**without_account(terraform.BOOTSTRAP), **variables}
    planned = run_tests(terraform.BOOTSTRAP, environment, "-verbose", "-filter=tests/plan.tftest.hcl")
    run = planned["plan.tftest.hcl/with_github"]
    assert run.status == "pass", run.errors
    return run


def runs() -> list[str]:
    text = (terraform.BOOTSTRAP / "tests" / "bootstrap.tftest.hcl").read_text()
    return re.findall(r'^run "(\w+)"', text, re.MULTILINE)


@pytest.mark.parametrize("name", runs())
def test_run(mocked: dict[str, Run], name: str) -> None:
    run = mocked.get(f"bootstrap.tftest.hcl/{name}", Run())
    assert run.status == "pass", "\n".join([run.status, *run.errors])


# --- the table ---


def test_the_table_of_permissions_has_exactly_the_resource_types_of_infra() -> None:
    text = "".join(path.read_text() for path in terraform.INFRA.glob("*.tf"))
    types = set(re.findall(r'^resource "(aws_\w+)"', text, re.MULTILINE))  # Terraform's own need no permission
    assert types - set(TABLE) == set(), "Add the permissions for these to permissions.yaml."
    assert set(TABLE) - types == set(), "infra/ no longer has these: remove them from permissions.yaml."


def test_every_action_in_the_table_of_permissions_exists() -> None:
    actions = {action for grant in grants() for kind in KINDS for action in grant.get(kind, [])}
    known = access_levels({action.split(":")[0] for action in actions})
    assert {action for action in actions if action not in known} == set()


def test_read_grants_have_only_read_and_list_actions() -> None:
    actions = {action for grant in grants() for action in grant.get("read", [])}
    known = access_levels({action.split(":")[0] for action in actions})
    assert {action: known[action] for action in actions if known[action] not in ("Read", "List")} == {}


def test_a_grant_has_only_known_members() -> None:
    assert {key for grant in grants() for key in grant} <= {"resources", "condition", *KINDS}


def grants() -> list[dict[str, Any]]:
    return [grant for table in (TABLE, OF_SMOKE) for of_type in table.values() for grant in of_type]


def test_every_additional_grant_of_smoke_names_one_of_its_modules() -> None:
    folders = (ROOT / "src" / "pipeline" / "smoke", ROOT / "tests" / "e2e", ROOT / "tests" / "e2e" / "smoke")
    modules = {path.stem.removeprefix("test_") for folder in folders for path in folder.glob("*.py")}
    assert set(OF_SMOKE) - {"kms"} <= modules


# --- the roles ---


def test_each_environment_has_a_deploy_role_and_plans_have_one(bootstrap_plan: Run, plan_as_set: Run) -> None:
    assert set(statements_by_role(bootstrap_plan)) == {*ROLES, "plan"}
    of_ours = {f"deploy-{name}" for name in environments.names()}
    assert set(statements_by_role(plan_as_set)) == {*of_ours, "deploy-smoke", "plan"}


def test_a_role_can_be_assumed_only_by_its_repository_and_environment(bootstrap_plan: Run) -> None:
    subjects = {}
    for address, role in bootstrap_plan.planned("aws_iam_role").items():
        [statement] = statements_of(role["assume_role_policy"])
        provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
        assert statement["Principal"] == {"Federated": provider}
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        [(operator, condition)] = statement["Condition"].items()
        assert operator == "StringEquals", "a wildcard would allow another repository or branch"
        assert condition.pop("token.actions.githubusercontent.com:aud") == "sts.amazonaws.com"
        subjects[re.findall(r'"(.*)"', address)[0]] = condition.pop("token.actions.githubusercontent.com:sub")
        of_branch = {"token.actions.githubusercontent.com:ref": "refs/heads/main"}
        assert condition == ({} if "plan" in address else of_branch)
    assert subjects == {
        "deploy-dev": f"{REPOSITORY}:environment:dev",
        "deploy-prod": f"{REPOSITORY}:environment:prod",
        "deploy-smoke": f"{REPOSITORY}:environment:smoke",
        "plan": [f"{REPOSITORY}:pull_request", f"{REPOSITORY}:ref:refs/heads/main"],
    }


@pytest.mark.parametrize(
    ("environment", "ours"),
    [
        ("dev", ("order-pipeline-dev", "order_pipeline_dev_", "/environments/dev.tfstate")),
        ("prod", ("order-pipeline-prod", "order_pipeline_prod_", "/environments/prod.tfstate")),
        ("smoke", ("order-pipeline-smoke-*", "order_pipeline_smoke_*_", "/smoke/smoke-*.tfstate")),
    ],
)
def test_a_deploy_role_has_permissions_only_for_its_environment(
    bootstrap_plan: Run, environment: str, ours: tuple[str, ...]
) -> None:
    everywhere = {**ON_EVERY_RESOURCE, **(ON_EVERY_RESOURCE_FOR_SMOKE if environment == "smoke" else {})}
    for statement in statements_by_role(bootstrap_plan)[f"deploy-{environment}"]:
        for action in listed(statement["Action"]):
            assert "*" not in action
            for resource in listed(statement["Resource"]):
                elsewhere = resource.endswith((":catalog", ":alarm:*")) or ":key/" in resource
                of_others = (resource.rpartition(":")[2], action) in ON_RESOURCES_OF_OTHERS
                state = resource == f"arn:aws:s3:::tfstate-order-pipeline-{ACCOUNT}" and action == "s3:ListBucket"
                if resource == "*":
                    assert action in everywhere, f"{action} on everything"
                elif elsewhere or of_others:
                    assert of_others or action in WIDE or action.startswith(("kms:", "glue:")), (
                        f"{action} on {resource}"
                    )
                else:
                    assert state or any(name in resource for name in ours), f"{action} on {resource}"
    used = {
        action for one in statements_by_role(bootstrap_plan).values() for s in one for action in listed(s["Action"])
    }
    assert {*ON_EVERY_RESOURCE, *ON_EVERY_RESOURCE_FOR_SMOKE} <= used


def test_permissions_for_keys_are_limited_to_those_of_the_project(bootstrap_plan: Run) -> None:
    for role, statements in statements_by_role(bootstrap_plan).items():
        for statement in statements:
            keys = [action for action in listed(statement["Action"]) if action.startswith("kms:")]
            if keys and keys != ["kms:ListAliases"] and not str(statement["Resource"]).count(":alias/"):
                if "ForAnyValue:StringLike" in statement["Condition"]:  # the alias names the throwaway's key
                    ours = {"kms:ResourceAliases": "alias/order-pipeline-smoke-*"}
                    assert (role, statement["Condition"]) == ("deploy-smoke", {"ForAnyValue:StringLike": ours})
                    continue
                [condition] = statement["Condition"]["StringEquals"].items()
                assert condition in [
                    (f"aws:{tag}/Project", "order-pipeline") for tag in ("ResourceTag", "RequestTag")
                ], role


def test_the_plan_role_has_only_read_permissions(bootstrap_plan: Run) -> None:
    actions = {a for statement in statements_by_role(bootstrap_plan)["plan"] for a in listed(statement["Action"])}
    known = access_levels({action.split(":")[0] for action in actions})
    assert {action for action in actions if known[action] not in ("Read", "List")} == set()
    objects = [
        s["Resource"] for s in statements_by_role(bootstrap_plan)["plan"] if "s3:GetObject" in listed(s["Action"])
    ]
    assert objects == [f"arn:aws:s3:::tfstate-order-pipeline-{ACCOUNT}/order-pipeline/environments/*.tfstate"]


def test_the_deploy_role_of_prod_may_not_delete_objects(bootstrap_plan: Run) -> None:
    erasing = {
        role
        for role, statements in statements_by_role(bootstrap_plan).items()
        for statement in statements
        if "s3:DeleteObject" in listed(statement["Action"]) and ".tfstate" not in str(statement["Resource"])
    }
    assert erasing == {"deploy-dev", "deploy-smoke"}


def test_only_the_smoke_role_may_delete_a_state_and_only_that_of_a_throwaway(bootstrap_plan: Run) -> None:
    deleting = {
        role: [resource for resource in listed(statement["Resource"]) if resource.endswith(".tfstate")]
        for role, statements in statements_by_role(bootstrap_plan).items()
        for statement in statements
        if "s3:DeleteObject" in listed(statement["Action"]) and str(statement["Resource"]).endswith(".tfstate")
    }
    states = f"arn:aws:s3:::tfstate-order-pipeline-{ACCOUNT}/order-pipeline/smoke/smoke-*.tfstate"
    assert deleting == {"deploy-smoke": [states]}


def test_no_role_exceeds_the_quota_of_attached_policies(bootstrap_plan: Run) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    attached = [one["role"] for one in bootstrap_plan.planned("aws_iam_role_policy_attachment").values()]
    assert max(Counter(attached).values()) <= 10


# --- no path to more permissions ---

ONLY_WITH_BOUNDARY = {"iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"}
NEVER = ("iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy", "iam:CreatePolicyVersion", "iam:CreateUser")


def test_deploy_roles_may_create_and_change_roles_only_with_the_boundary(bootstrap_plan: Run) -> None:
    found = set()
    for role, statements in statements_by_role(bootstrap_plan).items():
        for statement in statements:
            assert not set(listed(statement["Action"])) & set(NEVER)
            if bound := set(listed(statement["Action"])) & ONLY_WITH_BOUNDARY:
                found |= bound
                assert statement["Condition"] == {
                    "StringEquals": {"iam:PermissionsBoundary": BOUNDARY + role.removeprefix("deploy-")}
                }
    assert found == ONLY_WITH_BOUNDARY


def test_a_deploy_role_may_pass_roles_only_to_the_services_that_they_trust(
    bootstrap_plan: Run, first_plan: Run
) -> None:
    passed = {
        statement["Condition"]["StringEquals"]["iam:PassedToService"]
        for statement in statements_by_role(bootstrap_plan)["deploy-prod"]
        if "iam:PassRole" in listed(statement["Action"])
    }
    roles = first_plan.planned("aws_iam_role").values()
    trusted = {statements_of(role["assume_role_policy"])[0]["Principal"]["Service"] for role in roles}
    assert passed == trusted


def test_a_deploy_role_has_no_permissions_for_the_roles_of_bootstrap(bootstrap_plan: Run) -> None:
    names = {role["name"] for role in bootstrap_plan.planned("aws_iam_role").values()}
    policies = {policy["name"] for policy in bootstrap_plan.planned("aws_iam_policy").values()}
    arns = [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in names]
    arns += [f"arn:aws:iam::{ACCOUNT}:policy/{name}" for name in policies]
    for role in ROLES:
        statements = statements_by_role(bootstrap_plan)[role]
        for resource in (resource for statement in statements for resource in listed(statement["Resource"])):
            assert not [arn for arn in arns if resource != "*" and fnmatchcase(arn, resource)]


def boundary_of(plan: Run, environment: str) -> str:
    """The permissions boundary of one environment's roles."""
    policies = plan.planned("aws_iam_policy").values()
    return next(one["policy"] for one in policies if one["name"] == f"order-pipeline-boundary-{environment}")


def test_roles_created_by_a_deploy_role_cannot_access_another_environment(bootstrap_plan: Run) -> None:
    """A deployer of dev can give its roles everything that the boundary allows, and assume them."""
    theirs = [
        *("arn:aws:s3:::order-pipeline-prod-ingest-1", "arn:aws:s3:::order-pipeline-prod-processed-1/tables/x"),
        "arn:aws:lambda:eu-central-1:1:function:order-pipeline-prod-write",
        "arn:aws:states:eu-central-1:1:stateMachine:order-pipeline-prod",
        "arn:aws:states:eu-central-1:1:execution:order-pipeline-prod:x",
        *("arn:aws:sns:eu-central-1:1:order-pipeline-prod-notices", "arn:aws:sqs:eu-central-1:1:order-pipeline-prod-x"),
        "arn:aws:logs:eu-central-1:1:log-group:/aws/lambda/order-pipeline-prod-write:*",
    ]
    of_account = [arn.replace(":1:", f":{ACCOUNT}:").replace("-1", f"-{ACCOUNT}") for arn in theirs]
    for statement in statements_of(boundary_of(bootstrap_plan, "dev")):
        for resource in listed(statement["Resource"]):
            if resource != "*" and ":key/" not in resource:
                assert not [arn for arn in of_account if fnmatchcase(arn, resource)], resource
        if "kms:Decrypt" in listed(statement["Action"]):
            aliases = statement["Condition"]["ForAnyValue:StringLike"]["kms:ResourceAliases"]
            assert listed(aliases) == ["alias/order-pipeline-dev"]


def test_the_boundary_allows_every_action_of_the_roles_of_infra(bootstrap_plan: Run, any_plan: Run) -> None:
    within = statements_of(boundary_of(bootstrap_plan, "dev"))
    outside = [
        f"{role}: {action} on {resource}"
        for role, statements in role_policies(any_plan).items()
        for statement in statements
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if not any(
            action in listed(bound["Action"]) and any(fnmatchcase(resource, one) for one in listed(bound["Resource"]))
            for bound in within
        )
    ]
    assert outside == [], "Add these to infra/bootstrap/boundary.tf."


def test_the_boundary_allows_only_actions_that_a_role_of_infra_has(bootstrap_plan: Run, plan_with_key: Run) -> None:
    within = statements_of(boundary_of(bootstrap_plan, "dev"))
    allowed = {action for statement in within for action in listed(statement["Action"])}
    roles = role_policies(plan_with_key).values()
    assert allowed == {action for statements in roles for one in statements for action in listed(one["Action"])}


def test_every_role_of_infra_has_the_boundary(runs: dict[str, Run]) -> None:
    text = "".join(path.read_text() for path in terraform.INFRA.glob("*.tf"))
    roles = re.findall(r'^resource "aws_iam_role" .*?^}', text, re.MULTILINE | re.DOTALL)
    assert len(roles) == 3
    assert [role for role in roles if "permissions_boundary = local.permissions_boundary" not in role] == []


@pytest.mark.parametrize("environment", environments.names())
def test_each_environment_names_the_boundary_that_bootstrap_creates(plan_as_set: Run, environment: str) -> None:
    boundary = plan_as_set.planned("aws_iam_policy")[f'aws_iam_policy.boundary["{environment}"]']
    assert Environment(environment).shared_setting("permissions_boundary", "") in ("", boundary["name"])


# --- the bucket ---


def test_the_state_bucket_is_private_and_cannot_be_destroyed(bootstrap_plan: Run) -> None:
    text = (terraform.BOOTSTRAP / "state.tf").read_text()
    assert "prevent_destroy = true" in text
    [block] = bootstrap_plan.planned("aws_s3_bucket_public_access_block").values()
    assert {value for value in block.values() if isinstance(value, bool)} == {True}
    [versioning] = bootstrap_plan.planned("aws_s3_bucket_versioning").values()
    assert versioning["versioning_configuration"][0]["status"] == "Enabled"
    [policy] = bootstrap_plan.planned("aws_s3_bucket_policy").values()
    [statement] = statements_of(policy["policy"])
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_bootstrap_and_infra_use_the_same_provider() -> None:
    locks = {(folder / ".terraform.lock.hcl").read_text() for folder in (terraform.INFRA, terraform.BOOTSTRAP)}
    assert len(locks) == 1


def statements_by_role(plan: Run) -> dict[str, list[dict[str, Any]]]:
    """The statements of all policies of each role."""
    statements: dict[str, list[dict[str, Any]]] = {}
    for address, policy in plan.planned("aws_iam_policy").items():
        if found := re.fullmatch(r'aws_iam_policy\.github\["(.*)-\d+"\]', address):
            statements.setdefault(found[1], []).extend(statements_of(policy["policy"]))
    return statements
