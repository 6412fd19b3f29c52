"""Messages for the local emulator are true of it, and the commands in them work there as typed."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.common.batch_state import BatchState
from pipeline import cli
from pipeline.deploy import targets
from pipeline.emulator import server as embedded
from pipeline.errors import CliError
from pipeline.inspect.batch_history.diagnosis import diagnosed
from pipeline.run import runs
from tests.integration import test_explain as ways
from tests.integration.deployed import MACHINE, Place
from tests.integration.test_cli import UPLOAD
from tests.integration.test_recovery_commands import Run, place, run
from tests.report import stories

__all__ = ["place", "run"]


@pytest.fixture(autouse=True)
def _same_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways.explain_commands, "target", lambda _: place)


def advice(target: str, state: BatchState) -> str:
    story = diagnosed(replace(stories.failed(), target=target), state, stories.WRITTEN)
    return " ".join(action.sentence for action in story.actions)


def test_without_a_reconciler_the_advice_is_not_to_wait() -> None:
    local = advice("local", BatchState.MISSING)
    assert "every hour" not in local
    assert "drops" in local
    assert "every hour" in advice("aws", BatchState.MISSING)


def test_the_advice_for_a_stuck_execution_names_no_console() -> None:
    assert "console" not in advice("local", BatchState.STUCK)
    assert "console" in advice("aws", BatchState.STUCK)


def test_the_command_for_a_file_that_was_never_started_publishes_it(place: Place, run: Run) -> None:
    batch = ways.never_started(place)
    story = stories_of(run, batch.source.key)
    assert story["outcome"] == "not started"
    [command] = [action["command"] for action in story["actions"]]
    program, *arguments, option, name = shlex.split(command)
    assert (program, option, name) == ("pipeline", "--target", "local")
    assert run(*arguments)[0] == 0
    assert stories_of(run, batch.source.key)["outcome"] == "published"


def stories_of(run: Run, what: str) -> Any:
    # `run` leaves out lines that begin as the functions' log lines do, so the document lacks its first one
    return json.loads("{" + run("explain", what, "--json")[1])


@pytest.mark.parametrize("place_name", ["local", "aws"])
def test_the_advice_for_a_late_execution_names_the_target(
    place_name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_START_SECONDS", -1)
    at: Any = SimpleNamespace(
        name=place_name, is_temporary=False, step_functions=place.step_functions, outputs=place.outputs
    )
    arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:x"
    upload = replace(UPLOAD, execution_arn=arn)
    with pytest.raises(CliError) as late:
        next(runs.follow(at, upload))
    commands = re.findall(r"pipeline [a-z]+ [^:.]*?(?=[.:])", late.value.next_step)
    assert len(commands) == 2
    assert all(("--target local" in command) == (place_name == "local") for command in commands), commands


# --- no emulator ------------------------------------------------------------------------------------------------------


@pytest.fixture
def dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator that has died after `make local-up`."""
    monkeypatch.setattr(embedded, "LOCAL", tmp_path / "local")
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    (embedded.LOCAL / "server").mkdir(parents=True)
    (embedded.LOCAL / "server.json").write_text(json.dumps({"pid": process.pid, "port": 1}))


@pytest.mark.usefixtures("dead")
def test_a_dead_emulator_is_reported_with_its_lost_data() -> None:
    with pytest.raises(CliError, match="has stopped, and all its data is lost") as refused:
        targets.target("local")
    assert "make local-up" in refused.value.next_step
    assert "make deploy-infra TARGET=local" in refused.value.next_step


def test_an_emulator_that_was_never_started_has_lost_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCAL", tmp_path / "local")
    with pytest.raises(CliError, match="is not running") as refused:
        targets.target("local")
    assert "lost" not in str(refused.value)


def test_an_emulator_that_hangs_is_not_reported_as_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCAL", tmp_path / "local")
    monkeypatch.setattr(embedded, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(embedded.Server, "is_alive", lambda _: True)
    (embedded.LOCAL / "server").mkdir(parents=True)
    (embedded.LOCAL / "server" / "ca.pem").touch()
    (embedded.LOCAL / "server.json").write_text(json.dumps({"pid": 1, "port": 1}))
    with pytest.raises(CliError, match="does not respond"):
        targets.target("local")


@pytest.mark.usefixtures("dead")
def test_an_emulator_that_dies_during_a_command_is_reported(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://127.0.0.1:1")

    batch = place.upload(ways.GOOD)
    monkeypatch.setattr(place.s3(), "head_object", refuse)
    monkeypatch.setattr(sys, "argv", ["pipeline", "replay", batch.batch_id, "--target", "local"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = capsys.readouterr().err
    assert left.value.code == 1
    assert "all its data is lost" in printed
    assert "make local-up" in printed
