"""What the CLI prints with: progress, questions, tables, errors. Progress and errors go to stderr."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from functions.common.batch import printable
from pipeline.errors import CliError

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
if not out.is_terminal:
    out.width = 160  # a file or a pipe has no width; narrower than this the tables lose their columns

T = TypeVar("T")


def plain(text: str) -> str:
    """A text from outside, such as a key, that can't steer the terminal: no markup and no control characters."""
    return escape(printable(text))


def plain_lines(text: str) -> str:
    """The same of a text whose line breaks are meant."""
    return "\n".join(map(plain, text.splitlines()))


def many(number: int, one: str, more: str = "") -> str:
    """A number with its noun: 1 record, 1,000 records, 2 batches."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


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


def grid(title: str) -> Table:
    """An empty table in the style of the CLI."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def is_interactive() -> bool:
    """Whether somebody is looking."""
    return out.is_terminal and "CI" not in os.environ
