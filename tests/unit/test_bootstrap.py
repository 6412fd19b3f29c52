"""`make bootstrap`: what it tells infra/bootstrap, and that a second time changes nothing that was not asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline import bootstrap, build, environments
from pipeline.backends import LocalBackend, S3Backend
from pipeline.environments import Environment
from pipeline.errors import UsageError
from pipeline.targets import Target
from pipeline.terraform import Lines
from pipeline.workspace import State, Workspace

ACCOUNT = "123456789012"
BUCKET = f"tfstate-order-pipeline-{ACCOUNT}"
OURS = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
APPLIED: list[Workspace] = []
MOVED: list[Workspace] = []


class FakeWorkspace(Workspace):
    """Knows a state, and writes down what it was to apply and to move."""

    known = State({}, [])

    def init(self) -> None:
        pass

    def left_behind(self) -> Path | None:
        return None

    def pull(self) -> State:
        return self.known

    def state(self) -> State:
        return State({"state_bucket": BUCKET}, [])

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        APPLIED.append(self)
        yield "Plan: 1 to add, 0 to change, 0 to destroy.\n"

    def move_state(self) -> Path:
        MOVED.append(self)
        path = Path(self.environment["HERE"]) / "terraform.tfstate.moved"
        path.touch()
        return path


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Target]:
    """An account of moto's, and no environment but dev and prod as they are here."""
    settings = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-central-1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "TF_VAR_project", "TF_VAR_region"):
        monkeypatch.delenv(name, raising=False)
    APPLIED.clear()
    MOVED.clear()
    monkeypatch.setattr(bootstrap, "Workspace", FakeWorkspace)
    monkeypatch.setattr(FakeWorkspace, "known", State({}, []))
    monkeypatch.setattr(environments, "INFRA", tmp_path)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "dev.tfvars").write_text("")
    (tmp_path / "environments" / "prod.tfvars").write_text('region = "eu-west-1"\ncustomer_managed_key = true\n')
    with mock_aws():
        environment = {"HERE": str(tmp_path)}
        nothing_deployed = Workspace(environment, {}, tmp_path)
        yield Target("aws", environment, build.aws_runtime("arm64"), nothing_deployed)


def make_bucket() -> None:
    where: Any = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3", "eu-central-1").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)


def test_the_first_time_the_state_begins_in_a_file_and_ends_in_the_bucket(place: Target, tmp_path: Path) -> None:
    assert bootstrap.bootstrap(place, "example/orders")["state_bucket"] == BUCKET
    [applied], [moved] = APPLIED, MOVED
    assert applied.backend == LocalBackend()
    assert applied.variables == {
        "project": "order-pipeline",
        "region": "eu-central-1",
        "environments": '{"dev": "eu-central-1", "prod": "eu-west-1"}',
        "smoke_region": "eu-central-1",
        "customer_managed_key": "true",
        "repository": "example/orders",
    }
    assert moved.backend == S3Backend(BUCKET, "order-pipeline/bootstrap.tfstate")
    assert not (tmp_path / "terraform.tfstate.moved").exists()


def test_another_time_it_works_on_what_is_in_the_bucket_and_keeps_the_repository(
    place: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bucket()
    monkeypatch.setattr(FakeWorkspace, "known", State({"repository": "example/orders"}, []))
    bootstrap.bootstrap(place, None)
    [applied] = APPLIED
    assert applied.backend == S3Backend(BUCKET, "order-pipeline/bootstrap.tfstate")
    assert applied.variables["repository"] == "example/orders", "without it all roles would go"
    assert MOVED == []


@pytest.mark.parametrize("ours", [True, False])
def test_a_provider_that_the_account_has_is_used_and_ours_stays_ours(
    place: Target, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    issuer = "https://token.actions.githubusercontent.com"
    boto3.client("iam").create_open_id_connect_provider(Url=issuer, ThumbprintList=["a" * 40])
    known = [("aws_iam_openid_connect_provider", {"arn": OURS})] if ours else []
    monkeypatch.setattr(FakeWorkspace, "known", State({}, known))
    bootstrap.bootstrap(place, "example/orders")
    assert APPLIED[0].variables.get("oidc_provider_arn") == (None if ours else OURS)


def test_environments_of_two_projects_are_refused(place: Target, tmp_path: Path) -> None:
    (tmp_path / "environments" / "dev.tfvars").write_text('project = "shop"\n')
    with pytest.raises(UsageError, match="are of order-pipeline, shop project"):
        bootstrap.bootstrap(place, None)
    assert Environment("dev").project == "shop"
