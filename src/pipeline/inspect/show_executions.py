"""What `status`, `logs` and `watch` print: a table where there is room; else two lines a run, which nothing cuts."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from functions.common.batch import printable
from pipeline.console import grid, many, out, plain
from pipeline.deploy.targets import for_target
from pipeline.inspect.executions import Run
from pipeline.inspect.logs import LogLine
from pipeline.inspect.watch import Look

COLORS = {
    "published": "green",
    "partly rejected": "yellow",
    "failed": "red",
    "lost": "red",
    "gone": "dim",
    "stuck": "red",
    "waiting": "red",
    "running": "cyan",
    "not started": "yellow",
    "ignored": "dim",
    "unknown": "yellow",
}
"""Of outcomes, each of which is also said in words."""

_TABLE_WIDTH = 170


def runs(recent: Sequence[Run], waiting: int, target_name: str = "aws") -> None:
    """Executions of a target, newest first, with a summary; `waiting` events are in the on-failure queue."""
    if out.width >= _TABLE_WIDTH:
        out.print(table("Executions, newest first", recent))
    else:
        for run in recent:
            for line in lines(run):
                out.print(line)
    out.print(_summary(recent))
    if waiting:
        redrive = for_target("pipeline redrive", target_name)
        out.print(f"[red]About {many(waiting, 'event')} in the on-failure queue:[/red] {redrive} shows why.")


def table(title: str, shown: Sequence[Run]) -> Table:
    """A row a run."""
    made = grid(title)
    for name in ("started (UTC)", "outcome", "file"):
        made.add_column(name, no_wrap=name != "file", overflow="fold")
    for name in ("received", "published", "rejected", "seconds", "USD"):
        made.add_column(name, no_wrap=True, justify="right")
    made.add_column("batch or replay", no_wrap=True)
    for run in shown:
        file = Text(printable(run.key.removeprefix("incoming/")))
        outcome = Text.assemble(_outcome(run.outcome), f"\n{printable(run.error)}" if run.error else "")
        numbers = [f"{run.counts[name]:,}" if run.counts else "" for name in ("received", "published", "rejected")]
        made.add_row(_time(run.started), outcome, file, *numbers, f"{run.seconds:,.1f}", run.usd, run.name)
    return made


def lines(run: Run) -> list[Text]:
    """A run in two lines: when, how and which; then the numbers."""
    first = Text.assemble(_time(run.started), "  ", _outcome(run.outcome), "  ", printable(run.key))
    counts = [f"{name} {run.counts[name]:,}" for name in ("received", "published", "rejected") if run.counts]
    parts = [run.name, *counts, f"{run.seconds:,.1f} s", f"USD {run.usd}" if run.usd else "", printable(run.error)]
    return [first, Text("  " + "  ".join(filter(None, parts)))]


def one_line(run: Run) -> None:
    """A run in one line, for files and pipes."""
    out.print(Text("  ").join(line for line in lines(run)))


def live(look: Look) -> RenderableType:
    """The picture of `watch`: what runs, with the state that it is in, and of what has ended as much as has room."""
    running = many(len(look.running), "execution")
    parts = [Text.assemble((f"{running} running", "bold"), (f"  {datetime.now(UTC):%H:%M:%S} UTC, Ctrl-C ends", "dim"))]
    if look.waiting:
        parts.append(
            Text(f"About {many(look.waiting, 'event')} in the on-failure queue: pipeline redrive", style="red")
        )
    for run, state in look.running:
        where = f"{printable(state) or 'starting'}, {run.seconds:,.0f} s"
        parts.append(Text.assemble("  ", _outcome(run.outcome), "  ", printable(run.key), "  ", (where, "cyan")))
    if look.ended:
        parts.append(Text("Ended", style="bold"))
    for run in look.ended:
        parts += [Text.assemble("  ", line) for line in lines(run)]
    return Group(*parts[: max(4, out.height - 1)])


def log_line(line: LogLine) -> None:
    """A line of a function's log."""
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items())
    color = {"ERROR": "red", "WARNING": "yellow"}.get(line.level, "default")
    said = plain(f"{line.message} {fields}")
    out.print(f"{line.time:%H:%M:%S} [{color}]{plain(line.level):<7}[/] {line.function:<14} {said}")


def _summary(recent: Sequence[Run]) -> str:
    outcomes = Counter(run.outcome for run in recent)
    said = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    totals = Counter[str]()
    for run in recent:
        totals.update(run.counts)
    numbers = ", ".join(f"{totals[name]:,} {name}" for name in ("received", "published", "rejected") if totals)
    cost = sum(float(run.usd) for run in recent if run.usd)
    return (
        f"{many(len(recent), 'execution')}: {said}."
        + (f" Records: {numbers}." if numbers else "")
        + (f" USD {cost:.6f}." if cost else "")
    )


def _outcome(name: str) -> Text:
    return Text(name, style=COLORS.get(name, ""))


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
