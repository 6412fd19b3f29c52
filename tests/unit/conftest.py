"""Keeps this tier pure: a test that starts a process or opens a connection belongs in tests/integration."""

import socket
import subprocess
from typing import Any, NoReturn

import pytest


@pytest.fixture(autouse=True)
def nothing_outside_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that reaches for a process or the network."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        pytest.fail("tests/unit starts no process and opens no connection; move this test to tests/integration")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
