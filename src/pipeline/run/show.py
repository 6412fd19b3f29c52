"""Prints the outcome of a run, the first rows of each table and one reject."""

import csv
import json
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

from rich.markup import escape

from functions.common.reject_codes import SUPERSEDED
from pipeline.console import grid, out, plain, plain_lines
from pipeline.console.balance import balance
from pipeline.run.runs import RunResult

_FIRST_ROWS = 3
_WIDEST_CELL = 22
_NARROWEST_COLUMN = 12


def outcome(result: RunResult) -> None:
    """Print the outcome of a run for people. The line for scripts is printed separately."""
    if result.manifest is None or not result.published:
        out.print(f"\n[bold red]FAILED[/bold red] after {result.seconds:.1f} s: {plain(result.error)}")
        out.print(f"  {plain_lines(result.cause)}")
        if result.failure:
            out.print(f"  [bold]next:[/bold] {plain(result.failure.next_step)}")
        return
    out.print(f"\n[bold green]PUBLISHED[/bold green] after {result.seconds:.1f} s")
    balance(result.manifest)


def tables(folder: Path, names: Iterable[str], hidden: Collection[str] = ()) -> None:
    """Print the first rows of each table from its CSV file in `folder`, without the `hidden` columns."""
    for name in names:
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            header = next(rows)
            shown = [at for at, column in enumerate(header) if column not in hidden]
            first = [[row[at] for at in shown] for row in islice(rows, _FIRST_ROWS)]
            _table(f"{name}.csv", [header[at] for at in shown], first)


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with the columns that fit on the terminal, and list the names of the other columns."""
    table = grid(title)
    fits = max(3, out.width // (_NARROWEST_COLUMN + 3))
    for name in header[:fits]:
        table.add_column(escape(name), no_wrap=True, overflow="ellipsis", max_width=_WIDEST_CELL)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row[:fits]))
    out.print(table)
    if len(header) > fits:
        out.print(f"  [dim]and {', '.join(header[fits:])}[/dim]\n")


def first_reject(path: Path) -> None:
    """Print the first rejected record of a file with its reasons, or the first superseded one if none was rejected."""
    with path.open(encoding="utf-8") as lines:
        rejects = map(json.loads, lines)
        first = next(rejects)
        reject = next((one for one in chain([first], rejects) if one["reason"] != SUPERSEDED), first)
    what = "superseded" if reject["reason"] == SUPERSEDED else "rejected"
    out.print(f"\n[bold]A {what} record[/bold] (all are in {escape(path.name)})")
    out.print(f"  {reject['reason']}, at {reject['position_kind']} {reject['position']}")
    for reason in reject["errors"][:3]:
        out.print(f"  {escape(reason['message'])}")
