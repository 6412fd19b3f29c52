"""The local emulator's processes, and only those, are stopped before their files are removed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import server as embedded
from pipeline.errors import CliError

Launch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCAL", tmp_path / "local")
    monkeypatch.setattr(embedded, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(embedded, "_STOP_SECONDS", 1)


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts an idle process group with an environment; ends it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def sleeper(**environment: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            env=environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield sleeper
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def record(pid: int) -> Path:
    """Record a server like `make local-up`; returns a file of its home."""
    home = embedded.LOCAL / "server"
    home.mkdir(parents=True)
    (home / "ca.pem").touch()
    (embedded.LOCAL / "server.json").write_text(json.dumps({"pid": pid, "port": 1}))
    return home / "ca.pem"


def own_environment() -> dict[str, str]:
    return {"TMPDIR": str(embedded.LOCAL / "server" / "tmp")}


def test_a_slow_server_is_running(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    record(launch(**own_environment()).pid)
    responses = iter([False, False, True])
    monkeypatch.setattr(embedded.Server, "is_running", lambda _: next(responses))
    assert embedded.local_up()[1] is False


def test_an_unresponsive_server_is_stopped_before_its_files_are_removed(launch: Launch) -> None:
    process = launch(**own_environment())
    file = record(process.pid)
    assert embedded.local_server() is None
    assert embedded.local_down()
    assert process.poll() is not None or not embedded._group_exists(process.pid)
    assert not file.exists()


def test_local_up_replaces_an_unresponsive_server(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    old = launch(**own_environment())
    file = record(old.pid)
    monkeypatch.setattr(embedded, "start", started_afresh(old, file))
    assert embedded.local_up()[1]


def started_afresh(old: "subprocess.Popen[bytes]", file: Path) -> Callable[[Path], embedded.Server]:
    def start(home: Path) -> embedded.Server:
        assert not embedded._group_exists(old.pid), "the old server must be stopped first"
        assert not file.exists()
        home.mkdir(parents=True)
        return embedded.Server(0, 1, home)

    return start


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="without /proc a pid is all there is")
def test_another_process_with_the_pid_is_not_stopped(launch: Launch) -> None:
    process = launch(TMPDIR="/somewhere/else")
    file = record(process.pid)
    assert not embedded.local_down()
    assert process.poll() is None
    assert not file.exists()


def test_files_of_a_dead_server_are_not_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    gone.wait()
    file = record(gone.pid)
    assert embedded.local_server() is None
    monkeypatch.setattr(embedded, "start", started_afresh(gone, file))
    assert embedded.local_up()[1]


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError])
def test_a_failed_start_leaves_nothing(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: type[BaseException]
) -> None:
    launched: list[subprocess.Popen[bytes]] = []

    def fake(server: embedded.Server, environment: Mapping[str, str]) -> Any:
        launched.append(launch(**environment))
        return launched[0]

    def troubled(*_: object) -> bool:
        raise trouble

    monkeypatch.setattr(embedded, "_launch", fake)
    monkeypatch.setattr(embedded.Server, "is_running", troubled)
    with pytest.raises(trouble):
        embedded.start(tmp_path / "home")
    assert not embedded._group_exists(launched[0].pid)
    assert not (tmp_path / "home").exists()


def test_a_server_that_exits_during_its_start_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="did not start") as refused:
        embedded.start(tmp_path / "home", GATEWAY_PORT="no port")
    assert "no port" in str(refused.value)
    assert not (tmp_path / "home").exists()
