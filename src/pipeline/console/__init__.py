"""Prints progress, prompts, tables and errors of the CLI. Progress and errors go to stderr."""

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
    out.width = 160  # files and pipes have no width; in a narrower table, columns are lost

T = TypeVar("T")


def plain(text: str) -> str:
    """Escape markup and replace unprintable characters in an untrusted string, such as a key. Protects the terminal."""
    return escape(printable(text))


def plain_lines(text: str) -> str:
    """Escape markup and replace unprintable characters in an untrusted string, except for line breaks."""
    return "\n".join(map(plain, text.splitlines()))


def many(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun, such as `1 record`, `1,000 records` or `2 batches`."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def tracked(things: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Return the same items. While they are consumed, a terminal shows progress."""
    return track(
        things,
        f"[dim]·[/dim] {escape(what)}",
        total,
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def reading(path: Path) -> AbstractContextManager[BinaryIO]:
    """Open a file for upload. While the file is read, a terminal shows progress."""
    return open_with_progress(
        path, "rb", description="[dim]·[/dim] uploading", console=err, transient=True, disable=not err.is_terminal
    )


def step(text: str) -> None:
    """Print a line of progress."""
    err.print(f"[dim]·[/dim] {escape(text)}")


def ask(question: str) -> str:
    """Ask the user a question and return the response."""
    return err.input(f"{escape(question)}: ").strip()


def error(problem: CliError) -> None:
    """Print an error and its next step."""
    err.print(f"[bold red]error:[/bold red] {plain_lines(str(problem))}")
    if problem.next_step:
        err.print(f"[bold]next:[/bold]  {plain_lines(problem.next_step)}")


def grid(title: str) -> Table:
    """Return an empty table in the style of the CLI."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def is_interactive() -> bool:
    """Return whether the output goes to a terminal outside of CI."""
    return out.is_terminal and "CI" not in os.environ
