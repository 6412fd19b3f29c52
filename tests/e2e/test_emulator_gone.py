"""A local emulator that dies: what the commands say, and that following it leads to one that can be deployed to."""

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
    """Run a command as it is typed; returns its exit status and all that it printed. The emulator is one of its own."""
    monkeypatch.setattr(embedded, "LOCAL", tmp_path / "local")

    def run(command: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out + captured.err

    yield run
    embedded.local_down()


def test_the_advice_after_the_death_of_the_emulator_works(run: Run) -> None:
    assert "make local-up" in run("pipeline status --target local")[1]
    assert run("pipeline local-up")[0] == 0
    server = embedded.local_server()
    assert server
    os.killpg(server.pid, signal.SIGKILL)
    for command in ("status", "reconcile", "explain incoming/orders/x.jsonl", "deploy"):
        status, said = run(f"pipeline {command} --target local")
        assert status == 1
        assert "The local emulator has stopped, and all its data is lost." in said
        assert "make local-up. Then deploy to it: make deploy-infra TARGET=local." in said
    status, said = run("pipeline local-up")
    assert (status, "is running on" in said) == (0, True)
    status, said = run("pipeline status --target local")
    assert status == 1
    assert "Nothing is deployed here" in said
    assert "make deploy-infra" in said
