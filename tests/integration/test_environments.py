"""Which environment is meant, what its settings say, and where its state is: by ENV and TF_STATE_BUCKET."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
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
    """An infra/ with an environment dev, where no variable says anything yet."""
    for name in ("PIPELINE_ENV", "TF_STATE_BUCKET", "TF_VAR_architecture", "TF_VAR_project"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "infra"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "dev.tfvars").write_text('project = "shop"\narchitecture = "x86_64" # cheap\n')
    for module in (environments, workspace, targets):
        monkeypatch.setattr(module, "INFRA", folder)
    return folder


def test_no_name_is_the_environment_of_terraform_tfvars(infra: Path) -> None:
    (infra / "terraform.tfvars").write_text('architecture = "x86_64"\n# region = "eu-west-1"\n')
    chosen = environments.chosen()
    assert (chosen.name, chosen.variables(), chosen.arguments) == (None, {}, ())
    assert (chosen.setting("architecture", "arm64"), chosen.project()) == ("x86_64", "order-pipeline")
    assert backends.chosen(chosen) == LocalBackend()
    assert backends.chosen(chosen).arguments() == []


def test_a_name_is_that_of_a_file_and_of_the_environment(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (infra / "terraform.tfvars").write_text('project = "mine"\nregion = "eu-west-1"\n')
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    chosen = environments.chosen()
    assert chosen.variables() == {"project": "shop", "environment": "dev"}
    assert chosen.arguments == (f"-var-file={infra / 'environments' / 'dev.tfvars'}",)
    assert chosen.setting("region", "here") == "eu-west-1"
    monkeypatch.setenv("TF_VAR_project", "theirs")
    assert chosen.project() == "shop", "files outrank the environment, as they do for Terraform"
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
def test_settings_are_what_terraform_takes_them_for(infra: Path, files: dict[str, str], region: str) -> None:
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
def test_values_are_worked_out(infra: Path, text: str, value: str) -> None:
    variable = "max_reject_ratio" if text.startswith("0") else "max_object_bytes"
    (infra / "terraform.tfvars").write_text(f"  {variable}={text}\n")
    assert Environment().setting(variable, "none") == value


def test_a_text_comes_as_it_is(infra: Path) -> None:
    (infra / "terraform.tfvars").write_text('contracts_dir = "a \\"b\\" $${c} é → \\n"\nforce_destroy = true\n')
    assert Environment().setting("contracts_dir", "none") == 'a "b" ${c} é → \n'
    assert Environment().setting("force_destroy", "none") == "true"
    assert Environment().setting("notification_email", "none") == "none"


@pytest.mark.parametrize("text", ["var.x", "[1]", '"open'])
def test_what_terraform_can_not_read_is_its_own_error(text: str, infra: Path) -> None:
    (infra / "terraform.tfvars").write_text(f"max_object_bytes = {text}\n")
    with pytest.raises(CliError, match=r"Error: .*\n\n.*terraform.tfvars line 1"):
        Environment().setting("max_object_bytes", "1")


def test_what_is_meant_for_terraform_in_infra_is_not_asked_with(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TF_WORKSPACE": "x", "TF_CLI_ARGS_console": "-nonsense", "TF_DATA_DIR": "/none"}.items():
        monkeypatch.setenv(name, value)
    assert Environment("dev").project() == "shop"


def test_where_nothing_is_set_nobody_need_have_terraform(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("TF_VAR_architecture", "x86_64")
    assert Environment().setting("architecture", "arm64") == "x86_64"
    assert Environment().project() == "order-pipeline"


def test_names_that_begin_alike_are_refused_where_something_is_deployed(
    infra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prod", "prod-eu", "production"):
        (infra / "environments" / f"{name}.tfvars").write_text("")
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    monkeypatch.setattr(Target, "account", lambda _: pytest.fail("nothing is asked before"))
    with pytest.raises(UsageError, match="prod and prod-eu begin alike"):
        deploy.planned(targets.aws_target())


def test_an_unknown_name_says_which_there_are(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ENV", "/etc/shrc")
    with pytest.raises(UsageError, match=r"There is no environment /etc/shrc: infra/environments/ has dev\."):
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
def test_a_shells_own_env_chooses_nothing(
    tmp_path: Path, shell: dict[str, str], arguments: list[str], name: str
) -> None:
    """Shells know a variable ENV too, the file that they read at their start."""
    root = str(ROOT).replace(" ", "\\ ")
    (tmp_path / "Makefile").write_text(f"include {root}/Makefile\nsay:\n\t@printenv PIPELINE_ENV\n")
    environment = {"PATH": os.environ["PATH"], **shell}
    command = ["make", "--no-print-directory", "-f", str(tmp_path / "Makefile"), *arguments, "say"]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == name


def test_aws_is_told_of_the_environment_everywhere(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    monkeypatch.setenv("TF_STATE_BUCKET", "states")
    place = targets.aws_target()
    assert place.runtime.architecture == "x86_64"
    assert place.workspace.variables["environment"] == "dev"
    assert not place.workspace.variables["packages_dir"].startswith("/"), "another checkout would replace the layers"
    assert place.workspace.backend == S3Backend("states", "shop/environments/dev.tfstate")


def test_a_bucket_needs_an_environment(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_STATE_BUCKET", "states")
    with pytest.raises(UsageError, match="none is named") as refused:
        targets.aws_target()
    assert "ENV=dev" in refused.value.next_step


def test_without_a_bucket_each_environment_has_a_file_and_a_folder_of_its_own(infra: Path) -> None:
    assert backends.chosen(Environment("dev")).arguments() == ["-backend-config=path=dev.tfstate"]
    folders = {Workspace({}, {}, infra, chosen=Environment(name))._data.name for name in (None, "dev", "prod")}
    assert folders == {".terraform", ".terraform-dev", ".terraform-prod"}


def test_what_terraform_leaves_of_an_environment_is_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".terraform/", ".terraform-*/", "*.tfstate", "*.tfstate.*", backends.OVERRIDE} <= set(ignored)


@pytest.mark.parametrize("name", environments.names())
def test_every_environment_is_named_and_set_as_infra_allows(name: str) -> None:
    text = (terraform.INFRA / "environments" / f"{name}.tfvars").read_text()
    set_here = set(re.findall(r"^(?:# )?(\w+) +=", text, re.MULTILINE))
    assert set_here
    assert set_here <= variables.defaults().keys() - {"environment"}, "the file's name is the environment's"


# --- the bucket ---


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account of moto's with a bucket of states in another region than the credentials'."""
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        s3 = boto3.client("s3", "eu-west-1")
        s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield s3


