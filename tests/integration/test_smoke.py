"""`pipeline smoke`: the summary, and the destruction of everything after every outcome."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from pipeline import cli
from pipeline.deploy import deploy, environments
from pipeline.deploy.backends import LocalBackend, S3Backend
from pipeline.deploy.targets import Target
from pipeline.errors import CliError
from pipeline.smoke import run_tests, state_store, throwaway
from pipeline.smoke.check_results import CheckOutcome, Result, held


@pytest.fixture(autouse=True)
def infra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment dev without any settings."""
    folder = tmp_path / "infra"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "dev.tfvars").write_text("")
    for module in (environments, throwaway):
        monkeypatch.setattr(module, "INFRA", folder)
    for name in ("PIPELINE_ENV", "TF_STATE_BUCKET", "TF_VAR_project", "TF_VAR_region"):
        monkeypatch.delenv(name, raising=False)
    return folder


# --- the run ---


def test_a_run_succeeds_only_if_a_check_passed_and_none_failed() -> None:
    ok, failed, warning, omitted = (Result("x", outcome, "") for outcome in CheckOutcome)
    assert held([ok, warning, omitted])
    assert not held([ok, failed])
    assert not held([warning, omitted])
    assert not held([])


class Run:
    """A run of the command that deploys nothing; records the calls instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path) -> None:
        self.done: list[str] = []
        self.checks: list[Result | BaseException] = [Result("a check", CheckOutcome.OK, "well")]
        self.gone = Result("nothing is left", CheckOutcome.OK, "nothing by name or tag")
        self.swept: dict[str, Result] = {}
        self.deploying: BaseException | None = None
        self._patch, self._capsys = monkeypatch, capsys
        monkeypatch.setattr(throwaway, "HOME", home / ".smoke")
        monkeypatch.setattr(Target, "account", lambda _: "123456789012")
        monkeypatch.setattr(deploy, "deploy", self._deploy)
        monkeypatch.setattr(run_tests, "run_tests", self._run_tests)
        monkeypatch.setattr(throwaway, "destroy", self._destroy)

    def __call__(self, *arguments: str) -> tuple[int, str]:
        self._patch.setattr(sys, "argv", ["pipeline", "smoke", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        self.err = ""
        out, self.err = self._capsys.readouterr()
        return int(left.value.code or 0), out

    def _deploy(self, place: Target) -> None:
        self.done.append("deploy")
        self.variables = place.workspace.variables
        if self.deploying:
            raise self.deploying

    def _run_tests(self, _: object) -> list[Result]:
        for result in self.checks:
            if isinstance(result, BaseException):
                raise result
        return [result for result in self.checks if isinstance(result, Result)]

    def _destroy(self, place: Target, dead: bool = False) -> Result:
        name = place.workspace.variables["environment"]
        self.done.append(f"destroy what is left of {name}" if dead else "destroy")
        return self.swept.get(name, self.gone) if dead else self.gone


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    return Run(monkeypatch, capsys, tmp_path)


def test_a_successful_run_shows_its_checks_and_exits_with_0(run: Run) -> None:
    run.checks.append(Result("another", CheckOutcome.OMITTED, "the embedded AWS can't"))
    status, out = run()
    assert status == 0
    assert out.splitlines()[-1] == "HELD 2 ok, 0 failed, 1 omitted"
    assert "the embedded AWS can't" in out
    assert run.done == ["deploy", "destroy"]


def test_one_failed_check_fails_the_run(run: Run) -> None:
    run.checks.append(Result("another", CheckOutcome.FAILED, "rows: 6, not 7"))
    status, out = run()
    assert (status, out.splitlines()[-1]) == (1, "FAILED 2 ok, 1 failed, 0 omitted")
    assert "rows: 6, not 7" in out


def test_leftover_resources_fail_the_run(run: Run) -> None:
    run.gone = Result("nothing is left", CheckOutcome.FAILED, "sqs order-pipeline-smoke-1a2b3c-x")
    status, out = run()
    assert status == 1
    assert "sqs order-pipeline-smoke-1a2b3c-x" in out


@pytest.mark.parametrize(("raised", "status"), [(CliError("Terraform failed"), 1), (KeyboardInterrupt(), 130)])
def test_a_failed_deploy_is_destroyed(run: Run, raised: BaseException, status: int) -> None:
    run.deploying = raised
    assert run()[0] == status
    assert run.done == ["deploy", "destroy"]


def test_an_interrupted_check_is_destroyed(run: Run) -> None:
    run.checks.append(KeyboardInterrupt())
    assert run()[0] == 130
    assert run.done == ["deploy", "destroy"]
    assert "nothing is left" in run.err


def test_the_summary_can_be_json(run: Run) -> None:
    status, out = run("--json")
    summary = json.loads(out)
    assert status == 0
    assert summary["checks"][0] == {"name": "a check", "outcome": "ok", "detail": "well", "seconds": 0.0}
    assert (summary["smoke_version"], summary["target"], summary["held"]) == (1, "aws", True)
    assert summary["name"] == run.variables["environment"]


def test_a_run_has_its_own_name_and_folder_and_the_settings(
    run: Run, infra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, of_prod = infra / "terraform.tfvars", infra / "environments" / "prod.tfvars"
    own.write_text('environment = "me"\nregion = "eu-west-1"\nnotification_email = "a@example.com"\n')
    of_prod.write_text(
        'force_destroy = false\ncustomer_managed_key = true\npermissions_boundary = "order-pipeline-boundary-prod"\n'
    )
    monkeypatch.setenv("PIPELINE_ENV", "prod")
    assert run()[0] == 0
    name = run.variables["environment"]
    assert throwaway._NAME.fullmatch(name)
    assert run.variables["force_destroy"] == "true"
    assert run.variables["contracts_dir"] == "../contracts"
    folder = throwaway.HOME / name / "infra"
    assert (folder / "terraform.tfvars").read_text() == 'region = "eu-west-1"\n'
    assert (folder / "environment.auto.tfvars").read_text() == (
        'customer_managed_key = true\npermissions_boundary = "order-pipeline-boundary-smoke"\n'
    )


def test_a_boundary_from_the_settings_applies_to_a_temporary_deployment() -> None:
    own = 'permissions_boundary = "developers"\n'
    assert throwaway._settings(own, "order-pipeline") == own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "moon"], "TARGET must be one of"),
        (["--target", "local", "--destroy", "smoke-1a2b3c"], "--destroy works only on AWS"),
        (["--destroy", "../infra"], "../infra is not a valid run name"),
        (["--name", "prod"], "prod is not a valid run name"),
        (["--name", "smoke-1a2b3c", "--destroy", "smoke-1a2b3c"], "--name can't be combined with --destroy"),
    ],
)
def test_unusable_arguments_are_explained(run: Run, arguments: list[str], message: str) -> None:
    assert run(*arguments)[0] == 2
    assert message in run.err
    assert run.done == []


def test_a_killed_run_is_destroyed_by_name_with_its_own_settings(run: Run) -> None:
    settings = throwaway.HOME / "smoke-1a2b3c" / "infra" / "terraform.tfvars"
    settings.parent.mkdir(parents=True)
    settings.write_text('region = "eu-west-1"')
    assert run("--destroy", "smoke-1a2b3c")[0] == 0
    assert run.done == ["destroy what is left of smoke-1a2b3c"]
    assert settings.read_text() == 'region = "eu-west-1"'


def test_the_terraform_workspace_of_the_user_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(throwaway, "HOME", tmp_path)
    monkeypatch.setenv("TF_WORKSPACE", "prod")
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-state=elsewhere")
    monkeypatch.setenv("TF_VAR_region", "eu-west-1")
    place = throwaway.on_aws("smoke-1a2b3c")
    assert {"TF_WORKSPACE", "TF_CLI_ARGS_apply"}.isdisjoint(place.workspace.environment)
    assert place.workspace.environment["TF_VAR_region"] == "eu-west-1"


# --- destroying ---


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(throwaway, "HOME", tmp_path)
    monkeypatch.setattr(throwaway, "_STILL_LISTED_SECONDS", 0)
    monkeypatch.setattr(throwaway, "_PAUSE_SECONDS", 0)
    folder = tmp_path / "smoke-1a2b3c" / "infra"
    folder.mkdir(parents=True)
    (folder / "terraform.tfstate").write_text(state_of("123456789012"))
    variables = {"environment": "smoke-1a2b3c", "project": "order-pipeline"}
    workspace = SimpleNamespace(folder=folder, variables=variables, backend=LocalBackend())
    state = SimpleNamespace(tags={"Project": "order-pipeline"})
    return SimpleNamespace(name="aws", workspace=workspace, state=lambda: state, account=lambda: "123456789012")


def state_of(account: str, region: str = "eu-central-1") -> str:
    """A state of Terraform's with one topic."""
    attributes = {"arn": f"arn:aws:sns:{region}:{account}:order-pipeline-smoke-1a2b3c-alarms"}
    instances = [{"attributes": attributes}]
    return json.dumps({"resources": [{"mode": "managed", "type": "aws_sns_topic", "instances": instances}]})


