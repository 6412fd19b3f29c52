"""The command line: `pipeline --help`. The commands of each feature are in its package."""

import signal
import sys
from typing import NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.exceptions import TyperException

from functions.common.errors import PipelineError
from pipeline import console as show
from pipeline.contract import commands as contract_commands
from pipeline.contract import validate_command
from pipeline.cost import command as cost_command
from pipeline.deploy import commands as deploy_commands
from pipeline.emulator import commands as emulator_commands
from pipeline.errors import CliError, UsageError
from pipeline.inspect import explain_commands, monitor_commands, report_command
from pipeline.recover import commands as recover_commands
from pipeline.run import commands as run_commands
from pipeline.smoke import command as smoke_command

INTERRUPTED = 130

app = typer.Typer(
    help="Builds, deploys, runs and explains the pipeline, on AWS and on the local emulator.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

_PANELS = {
    "Run a file": (run_commands.COMMANDS, emulator_commands.COMMANDS),
    "Inspect": (monitor_commands.COMMANDS, explain_commands.COMMANDS, report_command.COMMANDS),
    "Recover": (recover_commands.COMMANDS,),
    "Contracts and costs": (validate_command.COMMANDS, cost_command.COMMANDS),
    "Deploy": (deploy_commands.COMMANDS, smoke_command.COMMANDS),
}
"""The panels of `pipeline --help`, in their order, and the commands in each."""

for panel, groups in _PANELS.items():
    for name, command in (pair for group in groups for pair in group.items()):
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(contract_commands.app, name="contract", rich_help_panel="Contracts and costs")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every error becomes a sentence and an exit status (2 for a wrong argument)."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _interrupt)
    try:
        # without standalone mode typer answers an Exit's code instead of exiting
        status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if status == INTERRUPTED:
            show.err.print("interrupted")
        sys.exit(status or 0)
    except CliError as problem:
        show.error(problem)
        sys.exit(problem.exit_code)
    except TyperException as problem:
        show.error(UsageError(problem.format_message(), "pipeline --help shows what there is."))
        sys.exit(2)
    except OSError as problem:
        show.error(
            CliError(
                f"{problem.filename or 'The system'}: {problem.strerror or problem}.", "Mend it and run the same again."
            )
        )
        sys.exit(1)
    except PipelineError as problem:
        show.error(CliError(str(problem), problem.next_step))
        sys.exit(1)
    except (ClientError, BotoCoreError) as problem:
        show.error(CliError(str(problem), "Check the credentials, their permissions and the region."))
        sys.exit(1)
