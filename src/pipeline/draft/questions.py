"""Collects what a draft can't settle, as few numbered questions, most important first."""

from collections.abc import Iterator
from dataclasses import dataclass

from functions.common.json_pointer import pointer_of
from pipeline.console import many
from pipeline.draft.keys import scalars
from pipeline.draft.sample import Sample
from pipeline.draft.tables import DraftPlan
from pipeline.draft.types import EMPTY, Field

_FIELDS_PER_QUESTION = 20


@dataclass(frozen=True)
class Doubt:
    """A decision that the sample doesn't settle."""

    rank: int
    """Lower ranks are asked first."""
    says: str


def doubts(plan: DraftPlan, sample: Sample, others: Iterator[Doubt]) -> tuple[list[str], list[str]]:
    """Return the questions to ask, at most one for 20 fields but at least one, and the doubts that are only noted."""
    found = sorted([*_found(plan, sample), *others], key=lambda one: one.rank)
    most = max(1, plan.fields // _FIELDS_PER_QUESTION)
    says = [*dict.fromkeys(one.says for one in found)]
    return says[:most], says[most:]


def _found(plan: DraftPlan, sample: Sample) -> Iterator[Doubt]:
    if sample.place.question:
        yield Doubt(0, sample.place.question)
    if plan.key.question:
        yield Doubt(1, plan.key.question)
    elif plan.key.repeated:
        pointer = pointer_of(plan.key.paths[0])
        says = f"{pointer} repeats an earlier value in {many(plan.key.repeated, 'record')}."
        yield Doubt(2, f"{says} Such a record replaces the earlier one. Is that right?")
    for path, field in scalars(plan.record):
        if path in plan.key.paths and (lacking := sample.records - field.node.values):
            says = f"Records without {pointer_of(path)} are rejected ({lacking:,} in the sample)."
            yield Doubt(2, f"{says} Are they errors?")
    for pointer, field in places(plan.record):
        if field.breaks:
            says = f"{pointer}: records with values that are not {_what(field)} are rejected"
            yield Doubt(3, f"{says} ({field.breaks:,} of {field.node.values:,} values). Are they errors?")
        if field.question:
            yield Doubt(4, f"{pointer} {field.question}")
    if empty := [pointer for pointer, field in places(plan.record) if field.kind == EMPTY and not field.node.objects]:
        shown = ", ".join(empty[:3]) + (f" and {len(empty) - 3} more" if len(empty) > 3 else "")
        verb = "has" if len(empty) == 1 else "have"
        says = f"{shown} {verb} no value in the sample, so records with one are rejected. Can you draft from more data?"
        yield Doubt(6, says)


def _what(field: Field) -> str:
    return {"DATE": "dates", "TIMESTAMP": "times", "BOOLEAN": "true or false", "VARCHAR": "strings"}.get(
        field.type, "numbers" if field.type else f"an {field.kind}"
    )


def places(record: Field, place: str = "") -> Iterator[tuple[str, Field]]:
    """Yield every field inside a field, with its JSON Pointer, which has `*` for elements of arrays."""
    for name, one in record.members.items():
        here = f"{place}{pointer_of([name])}"
        yield here, one
        yield from places(one, here)
        if one.element:
            yield f"{here}/*", one.element
            yield from places(one.element, f"{here}/*")
