"""What the CLI prints: progress, tables, the balance, errors. Progress and errors go to stderr."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from functions.common.batch import printable
from pipeline.errors import CliError
from pipeline.runs import Outcome

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
if not out.is_terminal:
    out.width = 160  # a file or a pipe has no width; narrower than this the tables lose their columns

T = TypeVar("T")

_FIRST_ROWS = 3
_WIDEST_CELL = 22
_NARROWEST_COLUMN = 12


def plain(text: str) -> str:
    """A text from outside, such as a key, that can't steer the terminal: no markup and no control characters."""
    return escape(printable(text))


def plain_lines(text: str) -> str:
    """The same of a text whose line breaks are meant."""
    return "\n".join(map(plain, text.splitlines()))


@contextmanager
def counting(text: str) -> Iterator[Callable[[T], T]]:
    """Show on a terminal how many things went through the function that is given; `text` has {} for the number."""
    with Progress(TextColumn("[dim]·[/dim] {task.description}"), console=err, transient=True) as progress:
        task = progress.add_task(text.format(0), total=None)
        number = 0

        def advance(thing: T) -> T:
            nonlocal number
            number += 1
            progress.update(task, description=text.format(number))
            return thing

        yield advance


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """A file that is open to be sent; on a terminal with a bar of how much of it was."""
    columns = (TextColumn("[dim]·[/dim] uploading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    with bar as progress, progress.open(path, "rb") as file:
        yield file


def step(text: str) -> None:
    """A line of progress."""
    err.print(f"[dim]·[/dim] {escape(text)}")


def ask(question: str) -> str:
    """What somebody at the terminal answers."""
    return err.input(f"{escape(question)}: ").strip()


def error(problem: CliError) -> None:
    """What could not be done, and what to do next."""
    err.print(f"[bold red]error:[/bold red] {plain_lines(str(problem))}")
    if problem.next_step:
        err.print(f"[bold]next:[/bold]  {plain_lines(problem.next_step)}")


def outcome(result: Outcome) -> None:
    """How a run ended, for a person; the line for machines is printed separately."""
    if result.manifest is None or not result.published:
        out.print(f"\n[bold red]FAILED[/bold red] after {result.seconds:.1f} s: {plain(result.error)}")
        out.print(f"  {plain_lines(result.cause)}")
        if result.failure:
            out.print(f"  [bold]next:[/bold] {plain(result.failure['next_step'])}")
        return
    out.print(f"\n[bold green]PUBLISHED[/bold green] after {result.seconds:.1f} s")
    balance(result.manifest)


def balance(manifest: Mapping[str, Any]) -> None:
    """The account of every record, as two sums that must add up, and the control totals."""
    counts = manifest["counts"]
    out.print("\n[bold]Balance[/bold]")
    out.print(f"  received {counts['received']} = valid {counts['valid']} + rejected {counts['rejected']}")
    out.print(f"  valid {counts['valid']} = published {counts['published']} + superseded {counts['superseded']}")
    n_bytes = manifest.get("bytes", {})  # a manifest of an earlier release has none
    if n_bytes.get("unreadable"):
        share = n_bytes["unreadable"] / n_bytes["received"]
        out.print(f"  {n_bytes['unreadable']} of {n_bytes['received']} bytes could not be read as records: {share:.2%}")
    for version, numbers in manifest.get("records_by_version", {}).items():
        out.print(f"  version {plain(version)}: valid {numbers['valid']}, rejected {numbers['rejected']}")
    for name, total in manifest["control_totals"].items():
        sides = f"validated {total['validated']} − superseded {total['superseded']} = published {total['published']}"
        out.print(f"  {escape(name)}: {sides}")
    drift(manifest)


def drift(manifest: Mapping[str, Any]) -> None:
    """The fields that the contract does not know, and how many records had them."""
    found = manifest.get("drift", [])  # a manifest of an earlier release has none
    if found:
        out.print("\n[bold]Drift[/bold]: fields that the contract does not know")
    for one in found:
        field = plain(one["field"]) or "others"
        what = "dropped" if one["dropped"] else "their records rejected"
        out.print(f"  {field}: {one['records']} records of version {one['contract_version']}, {what}")


def tables(folder: Path, names: Iterable[str]) -> None:
    """The first rows of each published table, from its CSV."""
    for name in names:
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            header = next(rows)
            _table(f"{name}.csv", header, list(islice(rows, _FIRST_ROWS)))


def grid(title: str) -> Table:
    """An empty table in the style of the CLI."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of as many columns as the terminal has room for; the others are named below it."""
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
    """The first reject of a file of rejects, with its reasons."""
    with path.open(encoding="utf-8") as lines:
        reject = json.loads(next(lines))
    out.print(f"\n[bold]A reject[/bold] (all are in {escape(path.name)})")
    out.print(f"  {reject['reason']}, at {reject['position_kind']} {reject['position']}")
    for reason in reject["errors"][:3]:
        out.print(f"  {escape(reason['message'])}")


def is_interactive() -> bool:
    """Whether somebody is looking."""
    return out.is_terminal and "CI" not in os.environ
