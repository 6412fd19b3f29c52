"""Prints the output of `status`, `logs` and `watch`: two lines per execution, never shortened."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC

from rich.text import Text

from functions.common.batch import printable
from pipeline.console import many, out, plain
from pipeline.deploy.targets import for_target
from pipeline.inspect.executions import Run
from pipeline.inspect.logs import LogLine

_COUNTS = ("received", "published", "rejected")


def runs(recent: Sequence[Run], waiting: int, target_name: str = "aws") -> None:
    """Print executions, newest first, with a summary. `waiting` is the number of events in the failed-event queue."""
    for run in recent:
        for line in lines(run):
            out.print(line)
    out.print(_summary(recent))
    if waiting:
        redrive = for_target("pipeline redrive", target_name)
        out.print(f"[red]About {many(waiting, 'event')} in the failed-event queue:[/red] {redrive} shows why.")


def lines(run: Run) -> list[Text]:
    """Return an execution as two lines: time, outcome and key; then name, counts, duration, cost and error."""
    first = Text.assemble(f"{run.started.astimezone(UTC):%Y-%m-%d %H:%M:%S}  ", *_outcome_and_key(run))
    counts = [f"{name} {run.counts[name]:,}" for name in _COUNTS if run.counts]
    parts = [run.name, *counts, f"{run.seconds:,.1f} s", f"USD {run.usd}" if run.usd else "", printable(run.error)]
    return [first, Text("  " + "  ".join(filter(None, parts)))]


def one_line(run: Run) -> None:
    """Print an execution as one line, for files and pipes."""
    out.print(Text("  ").join(lines(run)))


def log_line(line: LogLine) -> None:
    """Print a line of a function's log."""
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items())
    color = {"ERROR": "red", "WARNING": "yellow"}.get(line.level, "default")
    message = plain(f"{line.message} {fields}")
    out.print(f"{line.time:%H:%M:%S} [{color}]{plain(line.level):<7}[/] {line.function:<14} {message}")


def _summary(recent: Sequence[Run]) -> str:
    outcomes = Counter(run.outcome for run in recent)
    by_outcome = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    totals = {name: sum(run.counts.get(name, 0) for run in recent) for name in _COUNTS}
    numbers = ", ".join(f"{number:,} {name}" for name, number in totals.items())
    cost = sum(float(run.usd) for run in recent if run.usd)
    return (
        f"{many(len(recent), 'execution')}: {by_outcome}."
        + (f" Records: {numbers}." if any(run.counts for run in recent) else "")
        + (f" USD {cost:.6f}." if cost else "")
    )


def _outcome_and_key(run: Run) -> tuple[Text, str, str]:
    return Text(run.outcome, style=run.outcome.color), "  ", printable(run.key)