@contextmanager
def destroying(monkeypatch: pytest.MonkeyPatch, by_name: Any, by_tag: list[str]) -> Iterator[None]:
    def destroy(_: object) -> list[str]:
        if isinstance(by_name, BaseException):
            raise by_name
        return list(by_name)

    monkeypatch.setattr(deploy, "destroy", destroy)
    monkeypatch.setattr(deploy, "tagged", lambda *_: by_tag)
    yield


@pytest.mark.parametrize(
    ("by_name", "by_tag", "message"),
    [
        ([], [], None),
        (["sqs x"], [], "sqs x"),
        ([], ["arn:aws:sqs:x"], "arn:aws:sqs:x"),
        (CliError("terraform destroy failed", "Fix it."), [], "terraform destroy failed\nFix it."),
        (EndpointConnectionError(endpoint_url="x"), [], 'Could not connect to the endpoint URL: "x"'),
    ],
)
def test_leftovers_are_reported_and_the_state_is_kept(
    place: Any, monkeypatch: pytest.MonkeyPatch, by_name: Any, by_tag: list[str], message: str | None
) -> None:
    with destroying(monkeypatch, by_name, by_tag):
        result = throwaway.destroy(place)
    assert (result.outcome is CheckOutcome.FAILED, place.workspace.folder.is_dir()) == (
        message is not None,
        message is not None,
    )
    if message:
        assert result.detail == f"{message}\nDestroy it: pipeline smoke --destroy smoke-1a2b3c"


