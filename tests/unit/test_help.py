"""`pipeline --help` fits on a terminal of 80 columns."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import cli
from pipeline.contract import commands as contract_commands

COMMANDS = [*cli.app.registered_commands, *contract_commands.app.registered_commands]
_ROOM = 80 - len("│ check-infra   │")
"""The width that remains next to the longest name of a command in 80 columns."""


@pytest.mark.parametrize("callback", [one.callback for one in COMMANDS], ids=[str(one.name) for one in COMMANDS])
def test_the_summary_of_a_command_is_one_line(callback: Callable[..., Any]) -> None:
    summary, _, rest = (callback.__doc__ or "").partition("\n")
    assert summary.endswith("."), "The first line is a whole sentence."
    assert len(summary) <= _ROOM, f"Shorten it by {len(summary) - _ROOM} characters."
    assert not rest.strip() or rest.startswith("\n"), "Leave a blank line after the first."


def test_every_command_is_in_a_panel() -> None:
    assert all(one.rich_help_panel in cli._PANELS for one in cli.app.registered_commands)
