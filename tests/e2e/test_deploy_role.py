"""A deploy role's policies are enough to deploy infra/ (conftest.py), and allow nothing else."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.deploy import bootstrap, workspace
from pipeline.deploy.backends import Backend, LocalBackend, S3Backend
from pipeline.deploy.environments import Environment
from pipeline.deploy.targets import Target
from pipeline.deploy.terraform import Lines
from pipeline.deploy.workspace import Workspace
from pipeline.errors import CliError
from tests.e2e.deployer import REPOSITORY, acting_as, bootstrap_of

pytestmark = pytest.mark.slow

ACCOUNT = "000000000000"
STATES = f"tfstate-order-pipeline-{ACCOUNT}"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})

# Calls that would reach outside of the environment, or read data.
FORBIDDEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "another environment's bucket": ("s3", "create_bucket", {"Bucket": f"order-pipeline-prod-ingest-{ACCOUNT}"}),
    "another environment's topic": ("sns", "create_topic", {"Name": "order-pipeline-prod-notices"}),
    "another environment's queue": ("sqs", "create_queue", {"QueueName": "order-pipeline-prod-on-failure"}),
    "another environment's state": (
        "s3",
        "put_object",
        {"Bucket": STATES, "Key": "order-pipeline/environments/prod.tfstate", "Body": b"{}"},
    ),
    "the state of bootstrap": ("s3", "get_object", {"Bucket": STATES, "Key": "order-pipeline/bootstrap.tfstate"}),
    "a data file": ("s3", "put_object", {"Bucket": f"order-pipeline-e2e-ingest-{ACCOUNT}", "Key": "x", "Body": b"x"}),
    "its own role's trust": (
        "iam",
        "update_assume_role_policy",
        {"RoleName": "order-pipeline-deploy-e2e", "PolicyDocument": TRUST},
    ),
    "a role out of the boundary": (
        "iam",
        "delete_role_permissions_boundary",
        {"RoleName": "order-pipeline-e2e-write"},
    ),
    "a policy of AWS's for a role": (
        "iam",
        "attach_role_policy",
        {"RoleName": "order-pipeline-e2e-write", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    "a user": ("iam", "create_user", {"UserName": "somebody"}),
    "the boundary itself": (
        "iam",
        "create_policy_version",
        {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/order-pipeline-boundary-e2e", "PolicyDocument": TRUST},
    ),
}


@pytest.fixture(scope="session")
def client_of(place: Target) -> Callable[[str], Any]:
    """Clients with the deploying user's credentials."""
    keys = place.client("iam").create_access_key(UserName="as-order-pipeline-deploy-e2e")["AccessKey"]
    session: dict[str, Any] = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
    }
    return lambda service: place.client(service, **session)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_deploy_role_is_denied(client_of: Callable[[str], Any], what: str) -> None:
    service, operation, arguments = FORBIDDEN[what]
    with pytest.raises(ClientError) as refused:
        getattr(client_of(service), operation)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, refused.value


def test_every_role_has_a_permissions_boundary(place: Target) -> None:
    iam = place.client("iam")
    named = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    ours = [name for name in named if name.startswith("order-pipeline-e2e-")]
    names = [name for name in ours if not name.endswith("-analyst")]  # the smoke test's, bound by its boundary
    assert len(names) == 9
    bounds = {
        iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        for name in names
    }
    assert bounds == {f"arn:aws:iam::{ACCOUNT}:policy/order-pipeline-boundary-e2e"}


def test_a_plan_role_can_plan(place: Target) -> None:
    planning = acting_as(place, "order-pipeline-plan")
    with planning.workspace.planned() as (_, content):
        assert content["resource_changes"]
    with pytest.raises(CliError, match="not authorized"):
        list(planning.workspace.apply("-target=aws_sns_topic.alarms", "-var=project=other"))


# --- the state in the bucket ---


@pytest.fixture
def in_bucket(place: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workspace]:
    """Creates workspaces of another environment, `state`, over a checkout's infra/, with a given backend.

    This infra/ needs no provider: moving and locking a state doesn't depend on its resources.
    """
    folder = tmp_path / "infra"
    (folder / "environments").mkdir(parents=True)
    (folder / "main.tf").write_text(
        'terraform {\n  backend "local" {}\n}\n'
        'resource "terraform_data" "first" {}\nresource "terraform_data" "second" {}\n'
    )
    (folder / "environments" / "state.tfvars").touch()
    monkeypatch.setattr(workspace, "INFRA", folder)
    monkeypatch.setattr("pipeline.deploy.environments.INFRA", folder)
    for name, value in place.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)

    def made(backend: Backend, name: str | None = "state") -> Workspace:
        return Workspace(place.environment, {}, folder, backend, Environment(name))

    return made


