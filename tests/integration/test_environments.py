"""ENV and TF_STATE_BUCKET: the environment, its settings, and the place of its state."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

from pipeline import ROOT
from pipeline.deploy import backends, deploy, environments, targets, terraform, variables, workspace
from pipeline.deploy.backends import LocalBackend, S3Backend
from pipeline.deploy.environments import Environment
from pipeline.deploy.targets import Target
from pipeline.deploy.workspace import Workspace
from pipeline.errors import CliError, UsageError

STATE = {
    "version": 4,
    "outputs": {},
    "resources": [
        {
            "mode": "managed",
            "type": "aws_sqs_queue",
            "instances": [{"attributes": {"tags": {"Project": "shop", "Environment": "dev"}}}],
        }
    ],
}


@pytest.fixture
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An infra/ with an environment dev, and no variable set in the shell."""
    for name in ("PIPELINE_ENV", "TF_STATE_BUCKET", "TF_VAR_architecture", "TF_VAR_project"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "infra"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "dev.tfvars").write_text('project = "shop"\narchitecture = "x86_64" # less expensive\n')
    for module in (environments, workspace, targets):
        monkeypatch.setattr(module, "INFRA", folder)
    return folder


def test_without_a_name_terraform_tfvars_is_the_environment(infra: Path) -> None:
    (infra / "terraform.tfvars").write_text('architecture = "x86_64"\n# region = "eu-west-1"\n')
    chosen = environments.chosen()
    assert (chosen.name, chosen.variables(), chosen.arguments) == (None, {}, ())
    assert (chosen.setting("architecture", "arm64"), chosen.project()) == ("x86_64", "order-pipeline")
    assert backends.chosen(chosen) == LocalBackend()
    assert backends.chosen(chosen).arguments() == []


def test_a_name_selects_the_file_and_the_environment(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (infra / "terraform.tfvars").write_text('project = "mine"\nregion = "eu-west-1"\n')
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    chosen = environments.chosen()
    assert chosen.variables() == {"project": "shop", "environment": "dev"}
    assert chosen.arguments == (f"-var-file={infra / 'environments' / 'dev.tfvars'}",)
    assert chosen.setting("region", "here") == "eu-west-1"
    monkeypatch.setenv("TF_VAR_project", "theirs")
    assert chosen.project() == "shop", "files take precedence over the shell, as in Terraform"
    monkeypatch.setenv("TF_VAR_log_level", "DEBUG")
    assert chosen.setting("log_level", "INFO") == "DEBUG"


@pytest.mark.parametrize(
    ("files", "region"),
    [
        ({}, "none"),
        ({"terraform.tfvars": '# region = "x"\n/*\nregion = "y"\n*/\n'}, "eu-central-1"),
        ({"terraform.tfvars": 'tags = {\n  region = "inside"\n}\n'}, "eu-central-1"),
        ({"terraform.tfvars": 'runbook_url = <<-EOT\n  region = "x"\n  EOT\n'}, "eu-central-1"),
        ({"terraform.tfvars": 'region = "us-east-1" // ours'}, "us-east-1"),
        ({"terraform.tfvars": 'region = "us-east-1"', "me.auto.tfvars": 'region = "us-east-2"'}, "us-east-2"),
        ({"me.auto.tfvars": 'region = "us-east-2"', "you.auto.tfvars.json": '{"region": "us-west-1"}'}, "us-west-1"),
        ({"terraform.tfvars": "", "terraform.tfvars.json": '{"region": "us-west-2"}'}, "us-west-2"),
        ({"me.auto.tfvars": 'region = "us-east-2"', "environments/dev.tfvars": 'region = "eu-west-1"'}, "eu-west-1"),
    ],
)
def test_settings_are_read_as_terraform_reads_them(infra: Path, files: dict[str, str], region: str) -> None:
    (infra / "environments" / "dev.tfvars").unlink()
    for name, text in files.items():
        (infra / name).write_text(text)
    assert Environment("dev").setting("region", "none") == region


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5000", "5000"),
        ("5 * 1024 * 1024", "5242880"),
        ('"7"', "7"),
        ("1e9", "1000000000"),
        ("0.1 # low", "0.1"),
        ("null", "5368709120"),
    ],
)
def test_expressions_are_evaluated(infra: Path, text: str, value: str) -> None:
    variable = "max_reject_ratio" if text.startswith("0") else "max_object_bytes"
    (infra / "terraform.tfvars").write_text(f"  {variable}={text}\n")
    assert Environment().setting(variable, "none") == value


