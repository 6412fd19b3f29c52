"""The errors of the CLI. Each has a message and a next step for the user."""

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


class CliError(Exception):
    """A command can't continue. `next_step` is advice for the user."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class UsageError(CliError):
    """An argument or a combination of arguments is invalid."""

    exit_code = 2
