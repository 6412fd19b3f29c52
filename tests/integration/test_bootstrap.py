"""`make bootstrap`: the variables of infra/bootstrap, and that a second run completes and keeps the first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline import cli
from pipeline.deploy import backends, bootstrap, build, environments, workspace
from pipeline.deploy import commands as deploy_commands
from pipeline.deploy.backends import S3Backend
from pipeline.deploy.environments import Environment
from pipeline.deploy.targets import Target
from pipeline.deploy.terraform import Lines
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.errors import CliError, UsageError

ACCOUNT = "123456789012"
BUCKET = f"tfstate-order-pipeline-{ACCOUNT}"
OURS = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
APPLIED: list[Workspace] = []
MADE = ("aws_s3_bucket", {"bucket": BUCKET})
STEPS = ("create_bucket", "init", "pull", "import_resource", "apply")


class FakeWorkspace(Workspace):
    """A state in the bucket, which grows by each import and apply; one step may be interrupted."""

    known = StateFile({}, [])
    interrupted = ""

    def _step(self, name: str) -> None:
        if name == FakeWorkspace.interrupted:
            FakeWorkspace.interrupted = ""
            raise KeyboardInterrupt

    def init(self) -> None:
        assert backends.region_of(BUCKET), "the bucket of the state must exist first"
        self._step("init")

    def pull(self) -> StateFile:
        self._step("pull")
        return FakeWorkspace.known

    def import_resource(self, address: str, identifier: str) -> None:
        assert (address, identifier) == ("aws_s3_bucket.state", BUCKET)
        assert MADE not in FakeWorkspace.known.resources, "Terraform refuses to import a resource twice"
        FakeWorkspace.known = StateFile(FakeWorkspace.known.outputs, [*FakeWorkspace.known.resources, MADE])
        self._step("import_resource")

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        assert MADE in FakeWorkspace.known.resources, "Terraform would create the bucket again, and AWS would refuse"
        APPLIED.append(self)
        outputs = {"state_bucket": BUCKET, "repository": self.variables.get("repository")}
        FakeWorkspace.known = StateFile(outputs, FakeWorkspace.known.resources)
        yield "Plan: 1 to add, 0 to change, 0 to destroy.\n"
        self._step("apply")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Target]:
    """A moto account with two environments, dev and prod."""
    settings = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-west-2"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "TF_VAR_project", "TF_VAR_region"):
        monkeypatch.delenv(name, raising=False)
    APPLIED.clear()
    monkeypatch.setattr(bootstrap, "Workspace", FakeWorkspace)
    monkeypatch.setattr(FakeWorkspace, "known", StateFile({}, []))
    monkeypatch.setattr(FakeWorkspace, "interrupted", "")
    for module in (bootstrap, workspace):
        monkeypatch.setattr(module, "BOOTSTRAP", tmp_path / "bootstrap")
    (tmp_path / "bootstrap").mkdir()
    monkeypatch.setattr(environments, "INFRA", tmp_path)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "dev.tfvars").write_text("")
    (tmp_path / "environments" / "prod.tfvars").write_text("customer_managed_key = true\n")
    with mock_aws():
        yield Target("aws", {}, build.aws_runtime("arm64"), Workspace({}, {}, tmp_path))


def test_the_bucket_is_created_before_terraform_runs(place: Target) -> None:
    assert bootstrap.bootstrap(place, "example/orders")["state_bucket"] == BUCKET
    [applied] = APPLIED
    assert backends.region_of(BUCKET) == "eu-central-1", "the environments' region, not AWS_REGION"
    assert applied.backend == S3Backend(BUCKET, "order-pipeline/bootstrap.tfstate")
    assert applied._data.name == f".terraform-{ACCOUNT}", "another account has another state"
    assert applied.variables == {
        "project": "order-pipeline",
        "region": "eu-central-1",
        "environments": '{"dev": "eu-central-1", "prod": "eu-central-1"}',
        "smoke_region": "eu-central-1",
        "customer_managed_key": "true",
        "repository": "example/orders",
    }


@pytest.mark.parametrize("step", STEPS)
def test_the_next_run_completes_an_interrupted_one(place: Target, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    FakeWorkspace.interrupted = step
    if step == "create_bucket":
        make = bootstrap._create

        def interrupted(*arguments: Any) -> None:
            monkeypatch.setattr(bootstrap, "_create", make)
            make(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(bootstrap, "_create", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.bootstrap(place, "example/orders")
    assert bootstrap.bootstrap(place, "example/orders")["state_bucket"] == BUCKET
    assert APPLIED[-1].variables["repository"] == "example/orders"


def test_a_second_run_keeps_the_repository_and_imports_nothing(place: Target) -> None:
    bootstrap.bootstrap(place, "example/orders")
    bootstrap.bootstrap(place)
    assert APPLIED[-1].variables["repository"] == "example/orders", "without it all roles would be destroyed"


ISSUER = "https://token.actions.githubusercontent.com"


def make_provider(issuer: str, *audiences: str) -> None:
    iam = boto3.client("iam")
    iam.create_open_id_connect_provider(Url=issuer, ThumbprintList=["a" * 40], ClientIDList=list(audiences))


@pytest.mark.parametrize("ours", [True, False])
def test_an_existing_provider_is_used_and_ours_stays_managed(place: Target, ours: bool) -> None:
    make_provider("https://elsewhere.example", "sts.amazonaws.com")
    make_provider(ISSUER, "sts.amazonaws.com")
    FakeWorkspace.known = StateFile({}, [("aws_iam_openid_connect_provider", {"arn": OURS})] if ours else [])
    bootstrap.bootstrap(place, "example/orders")
    assert APPLIED[0].variables.get("oidc_provider_arn") == (None if ours else OURS)


def test_a_provider_without_the_audience_of_aws_is_refused_until_it_is_added(place: Target) -> None:
    make_provider(ISSUER, "https://github.com/example")
    with pytest.raises(CliError, match=f"{OURS}, does not accept the audience sts.amazonaws.com") as refused:
        bootstrap.bootstrap(place, "example/orders")
    assert f"--open-id-connect-provider-arn {OURS} --client-id sts.amazonaws.com" in refused.value.next_step
    assert APPLIED == []
    bootstrap.bootstrap(place)  # without a repository the provider is not needed
    boto3.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=OURS)
    make_provider(ISSUER, "https://github.com/example", "sts.amazonaws.com")
    bootstrap.bootstrap(place, "example/orders")
    assert APPLIED[-1].variables["oidc_provider_arn"] == OURS


# --- the region of the bucket ---


@pytest.mark.parametrize(
    ("there", "wanted", "of_prod", "region"),
    [
        (None, None, "eu-central-1", "eu-central-1"),
        (None, "us-east-1", "eu-central-1", "us-east-1"),
        (None, "eu-west-1", "eu-west-1", "eu-west-1"),
        ("eu-west-3", None, "eu-west-1", "eu-west-3"),
        ("eu-west-3", "eu-west-3", "eu-west-1", "eu-west-3"),
    ],
)
def test_the_region_of_the_bucket_is_its_own_or_the_given_one_or_the_environments(
    place: Target,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    there: str | None,
    wanted: str | None,
    of_prod: str,
    region: str,
) -> None:
    (tmp_path / "environments" / "prod.tfvars").write_text(f'region = "{of_prod}"\n')
    if there:
        where: Any = {"LocationConstraint": there}
        boto3.client("s3", there).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    bootstrap.bootstrap(place, region=wanted)
    assert backends.region_of(BUCKET) == APPLIED[0].variables["region"] == region
    assert f"the state bucket {'is' if there else 'will be'} {BUCKET} in {region}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "wanted", "message"),
    [
        (None, None, r"several regions \(dev is in eu-central-1, prod is in eu-west-1\)"),
        ("eu-west-3", "eu-west-1", "is in eu-west-3, not in eu-west-1"),
        (None, "Frankfurt", "Frankfurt is not an AWS region"),
    ],
)
def test_an_unknown_or_impossible_region_is_refused(
    place: Target, tmp_path: Path, there: str | None, wanted: str | None, message: str
) -> None:
    (tmp_path / "environments" / "prod.tfvars").write_text('region = "eu-west-1"\n')
    if there:
        where: Any = {"LocationConstraint": there}
        boto3.client("s3", there).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    with pytest.raises(UsageError, match=message):
        bootstrap.bootstrap(place, region=wanted)
    assert backends.region_of(BUCKET) == there
    assert APPLIED == []


def test_a_bucket_that_can_not_be_created_is_explained(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        answer: Any = {"Error": {"Code": "BucketAlreadyExists", "Message": "It is not available."}}
        raise bootstrap.ClientError(answer, "CreateBucket")

    monkeypatch.setattr(bootstrap, "_create", refuse)
    with pytest.raises(CliError, match=r"can't be created in eu-central-1: .*BucketAlreadyExists") as refused:
        bootstrap.bootstrap(place)
    assert "administrator" in refused.value.next_step


# --- settings ---


def test_one_persons_settings_do_not_affect_the_team(
    place: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environments" / "prod.tfvars").write_text("")
    own = 'project = "mine"\nregion = "us-east-2"\ncustomer_managed_key = true\n'
    (tmp_path / "terraform.tfvars").write_text(own)
    (tmp_path / "me.auto.tfvars").write_text(own)
    monkeypatch.setenv("TF_VAR_project", "mine")
    bootstrap.bootstrap(place)
    variables = APPLIED[0].variables
    assert (variables["project"], variables["region"]) == ("order-pipeline", "eu-central-1")
    assert variables["customer_managed_key"] == "false"
    assert Environment("dev").project() == "mine", "a deploy from here uses them"


def test_environments_of_two_projects_are_refused(place: Target, tmp_path: Path) -> None:
    (tmp_path / "environments" / "dev.tfvars").write_text('project = "shop"\n')
    with pytest.raises(UsageError, match="They set order-pipeline, shop"):
        bootstrap.bootstrap(place)
    assert Environment("dev").project() == "shop"


def test_environments_with_ambiguous_names_are_refused(place: Target, tmp_path: Path) -> None:
    (tmp_path / "environments" / "prod-eu.tfvars").write_text("")
    with pytest.raises(UsageError, match="the deploy role of prod could also change prod-eu") as refused:
        bootstrap.bootstrap(place)
    assert "eu-prod.tfvars" in refused.value.next_step


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("example/orders", "example/orders"),
        ("example@12/orders@345", "example@12/orders@345"),
        ("repo:example@12/orders@345", "example@12/orders@345"),
    ],
)
def test_a_repository_is_accepted_as_github_names_it(place: Target, given: str, used: str) -> None:
    bootstrap.bootstrap(place, given)
    assert APPLIED[0].variables["repository"] == used


@pytest.mark.parametrize("message", ["orders", "example/*", "example@12/orders", "https://github.com/example/orders"])
def test_any_other_repository_is_refused_before_anything_is_created(place: Target, message: str) -> None:
    with pytest.raises(UsageError, match="is not a repository as GitHub's tokens name it") as refused:
        bootstrap.bootstrap(place, message)
    assert "sub_claim_prefix" in refused.value.next_step
    assert backends.region_of(BUCKET) is None


def test_the_help_explains_both_forms_of_a_repository(
    place: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pipeline", "bootstrap", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    message = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "OWNER@ID/NAME@ID" in message
    assert "OWNER/NAME if it was created before 15 July 2026" in message
    monkeypatch.setattr(deploy_commands, "aws_account", lambda: place)
    monkeypatch.setattr("sys.argv", ["pipeline", "bootstrap"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "owner@1234/name@5678" in capsys.readouterr().out