def test_the_region_of_a_bucket_is_asked_for(account: Any) -> None:
    assert S3Backend("states", "k").arguments() == [
        "-reconfigure",
        "-backend-config=bucket=states",
        "-backend-config=key=k",
        "-backend-config=region=eu-west-1",
    ]


def test_a_wrong_name_is_explained(account: Any) -> None:
    with pytest.raises(CliError, match="There is no bucket stats, in which TF_STATE_BUCKET") as refused:
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
def test_an_account_is_asked_where_its_credentials_are_taken(
    infra: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    """Those of China and of GovCloud are taken in no region of another partition."""
    forget_credentials(monkeypatch, infra)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (infra / "config").write_text("[profile china]\nregion = cn-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(infra / "config"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asked = [targets.aws_account().account_client("sts"), backends.client("s3")]
    assert [client.meta.region_name for client in asked] == [region, region]
    assert targets.aws_account().account_client("s3", "eu-west-1").meta.region_name == "eu-west-1"


def refusing(status: int) -> Any:
    """A HeadBucket that AWS answers so, without a word."""

    def refuse(_: str) -> Any:
        answer: Any = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise backends.ClientError(answer, "HeadBucket")

    return refuse


@pytest.mark.parametrize(
    ("status", "said"), [(403, "may not use the bucket of the state, states"), (400, "does not answer")]
)
def test_a_bucket_that_may_not_be_used_is_explained(monkeypatch: pytest.MonkeyPatch, status: int, said: str) -> None:
    monkeypatch.setattr(backends, "_head", refusing(status))
    with pytest.raises(CliError, match=said) as refused:
        S3Backend("states", "k").arguments()
    assert "TF_STATE_BUCKET" in refused.value.next_step


def forget_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_no_credentials_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path)
    with pytest.raises(CliError, match=r"can't be reached \(NoCredentialsError\)"):
        S3Backend("states", "k").arguments()


# --- a state is never lost sight of ---

TEAM = "tfstate-shop-123456789012"


@pytest.fixture
def clone(infra: Path, account: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone, of whose account the team has a bucket for states; Terraform is not run."""
    (infra / "terraform.tfvars").write_text('project = "shop"\n')
    account.create_bucket(Bucket=TEAM, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setattr(terraform, "init", lambda *_, **__: None)
    return infra


@pytest.mark.parametrize(("name", "step"), [("dev", f"export TF_STATE_BUCKET={TEAM}\nRun"), (None, "make … ENV=dev")])
@pytest.mark.parametrize("use", [Workspace.init, Workspace.state])
def test_a_bucket_that_nobody_has_named_is_found(clone: Path, use: Any, name: str | None, step: str) -> None:
    environment = Environment(name)
    with pytest.raises(CliError, match=f"TF_STATE_BUCKET is not set, .*there is a bucket for it: {TEAM}") as refused:
        use(Workspace({}, {}, clone, backends.chosen(environment), chosen=environment))
    assert step in refused.value.next_step


def test_a_bucket_that_these_credentials_may_not_look_at_is_there_too(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_head", refusing(403))
    with pytest.raises(CliError, match=f"there is a bucket for it: {TEAM}"):
        Workspace({}, {}, clone).init()


def own(clone: Path, environment: Environment) -> Workspace:
    """What whoever says so has in a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_STATE_BUCKET", "none")
        return Workspace({}, {}, clone, backends.chosen(environment), environment)


def test_whoever_wants_a_file_says_so_and_gives_it_a_name(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / "terraform.tfvars").write_text('environment = "anna"\n')
    workspace = own(clone, Environment())
    assert workspace.backend == LocalBackend(asked_for=True)
    monkeypatch.setattr(backends, "_account", lambda: pytest.fail("no team has it"))
    workspace.init()


@pytest.mark.parametrize(
    ("name", "settings"), [(None, ""), (None, 'environment = "dev"\n'), ("dev", 'environment = "anna"\n')]
)
def test_an_environment_of_the_teams_is_not_begun_in_a_file(clone: Path, name: str | None, settings: str) -> None:
    """What is there already would be in Terraform's way, or be changed by it: a policy of a bucket, say."""
    (clone / "terraform.tfvars").write_text(f'project = "shop"\n{settings}')
    with pytest.raises(CliError, match=f"says none, but dev is the team's: .* in {TEAM}") as refused:
        own(clone, Environment(name)).init()
    assert 'environment = "anna"' in refused.value.next_step
    assert f"export TF_STATE_BUCKET={TEAM}, and make … ENV=dev" in refused.value.next_step


@pytest.mark.parametrize("name", ["dev", None])
def test_who_has_it_in_a_file_or_no_team_may_call_it_dev(clone: Path, account: Any, name: str | None) -> None:
    workspace = own(clone, Environment(name))
    file = clone / ("dev.tfstate" if name else "terraform.tfstate")
    file.write_text(json.dumps(STATE))
    workspace.init()
    file.unlink()
    account.delete_bucket(Bucket=TEAM)
    workspace.init()


@pytest.mark.parametrize("name", ["dev", None])
def test_one_person_without_any_bucket_needs_none(clone: Path, account: Any, name: str | None) -> None:
    account.delete_bucket(Bucket=TEAM)
    environment = Environment(name)
    Workspace({}, {}, clone, backends.chosen(environment), chosen=environment).init()


def test_who_has_the_state_in_a_file_is_not_asked(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / "terraform.tfstate").write_text(json.dumps(STATE))
    monkeypatch.setattr(backends, "_account", lambda: pytest.fail("it is known where the state is"))
    Workspace({}, {}, clone).init()


def test_where_the_bucket_does_not_answer_nothing_is_planned(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_head", refusing(400))
    with pytest.raises(CliError, match=f"{TEAM}, can't be reached"):
        Workspace({}, {}, clone).init()


def test_without_credentials_nothing_is_planned(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch, infra)
    with pytest.raises(CliError, match=r"AWS does not say \(NoCredentialsError\)"):
        Workspace({}, {}, infra).init()


def workspace_in(folder: Path, backend: backends.Backend) -> Workspace:
    return Workspace({}, {}, folder, backend, Environment("dev"))


def remember(folder: Path, **backend: Any) -> None:
    """Let the folder be initialised for a backend."""
    data = folder / ".terraform-dev"
    data.mkdir(parents=True)
    (data / "terraform.tfstate").write_text(json.dumps({"version": 3, "backend": backend}))


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (LocalBackend("dev.tfstate"), "kept in s3://states, but TF_STATE_BUCKET is not set"),
        (LocalBackend("dev.tfstate", asked_for=True), "kept in s3://states, but TF_STATE_BUCKET says none"),
        (S3Backend("others", "k"), "kept in s3://states, but TF_STATE_BUCKET says others"),
    ],
)
def test_a_forgotten_or_changed_bucket_is_noticed(tmp_path: Path, backend: backends.Backend, said: str) -> None:
    remember(tmp_path, type="s3", config={"bucket": "states"})
    with pytest.raises(CliError, match=said) as refused:
        workspace_in(tmp_path, backend).state()
    assert "TF_STATE_BUCKET" in refused.value.next_step


@pytest.mark.parametrize(
    ("backend", "file", "environment", "said", "step"),
    [
        (S3Backend("states", "k"), "dev.tfstate", "dev", "not in states", "make move-state ENV=dev"),
        (S3Backend("states", "k"), "terraform.tfstate", "dev", "not in states", "make move-state ENV=dev"),
        (S3Backend("states", "k"), "terraform.tfstate", "prod", "for that of dev", "Rename it to prod.tfstate"),
        (LocalBackend("dev.tfstate"), "terraform.tfstate", "dev", "for that of dev", "Rename it to dev.tfstate"),
        (LocalBackend("dev.tfstate"), "terraform.tfstate", "prod", "for that of dev", "say ENV=prod"),
    ],
)
def test_a_state_in_a_file_is_not_overlooked(
    infra: Path, backend: backends.Backend, file: str, environment: str, said: str, step: str
) -> None:
    (infra / file).write_text(json.dumps(STATE).replace('"dev"', f'"{environment}"'))
    with pytest.raises(CliError, match=f"{file} in infra/ .*{said}") as refused:
        workspace_in(infra, backend).init()
    assert step in refused.value.next_step


@pytest.mark.parametrize(("file", "content"), [("dev.tfstate", "{}"), ("prod.tfstate", json.dumps(STATE))])
def test_an_empty_state_or_anothers_is_in_nobodys_way(
    infra: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str
) -> None:
    (infra / file).write_text(content)
    monkeypatch.setattr(Workspace, "_init", lambda _: None)
    workspace_in(infra, S3Backend("states", "k")).init()


def test_a_file_whose_state_can_not_be_moved_stays_where_it_is(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CliError("no")

    (infra / "dev.tfstate").write_text(json.dumps(STATE))
    monkeypatch.setattr(Workspace, "_init", refuse)
    with pytest.raises(CliError):
        workspace_in(infra, S3Backend("states", "k")).move_state()
    assert (infra / "dev.tfstate").is_file()


@pytest.mark.parametrize(
    ("backend", "said"),
    [(S3Backend("states", "k"), "No file here holds a state"), (LocalBackend(), "No bucket is named")],
)
def test_where_there_is_nothing_to_move_it_says_so(infra: Path, backend: backends.Backend, said: str) -> None:
    with pytest.raises(CliError, match=said):
        workspace_in(infra, backend).move_state()


@pytest.mark.parametrize(
    ("complaint", "step"),
    [
        ("Error: Error acquiring the state lock", "TF_DATA_DIR=.terraform-dev terraform -chdir=infra force-unlock ID"),
        ("Scope ARN: x does not exist or is not attachable.", "permissions_boundary = null in infra/environments/dev"),
        ("EntityAlreadyExists: Role with name shop-dev-write already exists.", "If an interrupted deploy has made it"),
        (
            "AccessDeniedException: Insufficient Lake Formation permission(s): Required Create Database on Catalog",
            "--permissions CREATE_DATABASE",
        ),
        ('cannot import state with lineage "a" over unrelated state', "look which of the two counts"),
        ("Error: something else", "Run the same again."),
    ],
)
def test_what_terraform_says_gets_a_next_step(
    infra: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, step: str
) -> None:
    def fail(*_: object, **__: object) -> Iterator[str]:
        raise CliError(complaint, "Run the same again.")
        yield ""

    monkeypatch.setattr(terraform, "run", fail)
    with pytest.raises(CliError) as refused:
        list(workspace_in(infra, S3Backend("states", "k")).apply())
    assert step in refused.value.next_step


def test_the_backend_is_put_into_infra_and_taken_out_again(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "init", lambda *_, **__: None)
    monkeypatch.setattr(S3Backend, "arguments", lambda _: [])
    override = infra / backends.OVERRIDE
    workspace_in(infra, S3Backend("states", "k")).init()
    assert "use_lockfile = true" in override.read_text()
    (infra / "dev.tfstate").write_text(json.dumps(STATE))
    workspace_in(infra, LocalBackend("dev.tfstate")).init()
    assert not override.exists()
