"""The entry point of the CLI. The package of each feature defines its commands."""

import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.core import TyperCommand
from typer.exceptions import TyperException

from functions.common.errors import PipelineError, TransientError
from pipeline import console as show
from pipeline import system_errors
from pipeline.contract import commands as contract_commands
from pipeline.contract import validate_command
from pipeline.cost import command as cost_command
from pipeline.deploy import aws_errors
from pipeline.deploy import commands as deploy_commands
from pipeline.draft import commands as draft_commands
from pipeline.emulator import commands as emulator_commands
from pipeline.errors import INTERRUPTED, CliError, UsageError
from pipeline.inspect import explain_commands, monitor_commands
from pipeline.options import check_combinations
from pipeline.recover import commands as recover_commands
from pipeline.run import commands as run_commands
from pipeline.smoke import command as smoke_command

app = typer.Typer(
    help="Build, deploy, run and inspect the pipeline, on AWS or on the local emulator.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

_PANELS = {
    "Run a file": (draft_commands.COMMANDS, run_commands.COMMANDS, emulator_commands.COMMANDS),
    "Inspect": (monitor_commands.COMMANDS, explain_commands.COMMANDS),
    "Recover": (recover_commands.COMMANDS,),
    "Contracts and costs": (validate_command.COMMANDS, cost_command.COMMANDS),
    "Deploy": (deploy_commands.COMMANDS, smoke_command.COMMANDS),
}
"""The panels of `pipeline --help`, in order, with the commands in each."""

for panel, groups in _PANELS.items():
    for name, command in (pair for group in groups for pair in group.items()):
        app.command(name, rich_help_panel=panel)(command)
contract_commands.app.command("draft")(draft_commands.draft_command)
app.add_typer(contract_commands.app, name="contract", rich_help_panel="Contracts and costs")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the CLI. Report errors as messages, and exit with 2 for an invalid argument or 1 for any other error."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        # without standalone mode, typer returns the exit code of an Exit
        status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if status == INTERRUPTED:
            show.err.print("interrupted")
        sys.exit(status or 0)
    except CliError as problem:
        show.error(problem)
        sys.exit(problem.exit_code)
    except TyperException as problem:
        show.error(UsageError(problem.format_message(), "pipeline --help lists the commands."))
        sys.exit(2)
    except Exception as problem:
        if (explained := _explained(problem, "aws")) is None:
            raise
        show.error(explained)
        if isinstance(problem, OSError) and not problem.filename:
            _discard_output()
        sys.exit(1)


class _Command(TyperCommand):
    """A command that checks the combination of its options, and explains AWS errors for its target."""

    def invoke(self, ctx: Any) -> Any:
        check_combinations(ctx)
        try:
            return super().invoke(ctx)
        except (ClientError, BotoCoreError, TransientError) as problem:
            target_name = aws_errors.DEMO if ctx.info_name == "demo" else ctx.params.get("target_name") or "aws"
            if (explained := _explained(problem, target_name)) is None:
                raise
            raise explained from problem


def _explained(problem: BaseException, target_name: str) -> CliError | None:
    """Return an error with a next step for the user, or None if `problem` is unexpected."""
    if isinstance(problem, MemoryError) or getattr(problem, "is_memory", False):
        advice = "Run the command on a machine with more free memory, or split the input file."
        return CliError("There is not enough memory to run this command.", advice)
    cause = problem.__cause__ if isinstance(problem, TransientError) else problem
    if isinstance(cause, ClientError | BotoCoreError):
        return aws_errors.of_aws(cause, target_name)
    if isinstance(problem, TransientError):
        return CliError(str(problem), "Wait a minute, then run the command again.")
    if isinstance(problem, PipelineError):
        return CliError(str(problem), problem.next_step)
    return system_errors.of_file(problem) if isinstance(problem, OSError) else None


def _discard_output() -> None:
    """Discard the output that stdout still buffers. Otherwise, Python writes it at exit and fails again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


for registered in app.registered_commands:
    registered.cls = _Command
