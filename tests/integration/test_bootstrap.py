"""`make bootstrap`: what it tells infra/bootstrap, and that a second time finishes, and keeps, the first."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
TAKEN: dict[str, str] = {}
MADE = ("aws_s3_bucket", {"bucket": BUCKET})
STEPS = ("create_bucket", "init", "pull", "take_over", "apply")


class FakeWorkspace(Workspace):
    """A state in the bucket, which grows by what is taken over and applied; one step may be interrupted."""

    known = StateFile({}, [])
    missing: Sequence[dict[str, Any]] = ()
    interrupted = ""

    def _step(self, name: str) -> None:
        if name == FakeWorkspace.interrupted:
            FakeWorkspace.interrupted = ""
            raise KeyboardInterrupt

    def init(self) -> None:
        assert backends.region_of(BUCKET), "Terraform would find no bucket for its state"
        self._step("init")

    def pull(self) -> StateFile:
        self._step("pull")
        return FakeWorkspace.known

    def take_over(self, address: str, identifier: str) -> None:
        if address != "aws_s3_bucket.state":
            TAKEN[address] = identifier
            FakeWorkspace.missing = [one for one in FakeWorkspace.missing if one["address"] not in TAKEN]
            return
        assert identifier == BUCKET
        assert MADE not in FakeWorkspace.known.resources, "Terraform refuses what it has"
        FakeWorkspace.known = StateFile(FakeWorkspace.known.outputs, [*FakeWorkspace.known.resources, MADE])
        self._step("take_over")

    @contextmanager
    def planned(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield Path("plan"), {"resource_changes": FakeWorkspace.missing}

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        if FakeWorkspace.missing:
            raise CliError("Error: creating IAM Role (order-pipeline-plan): EntityAlreadyExists", "Mend it.")
        assert MADE in FakeWorkspace.known.resources, "Terraform would make the bucket again, and AWS refuse it"
        APPLIED.append(self)
        outputs = {"state_bucket": BUCKET, "repository": self.variables.get("repository")}
        FakeWorkspace.known = StateFile(outputs, FakeWorkspace.known.resources)
        yield "Plan: 1 to add, 0 to change, 0 to destroy.\n"
        self._step("apply")

    def move_state(self) -> Path:
        behind = self.left_behind()
        assert behind
        FakeWorkspace.known = StateFile.read(behind.read_text())
        return behind.rename(behind.with_name(f"{behind.name}.moved"))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Target]:
    """An account of moto's, and no environment but dev and prod as they are here."""
    settings = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-west-2"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "TF_VAR_project", "TF_VAR_region"):
        monkeypatch.delenv(name, raising=False)
    APPLIED.clear()
    TAKEN.clear()
    monkeypatch.setattr(FakeWorkspace, "missing", ())
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