def test_a_run_that_created_nothing_destroys_nothing(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.workspace.folder / "terraform.tfstate").unlink()
    with destroying(monkeypatch, AssertionError("there is nothing"), []):
        assert throwaway.destroy(place).outcome is CheckOutcome.OK
    assert not place.workspace.folder.exists()


def test_a_run_with_its_state_in_a_bucket_is_kept_without_the_bucket(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.workspace.folder / "terraform.tfstate").unlink()
    (place.workspace.folder / ".terraform").mkdir()
    remembered = '{"backend": {"type": "s3", "config": {"bucket": "tfstate-x"}}}'
    (place.workspace.folder / ".terraform" / "terraform.tfstate").write_text(remembered)
    with destroying(monkeypatch, AssertionError("it must not be tried"), []):
        result = throwaway.destroy(place)
    assert result.outcome is CheckOutcome.FAILED
    assert result.detail.startswith("The state is kept in s3://tfstate-x, but TF_STATE_BUCKET is not set.")
    assert place.workspace.folder.is_dir()


def test_a_run_in_another_account_is_kept(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform would find nothing in this account, and report that everything was destroyed."""
    place.account = lambda: "999999999999"
    with destroying(monkeypatch, AssertionError("it must not be tried"), []):
        result = throwaway.destroy(place)
    assert result.outcome is CheckOutcome.FAILED
    assert result.detail.startswith(
        "The deployment is in the account 123456789012, but these credentials belong to 999999999999."
    )
    assert place.workspace.folder.is_dir()


def test_an_interrupt_during_destroy_explains_how_to_continue(
    place: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with destroying(monkeypatch, KeyboardInterrupt(), []), pytest.raises(KeyboardInterrupt):
        throwaway.destroy(place)
    assert "pipeline smoke --destroy smoke-1a2b3c" in capsys.readouterr().err
    assert place.workspace.folder.is_dir()


# --- a state in the team's bucket ---

BUCKET = "tfstate-order-pipeline-123456789012"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The team's bucket with the states of two runs; this machine has none."""
    monkeypatch.setattr(throwaway, "HOME", tmp_path / ".smoke")
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_STATE_BUCKET", BUCKET)
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    with mock_aws():
        s3 = boto3.client("s3", "eu-central-1")
        where: Any = {"LocationConstraint": "eu-central-1"}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        s3.put_object(Bucket=BUCKET, Key=key_of("smoke-aaaaaa"), Body=state_of("123456789012", "eu-west-1").encode())
        s3.put_object(Bucket=BUCKET, Key=key_of("smoke-bbbbbb"), Body=b"{}")
        s3.put_object(Bucket=BUCKET, Key=f"{key_of('smoke-bbbbbb')}.tflock", Body=b"{}")
        for other in ("environments/dev.tfstate", "smoke/smoke-1.tfstate", "smoke/prod.tfstate"):
            s3.put_object(Bucket=BUCKET, Key=f"order-pipeline/{other}", Body=b"{}")
        yield s3


def key_of(name: str) -> str:
    return f"order-pipeline/smoke/{name}.tfstate"


def test_the_state_is_stored_next_to_those_of_the_environments(run: Run, bucket: Any) -> None:
    assert run("--name", "smoke-1a2b3c")[0] == 0
    place = throwaway.on_aws("smoke-1a2b3c")
    assert place.workspace.backend == S3Backend(BUCKET, key_of("smoke-1a2b3c"))
    assert run.variables["environment"] == "smoke-1a2b3c"


@pytest.mark.parametrize(
    ("after", "own", "swept"),
    [
        (timedelta(hours=1), "smoke-1a2b3c", ["smoke-aaaaaa", "smoke-bbbbbb"]),
        (timedelta(hours=-1), "smoke-1a2b3c", []),
        (timedelta(hours=-1), "smoke-bbbbbb", ["smoke-bbbbbb"]),
    ],
)
def test_leftovers_of_dead_runs_are_destroyed_first(
    run: Run, bucket: Any, monkeypatch: pytest.MonkeyPatch, after: timedelta, own: str, swept: list[str]
) -> None:
    """A recent state may belong to a run on another machine, except if it has the name of this run."""
    monkeypatch.setattr(state_store, "DEAD_AFTER", -after)
    status, out = run("--name", own)
    assert run.done == [*(f"destroy what is left of {name}" for name in swept), "deploy", "destroy"]
    assert (status, out.splitlines()[-1]) == (0, f"HELD {len(swept) + 2} ok, 0 failed, 0 omitted")


@pytest.mark.parametrize(
    ("own", "status", "outcome", "last"),
    [
        ("smoke-1a2b3c", 0, "warning", "HELD 3 ok, 0 failed, 1 warning, 0 omitted"),
        ("smoke-aaaaaa", 1, "failed", "FAILED 3 ok, 1 failed, 0 omitted"),
    ],
)
def test_a_leftover_that_cannot_be_destroyed_fails_only_its_own_run(
    run: Run, bucket: Any, monkeypatch: pytest.MonkeyPatch, own: str, status: int, outcome: str, last: str
) -> None:
    """Otherwise the leftovers of one run would block the deployment of all later commits to prod."""
    monkeypatch.setattr(state_store, "DEAD_AFTER", timedelta(hours=-1))
    detail = "sqs x\nDestroy it: pipeline smoke --destroy smoke-aaaaaa"
    run.swept = {"smoke-aaaaaa": Result("nothing is left of smoke-aaaaaa", CheckOutcome.FAILED, detail)}
    exited, out = run("--name", own)
    assert (exited, out.splitlines()[-1]) == (status, last)
    assert f"{outcome}: nothing is left of smoke-aaaaaa: {detail}" in run.err
    assert ("Ask an administrator of the account" in run.err) == (outcome == "warning")
    assert "deploy" in run.done


def test_leftovers_of_another_machine_are_destroyed_in_the_region_of_their_state(bucket: Any) -> None:
    place = throwaway.on_aws("smoke-aaaaaa")
    assert place.workspace.variables["region"] == "eu-west-1"
    assert place.state().region == "eu-west-1"


@pytest.mark.parametrize(("by_name", "kept_keys"), [([], []), (["sqs x"], [key_of("smoke-bbbbbb")])])
def test_leftovers_without_a_state_are_found_by_name(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, by_name: list[str], kept_keys: list[str]
) -> None:
    monkeypatch.setattr(deploy, "leftovers", lambda _, name: by_name if name.endswith("-smoke-bbbbbb") else ["other"])
    result = throwaway.destroy(throwaway.on_aws("smoke-bbbbbb"), dead=True)
    assert (result.outcome, result.name) == (
        CheckOutcome.FAILED if by_name else CheckOutcome.OK,
        "nothing is left of smoke-bbbbbb",
    )
    if by_name:
        assert result.detail.splitlines() == [
            "sqs x",
            "These resources are in no Terraform state. Delete them, then check: pipeline smoke --destroy smoke-bbbbbb",
        ]
    listed = bucket.list_objects_v2(Bucket=BUCKET, Prefix=key_of("smoke-bbbbbb"))
    assert [one["Key"] for one in listed.get("Contents", [])] == kept_keys


def test_a_missing_bucket_is_reported(run: Run, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_STATE_BUCKET", "no-such-bucket")
    assert run()[0] == 1
    assert "The bucket no-such-bucket in TF_STATE_BUCKET does not exist." in run.err
    assert run.done == []
