"""The read-only monitoring commands: status, logs, watch and console."""

import webbrowser
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pipeline import console as show
from pipeline.console import as_json
from pipeline.deploy.targets import Target, target
from pipeline.inspect import show_executions
from pipeline.inspect.batch_history.batch_executions import last_end
from pipeline.inspect.batch_history.lookup import look_up
from pipeline.inspect.executions import console_url, recent_runs
from pipeline.inspect.logs import LogLine, follow_logs, logs
from pipeline.inspect.watch import watch as changes
from pipeline.options import AsJson, TargetName
from pipeline.recover import restarts, undelivered

_LOGS_AFTER_END = timedelta(hours=1)
"""How long after its end an execution may have log lines, since its failure and cost are recorded with retries."""


def status(
    target_name: TargetName = "aws",
    limit: Annotated[int, typer.Option(min=1, max=100, help="The number of executions to show.")] = 10,
    json_: AsJson = False,
) -> None:
    """Show the latest executions with outcome, counts and cost.

    Also shows the number of events in the failed-event queue.

    \b
    pipeline status
    pipeline status --limit 50
    pipeline status --json | jq '.runs[] | select(.outcome == "failed") | .batch_id'

    Makes one request for the list, and two or three for each execution, eight at a time.
    """
    place = target(target_name)
    recent, waiting = recent_runs(place, limit), undelivered.waiting(place)
    if json_:
        as_json.dump({"status_version": 1, "runs": recent, "waiting_events": waiting})
    elif not recent and not waiting:
        show.out.print(f"No executions yet. Next: make run-pipeline{'' if target_name == 'aws' else ' TARGET=local'}")
    else:
        show_executions.runs(recent, waiting, target_name)


def logs_command(
    what: Annotated[
        str | None, typer.Argument(metavar="[KEY|BATCH|EXECUTION]", help="Show only lines about this. Default: all.")
    ] = None,
    target_name: TargetName = "aws",
    minutes: Annotated[
        int | None,
        typer.Option(
            min=1, help="How far back to look. Default: 15, or for a batch, from its upload to an hour after its end."
        ),
    ] = None,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="The maximum number of lines to show.")] = 30,
    follow: Annotated[bool, typer.Option("--follow", help="Keep showing new lines until interrupted.")] = False,
    json_: AsJson = False,
) -> None:
    """Show the functions' logs, of all batches or of one.

    Shows the latest lines, oldest first.

    \b
    pipeline logs --minutes 60 --lines 200
    pipeline logs orders-0123…
    pipeline logs --follow

    CloudWatch Logs has most lines within seconds. With --follow, a line that is more than a minute late is not shown.
    """
    place = target(target_name)
    batch_id, since, until = _about(place, what)
    if minutes is not None:
        since, until = datetime.now(UTC) - timedelta(minutes=minutes), None
    if follow:
        for line in follow_logs(place, since, lines, batch_id):
            _print(line, json_)
    found = logs(place, since, lines, batch_id, until)
    for line in found:
        _print(line, json_)
    if not found and not json_:
        show.out.print(f"There are no log lines since {since:%Y-%m-%d %H:%M:%S} UTC. To look further back: --minutes")


def watch(
    target_name: TargetName = "aws",
    minutes: Annotated[int, typer.Option(min=0, help="Also show executions that ended within this time.")] = 5,
    json_: AsJson = False,
) -> None:
    """Show running and just ended executions, and each change.

    The command runs until you interrupt it.

    \b
    pipeline watch            one line per start and end
    pipeline watch --json     one JSON object per start and end
    """
    place, since = target(target_name), datetime.now(UTC) - timedelta(minutes=minutes)
    for change, run in changes(place, since):
        if json_:
            as_json.dump({"change": change, "run": run}, indent=None)
        else:
            show_executions.one_line(run)


def console(
    execution: Annotated[str | None, typer.Argument(help="An execution's name or ARN.")] = None,
    target_name: TargetName = "aws",
) -> None:
    """Print and open an execution's page in the AWS console.

    Without an execution, opens the page of the state machine. Opens a page only if the output goes to a terminal.
    """
    place = target(target_name)
    url = console_url(place, execution)
    show.out.print(url, markup=False)
    if target_name == "local":
        show.err.print("The local emulator has no console. This is the address on AWS.")
    elif show.is_interactive():
        webbrowser.open(url)


def _about(place: Target, what: str | None) -> tuple[str, datetime, datetime | None]:
    """Return the batch whose logs are shown, and the start and end of the time in which it may have logs."""
    since = datetime.now(UTC) - timedelta(minutes=15)
    if what is None:
        return "", since, None
    batch_id = look_up(place, what).batch_id
    finding = restarts.find(place, batch_id, restarts.patience())
    batch, ended = restarts.batch_of(place, finding), last_end(place, finding.dataset, batch_id)
    if batch:
        since = datetime.fromisoformat(batch.ingested_at) - timedelta(minutes=1)
    return batch_id, since, ended and ended + _LOGS_AFTER_END


def _print(line: LogLine, json_: bool) -> None:
    if json_:
        as_json.dump(line, indent=None)
    else:
        show_executions.log_line(line)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "status": status,
    "logs": logs_command,
    "watch": watch,
    "console": console,
}