def test_the_bucket_is_made_first_and_then_terraforms(place: Target) -> None:
    assert bootstrap.bootstrap(place, "example/orders")["state_bucket"] == BUCKET
    [applied] = APPLIED
    assert backends.region_of(BUCKET) == "eu-central-1", "where the environments are, whatever AWS_REGION says"
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
def test_what_was_interrupted_is_finished_the_next_time(
    place: Target, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    FakeWorkspace.interrupted = step
    if step == "create_bucket":
        make = bootstrap._make

        def interrupted(*arguments: Any) -> None:
            monkeypatch.setattr(bootstrap, "_make", make)
            make(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(bootstrap, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.bootstrap(place, "example/orders")
    assert bootstrap.bootstrap(place, "example/orders")["state_bucket"] == BUCKET
    assert APPLIED[-1].variables["repository"] == "example/orders"


def creates(kind: str, address: str, name: str) -> dict[str, Any]:
    return {"type": kind, "address": address, "change": {"actions": ["create"], "after": {"name": name}}}


@pytest.mark.parametrize("project", ["order-pipeline", "of-somebody-else"])
def test_what_terraform_made_and_did_not_write_down_is_taken_over(place: Target, project: str) -> None:
    """An interrupt may come between AWS's answer and Terraform's state."""
    iam, tags = boto3.client("iam"), {"Project": project, "ManagedBy": "terraform"}
    tagged: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
    trust = '{"Version": "2012-10-17", "Statement": []}'
    iam.create_role(RoleName="order-pipeline-plan", AssumeRolePolicyDocument=trust, Tags=tagged)
    document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}'
    iam.create_policy(PolicyName="order-pipeline-plan-1", PolicyDocument=document, Tags=tagged)
    role = creates("aws_iam_role", 'aws_iam_role.github["plan"]', "order-pipeline-plan")
    policy = creates("aws_iam_policy", 'aws_iam_policy.github["plan-1"]', "order-pipeline-plan-1")
    FakeWorkspace.missing = [role, policy]
    if project == "of-somebody-else":
        with pytest.raises(CliError, match="EntityAlreadyExists"):
            bootstrap.bootstrap(place, "example/orders")
        assert TAKEN == {}
        return
    bootstrap.bootstrap(place, "example/orders")
    assert dict(TAKEN) == {
        'aws_iam_role.github["plan"]': "order-pipeline-plan",
        'aws_iam_policy.github["plan-1"]': f"arn:aws:iam::{ACCOUNT}:policy/order-pipeline-plan-1",
    }


def test_another_time_it_keeps_the_repository_and_takes_nothing_over(place: Target) -> None:
    bootstrap.bootstrap(place, "example/orders")
    bootstrap.bootstrap(place)
    assert APPLIED[-1].variables["repository"] == "example/orders", "without it all roles would go"


ISSUER = "https://token.actions.githubusercontent.com"


def make_provider(issuer: str, *audiences: str) -> None:
    iam = boto3.client("iam")
    iam.create_open_id_connect_provider(Url=issuer, ThumbprintList=["a" * 40], ClientIDList=list(audiences))


@pytest.mark.parametrize("ours", [True, False])
def test_a_provider_that_the_account_has_is_used_and_ours_stays_ours(place: Target, ours: bool) -> None:
    make_provider("https://elsewhere.example", "sts.amazonaws.com")
    make_provider(ISSUER, "sts.amazonaws.com")
    FakeWorkspace.known = StateFile({}, [("aws_iam_openid_connect_provider", {"arn": OURS})] if ours else [])
    bootstrap.bootstrap(place, "example/orders")
    assert APPLIED[0].variables.get("oidc_provider_arn") == (None if ours else OURS)


def test_a_provider_that_takes_no_tokens_for_aws_is_refused_and_can_be_mended(place: Target) -> None:
    make_provider(ISSUER, "https://github.com/example")
    with pytest.raises(CliError, match=f"{OURS}, does not take the audience sts.amazonaws.com") as refused:
        bootstrap.bootstrap(place, "example/orders")
    assert f"--open-id-connect-provider-arn {OURS} --client-id sts.amazonaws.com" in refused.value.next_step
    assert APPLIED == []
    bootstrap.bootstrap(place)  # without a repository nobody needs it
    boto3.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=OURS)
    make_provider(ISSUER, "https://github.com/example", "sts.amazonaws.com")
    bootstrap.bootstrap(place, "example/orders")
    assert APPLIED[-1].variables["oidc_provider_arn"] == OURS


# --- a state in a file, from an earlier release ---


def leave_a_file(tmp_path: Path, account: str) -> Path:
    bucket = {"mode": "managed", "type": "aws_s3_bucket", "instances": [{"attributes": {"bucket": BUCKET}}]}
    policy = {"mode": "managed", "type": "aws_iam_policy", "instances": [{"attributes": {"arn": f"arn::{account}:p"}}]}
    resources = [bucket, policy] if account == ACCOUNT else [policy]
    outputs = {"repository": {"value": "example/orders"}}
    file = tmp_path / "bootstrap" / "terraform.tfstate"
    file.write_text(json.dumps({"version": 4, "outputs": outputs, "resources": resources}))
    return file


def test_a_state_that_was_left_in_a_file_is_moved_and_gone_on_with(place: Target, tmp_path: Path) -> None:
    file = leave_a_file(tmp_path, ACCOUNT)
    bootstrap.bootstrap(place)
    assert APPLIED[0].variables["repository"] == "example/orders"
    assert list(file.parent.iterdir()) == []


def test_another_accounts_is_left_alone(place: Target, tmp_path: Path) -> None:
    file = leave_a_file(tmp_path, "999999999999")
    with pytest.raises(CliError, match=f"begun in another account than {ACCOUNT}"):
        bootstrap.bootstrap(place)
    assert file.is_file()
    assert APPLIED == []


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
def test_the_bucket_is_where_it_is_or_where_somebody_says_or_where_all_environments_are(
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
    assert f"{BUCKET}, in {region}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        (None, None, r"several regions \(dev is in eu-central-1, prod is in eu-west-1\)"),
        ("eu-west-3", "eu-west-1", "is in eu-west-3, not in eu-west-1"),
        (None, "Frankfurt", "Frankfurt is not an AWS region"),
    ],
)
def test_a_region_that_is_not_known_or_not_possible_is_refused(
    place: Target, tmp_path: Path, there: str | None, wanted: str | None, said: str
) -> None:
    (tmp_path / "environments" / "prod.tfvars").write_text('region = "eu-west-1"\n')
    if there:
        where: Any = {"LocationConstraint": there}
        boto3.client("s3", there).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    with pytest.raises(UsageError, match=said):
        bootstrap.bootstrap(place, region=wanted)
    assert backends.region_of(BUCKET) == there
    assert APPLIED == []


