"""Prints the results of recovery commands, as plain lines that are never shortened for a terminal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from functions.common.batch_state import BatchState, Finding, state_words
from pipeline.console import many, out, plain
from pipeline.recover.outputs import Checked
from pipeline.recover.restarts import Start

SHOWN = 50
"""The maximum number of lines of each kind."""


def starts(wanted: Sequence[Start], others: Iterable[Start]) -> None:
    """Print the executions to start, and by reason, the number of batches that are not started."""
    _print_first([f"{start.name}\n  {start.reason}: {plain(start.key)}" for start in wanted])
    for reason, number in sorted(Counter(start.reason for start in others).items()):
        out.print(f"Not started: {many(number, 'batch', 'batches')}, {plain(reason)}")


def findings(found: Sequence[Finding], failed: Sequence[Mapping[str, Any]]) -> None:
    """Print the number of files in each state, the files that need attention, and failures without a notification."""
    counts = Counter(one.state for one in found)
    numbers = ", ".join(f"{counts[state]} {state_words(state)}" for state in BatchState)
    out.print(f"{many(len(found), 'file')}: {numbers}")
    cases = [one for one in found if one.state not in (BatchState.PUBLISHED, BatchState.RUNNING)]
    keys = [plain(one.version.key if one.version else "") for one in cases]
    _print_first([f"{state_words(one.state)}: {one.batch_id}\n  {key}" for one, key in zip(cases, keys, strict=True)])
    _print_first([f"no notification was sent of the failed execution {execution['name']}" for execution in failed])


def checked_outputs(checked: Sequence[Checked]) -> None:
    """Print the orphans of up to `SHOWN` batches, then every damaged output, because each one means lost data."""
    for one in [one for one in checked if one.orphans][:SHOWN]:
        kept = f"; kept because {one.kept}" if one.kept else ""
        for key in one.orphans:
            out.print(f"orphan: {plain(key)} (no manifest names it{kept})")
    for one in checked:
        for key in one.missing:
            out.print(f"damaged: {plain(key)} (named in the manifest of {one.batch_id}; deleted or changed)")


def _print_first(lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        out.print(line)
    if len(lines) > SHOWN:
        out.print(f"… and {len(lines) - SHOWN} more")