def test_strings_are_unchanged(infra: Path) -> None:
    (infra / "terraform.tfvars").write_text('contracts_dir = "a \\"b\\" $${c} é → \\n"\nforce_destroy = true\n')
    assert Environment().setting("contracts_dir", "none") == 'a "b" ${c} é → \n'
    assert Environment().setting("force_destroy", "none") == "true"
    assert Environment().setting("notification_email", "none") == "none"


@pytest.mark.parametrize("text", ["var.x", "[1]", '"open'])
def test_an_unreadable_file_raises_terraforms_own_error(text: str, infra: Path) -> None:
    (infra / "terraform.tfvars").write_text(f"max_object_bytes = {text}\n")
    with pytest.raises(CliError, match=r"Error: .*\n\n.*terraform.tfvars line 1"):
        Environment().setting("max_object_bytes", "1")


def test_terraform_variables_of_a_deployment_do_not_affect_settings(
    infra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TF_WORKSPACE": "x", "TF_CLI_ARGS_console": "-nonsense", "TF_DATA_DIR": "/none"}.items():
        monkeypatch.setenv(name, value)
    assert Environment("dev").project() == "shop"


def test_without_settings_terraform_is_not_needed(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("TF_VAR_architecture", "x86_64")
    assert Environment().setting("architecture", "arm64") == "x86_64"
    assert Environment().project() == "order-pipeline"


def test_ambiguous_names_are_refused_by_a_deploy(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("prod", "prod-eu", "production"):
        (infra / "environments" / f"{name}.tfvars").write_text("")
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    monkeypatch.setattr(Target, "account", lambda _: pytest.fail("AWS must not be called first"))
    with pytest.raises(UsageError, match="the deploy role of prod could also change prod-eu"):
        deploy.planned(targets.aws_target())


def test_an_unknown_name_lists_the_known_ones(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ENV", "/etc/shrc")
    with pytest.raises(UsageError, match=r"There is no environment /etc/shrc\. infra/environments/ has dev\."):
        environments.chosen()


@pytest.mark.parametrize(
    ("shell", "arguments", "name"),
    [
        ({}, [], ""),
        ({"ENV": "prod"}, [], ""),
        ({"ENV": "prod"}, ["-e"], ""),
        ({"ENV": "/etc/shrc", "PIPELINE_ENV": "dev"}, [], "dev"),
        ({"ENV": "dev", "PIPELINE_ENV": "dev"}, ["ENV=prod"], "prod"),
        ({"PIPELINE_ENV": "prod"}, ["ENV="], ""),
    ],
)
def test_the_shells_own_env_selects_nothing(
    tmp_path: Path, shell: dict[str, str], arguments: list[str], name: str
) -> None:
    """Shells use the variable ENV for the file that they read when they start."""
    root = str(ROOT).replace(" ", "\\ ")
    (tmp_path / "Makefile").write_text(f"include {root}/Makefile\nsay:\n\t@printenv PIPELINE_ENV\n")
    environment = {"PATH": os.environ["PATH"], **shell}
    command = ["make", "--no-print-directory", "-f", str(tmp_path / "Makefile"), *arguments, "say"]
    message = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert message.stdout.strip() == name


def test_the_environment_applies_to_every_part_of_the_target(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    monkeypatch.setenv("TF_STATE_BUCKET", "states")
    place = targets.aws_target()
    assert place.runtime.architecture == "x86_64"
    assert place.workspace.variables["environment"] == "dev"
    assert not place.workspace.variables["packages_dir"].startswith("/"), "the path must not depend on the checkout"
    assert place.workspace.backend == S3Backend("states", "shop/environments/dev.tfstate")


def test_a_bucket_needs_an_environment(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_STATE_BUCKET", "states")
    with pytest.raises(UsageError, match="no environment is chosen") as refused:
        targets.aws_target()
    assert "ENV=dev" in refused.value.next_step


def test_without_a_bucket_each_environment_has_its_own_file_and_folder(infra: Path) -> None:
    assert backends.chosen(Environment("dev")).arguments() == ["-backend-config=path=dev.tfstate"]
    folders = {Workspace({}, {}, infra, chosen=Environment(name))._data.name for name in (None, "dev", "prod")}
    assert folders == {".terraform", ".terraform-dev", ".terraform-prod"}


def test_terraforms_files_are_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".terraform/", ".terraform-*/", "*.tfstate", "*.tfstate.*", backends.OVERRIDE} <= set(ignored)


@pytest.mark.parametrize("name", environments.names())
def test_every_environment_sets_only_known_variables(name: str) -> None:
    text = (terraform.INFRA / "environments" / f"{name}.tfvars").read_text()
    set_here = set(re.findall(r"^(?:# )?(\w+) +=", text, re.MULTILINE))
    assert set_here
    assert set_here <= variables.defaults().keys() - {"environment"}, "the file's name is the name of the environment"


# --- the bucket ---


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A moto account with a state bucket outside the region of the credentials."""
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        s3 = boto3.client("s3", "eu-west-1")
        s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield s3


def test_the_region_of_a_bucket_is_looked_up(account: Any) -> None:
    assert S3Backend("states", "k").arguments() == [
        "-reconfigure",
        "-backend-config=bucket=states",
        "-backend-config=key=k",
        "-backend-config=region=eu-west-1",
    ]


def test_a_wrong_name_is_explained(account: Any) -> None:
    with pytest.raises(CliError, match="The bucket stats in TF_STATE_BUCKET does not exist") as refused:
        S3Backend("stats", "k").arguments()
    assert "make bootstrap" in refused.value.next_step
    assert (backends.region_of("stats"), backends.region_of("states")) == (None, "eu-west-1")


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "us-gov-west-1"}, "us-gov-west-1"),
        ({"AWS_DEFAULT_REGION": "us-gov-east-1"}, "us-gov-east-1"),
        ({"AWS_PROFILE": "china"}, "cn-north-1"),
        ({"AWS_PROFILE": "china", "AWS_REGION": "cn-northwest-1"}, "cn-northwest-1"),
        ({}, "us-east-1"),
    ],
)
def test_account_calls_use_a_region_that_accepts_the_credentials(
    infra: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    """Credentials of China or GovCloud are not valid in other partitions."""
    forget_credentials(monkeypatch, infra)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (infra / "config").write_text("[profile china]\nregion = cn-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(infra / "config"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    clients = [targets.aws_account().account_client("sts"), backends.client("s3")]
    assert [client.meta.region_name for client in clients] == [region, region]
    assert targets.aws_account().account_client("s3", "eu-west-1").meta.region_name == "eu-west-1"


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make every HeadBucket fail with an HTTP status and no message."""
    original = backends.client

    def refuse(status: int) -> None:
        def client(service: str) -> Any:
            stub = original(service)
            if service == "s3":
                stub.head_bucket = fail
            return stub

        def fail(**_: Any) -> Any:
            answer: Any = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise backends.ClientError(answer, "HeadBucket")

        monkeypatch.setattr(backends, "client", client)

    return refuse


@pytest.mark.parametrize("status", [403, 400])
def test_a_bucket_that_may_not_be_used_is_explained(refusing: Callable[[int], None], status: int) -> None:
    refusing(status)
    with pytest.raises(CliError, match="access the state bucket states") as refused:
        S3Backend("states", "k").arguments()
    assert "TF_STATE_BUCKET" in refused.value.next_step


def forget_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


# --- a state is never lost ---

TEAM = "tfstate-shop-123456789012"


@pytest.fixture
def clone(infra: Path, account: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone, in whose account the team has a state bucket; Terraform is not run."""
    (infra / "terraform.tfvars").write_text('project = "shop"\n')
    account.create_bucket(Bucket=TEAM, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setattr(terraform, "init", lambda *_, **__: None)
    return infra


@pytest.mark.parametrize(
    ("name", "step"), [("dev", f"export TF_STATE_BUCKET={TEAM}\nThen run"), (None, "make … ENV=dev")]
)
@pytest.mark.parametrize("use", [Workspace.init, Workspace.state])
def test_an_unset_bucket_is_found(clone: Path, use: Any, name: str | None, step: str) -> None:
    environment = Environment(name)
    with pytest.raises(CliError, match=f"TF_STATE_BUCKET is not set and no .* a state bucket: {TEAM}") as refused:
        use(Workspace({}, {}, clone, backends.chosen(environment), chosen=environment))
    assert step in refused.value.next_step


@pytest.mark.parametrize("status", [403, 400])
def test_a_forbidden_bucket_counts_as_existing(clone: Path, refusing: Callable[[int], None], status: int) -> None:
    refusing(status)
    with pytest.raises(CliError, match=f"a state bucket: {TEAM}"):
        Workspace({}, {}, clone).init()


def test_a_deployment_with_a_name_of_its_own_has_its_state_in_a_file(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / "terraform.tfvars").write_text('environment = "anna"\n')
    monkeypatch.setattr(backends, "client", lambda _: pytest.fail("AWS must not be called"))
    Workspace({}, {}, clone).init()


@pytest.mark.parametrize(
    ("name", "settings"), [(None, ""), (None, 'environment = "dev"\n'), ("dev", 'environment = "anna"\n')]
)
def test_the_teams_environment_can_not_have_its_state_in_a_file(clone: Path, name: str | None, settings: str) -> None:
    """Terraform would conflict with, or change, existing resources, such as a bucket policy."""
    (clone / "terraform.tfvars").write_text(f'project = "shop"\n{settings}')
    environment = Environment(name)
    with pytest.raises(CliError, match=f"a state bucket: {TEAM}") as refused:
        Workspace({}, {}, clone, backends.chosen(environment), environment).init()
    assert 'environment = "anna"' in refused.value.next_step
    assert f"export TF_STATE_BUCKET={TEAM}\nThen run make … ENV=dev" in refused.value.next_step


@pytest.mark.parametrize("name", ["dev", None])
def test_without_a_bucket_in_the_account_none_is_needed(clone: Path, account: Any, name: str | None) -> None:
    account.delete_bucket(Bucket=TEAM)
    environment = Environment(name)
    Workspace({}, {}, clone, backends.chosen(environment), chosen=environment).init()


def test_with_a_state_in_a_file_the_account_is_not_checked(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / "terraform.tfstate").write_text(json.dumps(STATE))
    monkeypatch.setattr(backends, "client", lambda _: pytest.fail("the place of the state is known"))
    Workspace({}, {}, clone).init()


def test_without_credentials_nothing_is_planned(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch, infra)
    with pytest.raises(NoCredentialsError):
        Workspace({}, {}, infra).init()


def workspace_in(folder: Path, backend: backends.Backend) -> Workspace:
    return Workspace({}, {}, folder, backend, Environment("dev"))


def remember(folder: Path, **backend: Any) -> None:
    """Make the folder look initialised for a backend."""
    data = folder / ".terraform-dev"
    data.mkdir(parents=True)
    (data / "terraform.tfstate").write_text(json.dumps({"version": 3, "backend": backend}))


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (LocalBackend("dev.tfstate"), "kept in s3://states, but TF_STATE_BUCKET is not set"),
        (S3Backend("others", "k"), "kept in s3://states, but TF_STATE_BUCKET is others"),
    ],
)
def test_an_unset_or_changed_bucket_is_detected(tmp_path: Path, backend: backends.Backend, message: str) -> None:
    remember(tmp_path, type="s3", config={"bucket": "states"})
    with pytest.raises(CliError, match=message) as refused:
        workspace_in(tmp_path, backend).state()
    assert "TF_STATE_BUCKET" in refused.value.next_step


@pytest.mark.parametrize(
    ("backend", "file", "environment", "error", "step"),
    [
        (S3Backend("states", "k"), "dev.tfstate", "dev", "not in states", "make move-state ENV=dev"),
        (
            S3Backend("states", "k"),
            "terraform.tfstate",
            "dev",
            "use that state for dev",
            "Rename the file to dev.tfstate",
        ),
        (
            S3Backend("states", "k"),
            "terraform.tfstate",
            "prod",
            "use that state for dev",
            "Rename the file to prod.tfstate",
        ),
        (
            LocalBackend("dev.tfstate"),
            "terraform.tfstate",
            "dev",
            "use that state for dev",
            "Rename the file to dev.tfstate",
        ),
        (LocalBackend("dev.tfstate"), "terraform.tfstate", "prod", "use that state for dev", "use ENV=prod"),
    ],
)
def test_a_state_in_a_file_is_not_overlooked(
    infra: Path, backend: backends.Backend, file: str, environment: str, error: str, step: str
) -> None:
    (infra / file).write_text(json.dumps(STATE).replace('"dev"', f'"{environment}"'))
    with pytest.raises(CliError, match=f"infra/{file}.*{error}") as refused:
        workspace_in(infra, backend).init()
    assert step in refused.value.next_step


@pytest.mark.parametrize(("file", "content"), [("dev.tfstate", "{}"), ("prod.tfstate", json.dumps(STATE))])
def test_an_empty_state_or_one_of_another_environment_is_ignored(
    infra: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str
) -> None:
    (infra / file).write_text(content)
    monkeypatch.setattr(Workspace, "_init", lambda _: None)
    workspace_in(infra, S3Backend("states", "k")).init()


def test_a_state_that_can_not_be_moved_stays_in_its_file(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CliError("no")

    (infra / "dev.tfstate").write_text(json.dumps(STATE))
    monkeypatch.setattr(Workspace, "_init", refuse)
    with pytest.raises(CliError):
        workspace_in(infra, S3Backend("states", "k")).move_state()
    assert (infra / "dev.tfstate").is_file()


@pytest.mark.parametrize("backend", [S3Backend("states", "k"), LocalBackend()])
def test_move_state_reports_that_there_is_nothing_to_move(infra: Path, backend: backends.Backend) -> None:
    with pytest.raises(CliError, match="There is no state to move") as refused:
        workspace_in(infra, backend).move_state()
    assert "rename terraform.tfstate to dev.tfstate first" in refused.value.next_step


def test_a_state_that_was_renamed_as_advised_is_moved(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (infra / "terraform.tfstate").write_text(json.dumps(STATE))
    (infra / "terraform.tfstate").rename(infra / "dev.tfstate")
    monkeypatch.setattr(Workspace, "_init", lambda _: None)
    monkeypatch.setattr(Workspace, "_drain", lambda *_: None)
    assert workspace_in(infra, S3Backend("states", "k")).move_state() == infra / "dev.tfstate.moved"


@pytest.mark.parametrize(
    ("complaint", "step"),
    [
        ("Error: Error acquiring the state lock", "TF_DATA_DIR=.terraform-dev terraform -chdir=infra force-unlock ID"),
        ("Scope ARN: x does not exist or is not attachable.", "permissions_boundary = null in infra/environments/dev"),
        ("EntityAlreadyExists: Role with name shop-dev-write already exists.", "If an interrupted run created it"),
        (
            "AccessDeniedException: Insufficient Lake Formation permission(s): Required Create Database on Catalog",
            "--permissions CREATE_DATABASE",
        ),
        ('cannot import state with lineage "a" over unrelated state', "which of the two is in use"),
        ("Error: something else", "Run the same again."),
    ],
)
def test_terraforms_errors_get_a_next_step(
    infra: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, step: str
) -> None:
    def fail(*_: object, **__: object) -> Iterator[str]:
        raise CliError(complaint, "Run the same again.")
        yield ""

    monkeypatch.setattr(terraform, "run", fail)
    with pytest.raises(CliError) as refused:
        list(workspace_in(infra, S3Backend("states", "k")).apply())
    assert step in refused.value.next_step


def test_the_backend_override_is_written_and_removed(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "init", lambda *_, **__: None)
    monkeypatch.setattr(S3Backend, "arguments", lambda _: [])
    override = infra / backends.OVERRIDE
    workspace_in(infra, S3Backend("states", "k")).init()
    assert "use_lockfile = true" in override.read_text()
    (infra / "dev.tfstate").write_text(json.dumps(STATE))
    workspace_in(infra, LocalBackend("dev.tfstate")).init()
    assert not override.exists()
