"""What the commands that mend print: plain lines, which neither a narrow terminal nor a pipe cuts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from functions.common.batch_state import BatchState, Finding
from pipeline.console import many, out, plain
from pipeline.recover.outputs import Checked
from pipeline.recover.restarts import Start

SHOWN = 50
"""How many of a kind are shown at most."""


def starts(wanted: Sequence[Start], others: Sequence[Start]) -> None:
    """The executions that are to be started, and why others are not, by reason."""
    for start in wanted[:SHOWN]:
        out.print(f"{start.name}\n  {start.reason}: {plain(start.key)}")
    if len(wanted) > SHOWN:
        out.print(f"… and {len(wanted) - SHOWN} more")
    for reason, number in sorted(Counter(start.reason for start in others).items()):
        out.print(f"Not started: {many(number, 'batch', 'batches')}, {plain(reason)}")


def findings(found: Sequence[Finding], failed: Sequence[Mapping[str, Any]]) -> None:
    """How many files are what, those that are not as they should be, and failures that nobody was told of."""
    counts = Counter(one.state for one in found)
    out.print(f"{many(len(found), 'file')}: " + ", ".join(f"{counts[state]} {state}" for state in BatchState))
    cases = [one for one in found if one.state not in (BatchState.PUBLISHED, BatchState.RUNNING)]
    for one in cases[:SHOWN]:
        out.print(f"{one.state}: {one.batch_id}\n  {plain(one.version.key if one.version else '')}")
    if len(cases) > SHOWN:
        out.print(f"… and {len(cases) - SHOWN} more")
    for execution in failed[:SHOWN]:
        out.print(f"nobody was told of the failed execution {execution['name']}")
    if len(failed) > SHOWN:
        out.print(f"… and of {len(failed) - SHOWN} more")


def checked_outputs(checked: Sequence[Checked]) -> None:
    """Orphans by batch; damages each, since each is a loss."""
    for one in [one for one in checked if one.orphans][:SHOWN]:
        kept = f"; kept, since {one.kept}" if one.kept else ""
        for key in one.orphans:
            out.print(f"orphan: {plain(key)} (no manifest names it{kept})")
    for one in checked:
        for key in one.missing:
            out.print(f"damaged: {plain(key)} (the manifest of {one.batch_id} names it; gone or changed)")