REMOTE = S3Backend(STATES, "order-pipeline/environments/state.tfstate")
FIRST = "-target=terraform_data.first"


def test_a_state_moves_from_a_file_to_the_bucket_and_is_locked_there(
    place: Target, in_bucket: Callable[..., Workspace]
) -> None:
    with pytest.raises(CliError, match=f"a state bucket: {STATES}"):
        in_bucket(LocalBackend("state.tfstate")).init()
    local, remote = in_bucket(LocalBackend("state.tfstate"), None), in_bucket(REMOTE)
    local.init()
    list(local.apply(FIRST))

    with pytest.raises(CliError, match=r"in infra/state\.tfstate, not in"):
        remote.init()
    assert remote.move_state().name == "state.tfstate.moved"
    remote.init()
    assert [kind for kind, _ in remote.state().resources] == ["terraform_data"]
    with pytest.raises(CliError, match="but TF_STATE_BUCKET is not set"):
        in_bucket(LocalBackend("state.tfstate")).state()

    lock = json.dumps({"ID": "11111111-2222-4333-8444-555555555555", "Operation": "OperationTypeApply", "Who": "a@b"})
    place.s3().put_object(Bucket=STATES, Key=f"{REMOTE.key}.tflock", Body=lock.encode())
    with pytest.raises(CliError, match="Error acquiring the state lock") as refused:
        list(remote.apply(FIRST))
    assert "force-unlock" in refused.value.next_step
    with remote.planned() as (_, content):
        assert content["resource_changes"], "a plan needs no lock"
    place.s3().delete_object(Bucket=STATES, Key=f"{REMOTE.key}.tflock")

    list(remote.destroy())
    versions = place.s3().list_object_versions(Bucket=STATES, Prefix=REMOTE.key)["Versions"]
    assert len([one for one in versions if one["Key"] == REMOTE.key]) > 1, "an earlier state can be restored"
    assert place.s3().list_objects_v2(Bucket=STATES, Prefix=f"{REMOTE.key}.tflock").get("Contents", []) == []


class Hasty(Workspace):
    """Applies only the bucket and the roles; for lifecycle rules the provider would wait a minute on the emulator."""

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        wanted = ("aws_s3_bucket.state", "aws_s3_bucket_versioning.state", "aws_iam_role.github")
        yield from super().apply(*(f"-target={address}" for address in wanted))


class Interrupted(Hasty):
    """Applies the bucket; the apply is then interrupted."""

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        yield from Workspace.apply(self, "-target=aws_s3_bucket_versioning.state")
        raise KeyboardInterrupt


def test_the_next_bootstrap_completes_an_interrupted_one(place: Target, tmp_path: Path) -> None:
    """In an account of its own, with the copy that another account was prepared from."""
    account = "222222222222"
    other = replace(place, environment={**place.environment, "AWS_ACCESS_KEY_ID": account})
    with bootstrap_of(other, tmp_path, "e2e") as patch:
        patch.setattr(bootstrap, "Workspace", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.bootstrap(other, REPOSITORY)
        assert not list((tmp_path / "bootstrap").glob("*.tfstate")), "the state is in the bucket from the beginning"
        patch.setattr(bootstrap, "Workspace", Hasty)
        outputs = bootstrap.bootstrap(other)
    assert outputs["state_bucket"] == f"tfstate-order-pipeline-{account}"
    assert outputs["deploy_roles"] == {"e2e": f"arn:aws:iam::{account}:role/order-pipeline-deploy-e2e"}
    assert outputs["repository"] == REPOSITORY


def test_bootstrap_keeps_its_own_state_in_the_bucket_that_it_created(place: Target) -> None:
    state = json.loads(place.s3().get_object(Bucket=STATES, Key="order-pipeline/bootstrap.tfstate")["Body"].read())
    assert {"aws_s3_bucket", "aws_iam_role"} <= {resource["type"] for resource in state["resources"]}
