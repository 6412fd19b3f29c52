"""Prints a draft and its trial: tables, counts, rejects, open questions, and what to do next."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from functions.common.contract import EXTRA, LINEAGE
from pipeline.console import many, out, plain
from pipeline.draft.document import NAME
from pipeline.draft.drafting import Draft
from pipeline.draft.trial import Trial
from pipeline.run import show as show_run

_HIDDEN = frozenset({EXTRA.name, *(column.name for column in LINEAGE)})
"""The columns that the pipeline adds to the tables."""


def trial(draft: Draft, tried: Trial, folder: Path) -> None:
    """Print the tables of a trial, its counts and its rejects."""
    if tried.rows:
        out.print()
        show_run.tables(folder, [table.name for table in draft.plan.tables], _HIDDEN)
    counts(tried)


def counts(tried: Trial) -> None:
    """Print the counts of a trial and its rejects."""
    counted = [f"{many(number, 'row')} in {name}" for name, number in tried.rows.items()]
    out.print(f"[bold]{escape(', '.join(counted) or 'No rows')}[/bold]")
    out.print(
        f"  received {tried.received:,} = published {tried.published:,} + rejected {tried.rejected:,} "
        f"+ superseded {tried.superseded:,}"
    )
    for reason, number in tried.by_reason.items():
        out.print(f"\n[bold]{escape(reason)}[/bold]: {many(number, 'record')}")
        for message in tried.examples[reason]:
            out.print(f"  {plain(message)}")
    for name, error, cause in tried.failures:
        out.print(f"\n[bold red]{plain(name)} would fail[/bold red]: {escape(error)}")
        out.print(f"  {plain(cause)}")


def questions(draft: Draft) -> None:
    """Print the open questions, and the columns that look like personal data."""
    if draft.questions:
        out.print("\n[bold]Questions[/bold]")
        for number, question in enumerate(draft.questions, 1):
            out.print(f"  {number}. {plain(question)}")
    if draft.personal:
        out.print(f"\n[bold]Looks like personal data[/bold]: {plain(', '.join(draft.personal))}")


def next_steps(steps: Sequence[tuple[str, str]]) -> None:
    """Print commands, each with what it does."""
    out.print("\n[bold]Next[/bold]")
    for what, command in steps:
        out.print(f"  {escape(what)}:")
        out.print(f"    {escape(command)}")


def written(draft: Draft, folder: Path) -> None:
    """Print what a draft has, and where it is."""
    for table in draft.plan.tables:
        out.print(f"  {table.name}: {many(len(table.columns), 'column')}, key {', '.join(table.key)}")
    out.print(f"The contract is in {escape(str(folder))}/; {NAME} says what was decided, and why.")
