"""A local emulator that stops: the messages of the commands, and advice that leads to a working emulator."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.emulator import server as embedded

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command as a user types it, with a separate emulator; returns its exit status and output."""
    monkeypatch.setattr(embedded, "LOCAL", tmp_path / "local")

    def run(command: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out + captured.err

    yield run
    embedded.local_down()


def test_the_advice_after_the_emulator_stopped_works(run: Run) -> None:
    assert "make local-up" in run("pipeline status --target local")[1]
    assert run("pipeline local-up")[0] == 0
    server = embedded.local_server()
    assert server
    os.killpg(server.pid, signal.SIGKILL)
    for command in ("status", "reconcile", "explain incoming/orders/x.jsonl", "deploy"):
        status, printed = run(f"pipeline {command} --target local")
        assert status == 1
        assert "The local emulator has stopped, and all its data is lost." in printed
        assert "make local-up. Then deploy to it: make deploy-infra TARGET=local." in printed
    status, printed = run("pipeline local-up")
    assert (status, "is running on" in printed) == (0, True)
    status, printed = run("pipeline status --target local")
    assert status == 1
    assert "Nothing is deployed here" in printed
    assert "make deploy-infra" in printed
