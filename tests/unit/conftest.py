"""Keep this tier pure, and run orders through the steps for a test.

A test that starts a process or opens a connection belongs in tests/integration.
"""

import socket
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

from functions.common.contract import Contract
from tests.unit.orders import CONTRACT, Order, lines
from tests.unit.steps import Published, RunOrders, publish


@pytest.fixture(autouse=True)
def nothing_outside_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a process or opens a connection."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        pytest.fail("tests/unit starts no process and opens no connection; move this test to tests/integration")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def run_orders(tmp_path: Path) -> RunOrders:
    """Run orders through validate, transform and write, and return what was published and what was rejected."""

    def run(*records: Order, contract: Contract = CONTRACT) -> Published:
        return publish(lines(records), tmp_path, contract=contract)

    return run
