"""What the CLI says when something cannot be done: a sentence, and what to do next."""


class CliError(Exception):
    """Something cannot be done; `next_step` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class UsageError(CliError):
    """An argument cannot be used."""

    exit_code = 2