def test_a_bucket_that_can_not_be_made_is_explained(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        answer: Any = {"Error": {"Code": "BucketAlreadyExists", "Message": "It is not available."}}
        raise bootstrap.ClientError(answer, "CreateBucket")

    monkeypatch.setattr(bootstrap, "_make", refuse)
    with pytest.raises(CliError, match=r"can't be made in eu-central-1: .*BucketAlreadyExists") as refused:
        bootstrap.bootstrap(place)
    assert "administrator" in refused.value.next_step


# --- what it is told ---


def test_what_one_person_has_set_is_nothing_to_the_team(
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
    assert Environment("dev").project() == "mine", "what is deployed from here is another matter"


def test_environments_of_two_projects_are_refused(place: Target, tmp_path: Path) -> None:
    (tmp_path / "environments" / "dev.tfvars").write_text('project = "shop"\n')
    with pytest.raises(UsageError, match="are of order-pipeline, shop project"):
        bootstrap.bootstrap(place)
    assert Environment("dev").project() == "shop"


def test_environments_whose_names_begin_alike_are_refused(place: Target, tmp_path: Path) -> None:
    (tmp_path / "environments" / "prod-eu.tfvars").write_text("")
    with pytest.raises(UsageError, match="prod and prod-eu begin alike") as refused:
        bootstrap.bootstrap(place)
    assert "eu-prod.tfvars" in refused.value.next_step


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("example/orders", "example/orders"),
        ("example@12/orders@345", "example@12/orders@345"),
        ("repo:example@12/orders@345", "example@12/orders@345"),
    ],
)
def test_a_repository_is_taken_as_github_says_it(place: Target, said: str, meant: str) -> None:
    bootstrap.bootstrap(place, said)
    assert APPLIED[0].variables["repository"] == meant


@pytest.mark.parametrize("said", ["orders", "example/*", "example@12/orders", "https://github.com/example/orders"])
def test_any_other_repository_is_refused_before_anything_is_made(place: Target, said: str) -> None:
    with pytest.raises(UsageError, match="is not a repository as GitHub's tokens name it") as refused:
        bootstrap.bootstrap(place, said)
    assert "sub_claim_prefix" in refused.value.next_step
    assert backends.region_of(BUCKET) is None


def test_both_forms_of_a_repository_are_said(
    place: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pipeline", "bootstrap", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "OWNER@ID/NAME@ID" in said
    assert "OWNER/NAME for one that was made before July 2026" in said
    monkeypatch.setattr(deploy_commands, "aws_account", lambda: place)
    monkeypatch.setattr("sys.argv", ["pipeline", "bootstrap"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "owner@1234/name@5678" in capsys.readouterr().out
