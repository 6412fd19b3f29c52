"""Prints progress, questions, tables and errors of the CLI. Progress and errors go to stderr."""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import open as open_with_progress
from rich.progress import track
from rich.table import Table

from functions.common.batch import printable
from pipeline.errors import CliError

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
if not out.is_terminal:
    out.width = 160  # files and pipes have no width; narrower tables lose columns

T = TypeVar("T")


def plain(text: str) -> str:
    """An untrusted string, such as a key, without markup and control characters, so it can't steer the terminal."""
    return escape(printable(text))


def plain_lines(text: str) -> str:
    """The same for a string whose line breaks are intended."""
    return "\n".join(map(plain, text.splitlines()))


def many(number: int, one: str, more: str = "") -> str:
    """A number with its noun: 1 record, 1,000 records, 2 batches."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def tracked(things: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The same items, with progress on a terminal while they are consumed."""
    return track(
        things,
        f"[dim]·[/dim] {escape(what)}",
        total,
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def reading(path: Path) -> AbstractContextManager[BinaryIO]:
    """A file open for upload, with progress on a terminal."""
    return open_with_progress(
        path, "rb", description="[dim]·[/dim] uploading", console=err, transient=True, disable=not err.is_terminal
    )


def step(text: str) -> None:
    """Print a line of progress."""
    err.print(f"[dim]·[/dim] {escape(text)}")


def ask(question: str) -> str:
    """What the user types."""
    return err.input(f"{escape(question)}: ").strip()


def error(problem: CliError) -> None:
    """Print an error, and what to do next."""
    err.print(f"[bold red]error:[/bold red] {plain_lines(str(problem))}")
    if problem.next_step:
        err.print(f"[bold]next:[/bold]  {plain_lines(problem.next_step)}")


def grid(title: str) -> Table:
    """An empty table in the style of the CLI."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def is_interactive() -> bool:
    """Whether a person reads the output."""
    return out.is_terminal and "CI" not in os.environ
