"""Prints rejects for `rejects` and `explain`, as plain lines that are never shortened for a terminal."""

import json
from typing import Any

from functions.common.batch_state import BatchState, state_words
from functions.common.reject_codes import SUPERSEDED
from pipeline.console import many, out, plain
from pipeline.inspect.batch_history.model import BatchRejects, Reject, RejectGroup, Rejects

_PLACES = {"byte": "at byte", "index": "record"}
_MAX_RECORD = 2000
_MAX_PROBLEMS = 5


def of_batch(found: BatchRejects) -> None:
    """Print the rejects of a batch by rule and place, most frequent first, with samples, or why there are none."""
    rejects = found.rejects
    if rejects is None:
        is_published, state = found.state == BatchState.PUBLISHED, state_words(found.state)
        why = "no record was rejected" if is_published else f"it has no file of rejects, and is {state}"
        out.print(f"{found.batch_id}: {why}.")
        if found.error:
            out.print(f"  {plain(found.error)}: {plain(found.cause)}")
        return
    out.print(f"[bold]{many(rejects.read, 'reject')}[/bold] of {found.batch_id}")
    groups(rejects)
    if rejects.masked and any(group.samples for group in rejects.groups):
        out.print("[dim]Values are hidden, since they may be personal data. To show them, use --show-values.[/dim]")


def groups(found: Rejects) -> None:
    """Print groups of rejects with all of their samples."""
    if found.is_missing:
        out.print("  The file of rejects no longer exists. Rejects may expire before tables.")
    if not found.is_whole:
        out.print(f"  The first {found.read:,} of these (pipeline rejects reads all of them):")
    for group in found.groups:
        _group(group)
    if found.ungrouped:
        out.print(f"  … and {found.ungrouped:,} more rejects that violate rules at other places")


def _group(group: RejectGroup) -> None:
    where = f" at {plain(group.pointer)}" if group.pointer else ""
    rule = f", rule {plain(group.rule)}" if group.rule else ""
    color = "dim" if group.reason == SUPERSEDED else "yellow"
    out.print(f"  [{color}]{group.count:,} × {plain(group.reason)}[/]{where}{rule}")
    more = ", …" if group.count > len(group.places) else ""
    places = ", ".join(f"{place:,}" for place in group.places)
    out.print(f"    {_PLACES.get(group.position_kind, plain(group.position_kind))} {places}{more}")
    for sample in group.samples:
        _sample(sample)
    if not group.samples:
        out.print(f"    {plain(group.message)}")


def _sample(sample: Reject) -> None:
    for problem in sample.problems[:_MAX_PROBLEMS]:
        out.print(f"    • {plain(problem.message)}")
    if len(sample.problems) > _MAX_PROBLEMS:
        out.print(f"    • and {len(sample.problems) - _MAX_PROBLEMS} more")
    out.print(f"      [dim]{plain(_record(sample))}[/dim]")


def _record(sample: Reject) -> str:
    content: Any = sample.record if sample.raw is None else sample.raw
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return text if len(text) <= _MAX_RECORD else f"{text[:_MAX_RECORD]} … ({len(text):,} characters)"
