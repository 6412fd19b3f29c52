"""The errors of the CLI. Each has a message and says what to do next."""


class CliError(Exception):
    """A command can't continue; `next_step` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class UsageError(CliError):
    """An argument can't be used."""

    exit_code = 2
