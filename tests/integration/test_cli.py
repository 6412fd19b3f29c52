"""The command line: its messages and exit statuses when something is wrong."""

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, cli
from pipeline import __main__ as entry_point
from pipeline.deploy import bootstrap, terraform
from pipeline.deploy import commands as deploy_commands
from pipeline.emulator import server as embedded
from pipeline.errors import CliError
from pipeline.run import demo, runs
from tests import documents

UPLOAD = runs.Upload("in", "incoming/orders/x.json", "v1", "orders", "orders-1", "arn")
MANIFEST = documents.manifest(
    counts=documents.record_counts(4, rejected=1, superseded=1),
    tables={
        name: documents.published_table(name, rows) for name, rows in (("orders", 2), ("customers", 1), ("items", 5))
    },
)
PUBLISHED = runs.RunResult(UPLOAD, 1.5, MANIFEST, None)
FAILED = runs.RunResult(UPLOAD, 1.5, None, None, "EmptyFileError", "The file has\nno record.")


@pytest.fixture
def pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line; returns exit status, stdout and stderr. A traceback fails the test."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


def test_the_line_for_scripts_of_a_published_batch() -> None:
    assert PUBLISHED.line() == (
        "PUBLISHED dataset=orders batch=orders-1 received=4 published=2 rejected=1 superseded=1 "
        "orders=2 customers=1 items=5"
    )


def test_the_line_for_scripts_of_a_failed_batch_is_one_line() -> None:
    assert FAILED.line() == ("FAILED dataset=orders batch=orders-1 error=EmptyFileError cause=The file has no record.")


def test_a_batch_that_failed_after_its_commit_is_not_called_published() -> None:
    late = runs.RunResult(UPLOAD, 1.5, MANIFEST, None, "SNS.Error", "no topic")
    assert late.line().startswith("FAILED ")


@pytest.mark.parametrize(("outcome", "status"), [(PUBLISHED, 0), (FAILED, 1)])
def test_the_exit_status_says_whether_the_batch_was_published(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, outcome: runs.RunResult, status: int
) -> None:
    monkeypatch.setattr(demo, "demo", lambda *_: outcome)
    exit_status, out, _ = pipeline("demo")
    assert exit_status == status
    assert out.splitlines()[-1] == outcome.line()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["run", "nowhere.json"], 2, "There is no file nowhere.json."),
        (["demo", "nowhere.json"], 2, "There is no file nowhere.json."),
        (["run", "--dataset", "web_visits"], 2, "web_visits needs a file: only orders can be generated."),
        (["demo", "--dataset", "web_visits"], 2, "web_visits needs a file: only orders can be generated."),
        (["run", "--target", "mars"], 2, "TARGET must be one of aws, local, not mars."),
        (["deploy", "--target", "mars"], 2, "TARGET must be one of aws, local, not mars."),
        (["build", "--target", "mars"], 2, "TARGET must be one of aws, local, not mars."),
        (["status", "--limit", "0"], 2, "--limit"),
        (["status", "--limit", "many"], 2, "--limit"),
        (["demo", "--nonsense"], 2, "--nonsense"),
        (["nonsense"], 2, "nonsense"),
        (["status", "--target", "local"], 1, "The local emulator is not running."),
    ],
)
def test_an_error_is_a_sentence_and_a_status(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], status: int, sentence: str
) -> None:
    monkeypatch.setattr(embedded, "LOCAL", tmp_path)
    exit_status, _, err = pipeline(*arguments)
    assert exit_status == status
    assert sentence in err
    assert "next:" in err or status == 2
    assert "Traceback" not in err


def test_an_interrupt_is_reported_and_exits_with_130(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "demo", interrupted)
    status, _, err = pipeline("demo")
    assert (status, err.strip()) == (130, "interrupted")


def test_an_interrupt_while_modules_are_loaded_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(MetaPathFinder):
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "pipeline.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "pipeline.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as left:
        entry_point.main()
    assert (left.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_without_arguments_the_help_is_printed(pipeline: Any) -> None:
    status, out, _ = pipeline()
    assert status == 0
    assert "demo" in out


def test_every_make_target_calls_a_command_that_exists() -> None:
    called = {line.split("-m pipeline ")[1].split()[0] for line in makefile() if "-m pipeline " in line}
    called |= {line.split("$(PIPELINE) ")[1].split()[0] for line in makefile() if "$(PIPELINE) " in line}
    known = {command.name for command in (*cli.app.registered_commands, *cli.app.registered_groups)}
    assert called <= known, f"the Makefile calls {sorted(called - known)}"


def makefile() -> list[str]:
    return (ROOT / "Makefile").read_text().splitlines()


def test_a_missing_terraform_has_advice_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CliError, match="not on the PATH") as refused:
        terraform.executable()
    assert "Install Terraform 1.10 or newer" in refused.value.next_step


def provider(folder: Path, version: str) -> Path:
    """Create a mirror that holds one version of the provider."""
    binary = folder / "registry.terraform.io" / "hashicorp" / "aws" / version / "linux_amd64" / "terraform-provider-aws"
    binary.parent.mkdir(parents=True)
    binary.touch()
    return folder


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrors are looked for in tmp_path only."""
    monkeypatch.setattr(terraform, "_MIRROR_ROOTS", (tmp_path,))


@pytest.mark.usefixtures("mirrors")
def test_the_nearest_mirror_with_the_locked_provider_is_found(tmp_path: Path) -> None:
    provider(tmp_path / "a", "4.67.0")
    provider(tmp_path / "b" / "deeper", "5.100.0")
    near = provider(tmp_path / "c", "5.100.0")
    assert terraform.find_mirror() == near


@pytest.mark.usefixtures("mirrors")
def test_a_mirror_of_another_version_is_not_used(tmp_path: Path) -> None:
    provider(tmp_path / "a", "4.67.0")
    assert terraform.find_mirror() is None


@pytest.mark.parametrize("repository", ["example/orders", "example@12/orders@345"])
def test_bootstrap_prints_the_variables_to_set_in_the_repository(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    roles = {"plan_role": "arn:plan", "deploy_roles": {"dev": "arn:dev", "prod": "arn:prod"}, "smoke_role": "arn:smoke"}
    outputs = {"state_bucket": "states", "repository": repository, **roles}
    monkeypatch.setattr(deploy_commands, "aws_account", lambda: None)
    monkeypatch.setattr(bootstrap, "bootstrap", lambda *_: outputs)
    status, out, _ = pipeline("bootstrap")
    assert status == 0
    assert [line.strip() for line in out.splitlines() if "gh variable" in line] == [
        "gh variable set TF_STATE_BUCKET --repo example/orders --body states",
        "gh variable set AWS_PLAN_ROLE --repo example/orders --body arn:plan",
        "gh variable set AWS_DEPLOY_ROLE --repo example/orders --env dev --body arn:dev",
        "gh variable set AWS_DEPLOY_ROLE --repo example/orders --env prod --body arn:prod",
        "gh variable set AWS_SMOKE_ROLE --repo example/orders --body arn:smoke",
    ]
