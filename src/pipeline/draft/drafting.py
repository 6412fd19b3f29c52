"""Drafts a contract from a sample: profiles the records, decides, and writes the files of the contract."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.common.config import Settings
from functions.common.json_pointer import pointer_of
from pipeline.draft.discriminator import discriminator
from pipeline.draft.document import NAME, document, personal_columns, proposals
from pipeline.draft.folder import contract_files
from pipeline.draft.keys import Key, choose_key, possible_pairs, unique_pair
from pipeline.draft.profile import MOST_MEMBERS
from pipeline.draft.questions import Doubt, doubts
from pipeline.draft.sample import Sample, again
from pipeline.draft.tables import DraftPlan, plan_tables
from pipeline.draft.totals import Total, confirmed, suggested
from pipeline.draft.types import EMPTY, Field, decide_record
from pipeline.errors import CliError


@dataclass(frozen=True)
class Draft:
    """A drafted contract."""

    sample: Sample
    plan: DraftPlan
    files: Mapping[str, str]
    """The files of the contract's folder by name, with DRAFT.md."""
    questions: Sequence[str]
    notes: Sequence[str]

    @property
    def dataset(self) -> str:
        return self.plan.dataset

    @property
    def personal(self) -> list[str]:
        """The columns that look like personal data."""
        return personal_columns(self.plan)


def draft_of(sample: Sample, dataset: str, settings: Settings, *, is_cautious: bool = False) -> Draft:
    """Return the contract for a sample that was read.

    If `is_cautious`, the contract claims less: its only key is the position and content of each record.
    """
    envelope = sample.place.pointer.split("/")[1] if sample.place.pointer else ""
    record = decide_record(sample.root, envelope)
    if sample.root.is_map and not record.members:
        raise CliError(
            f"The records have more than {MOST_MEMBERS} different fields, each in few records: their names are data.",
            'Send the data as values, for example as {"name": ..., "value": ...} in an array.',
        )
    if all(member.kind == EMPTY for member in record.members.values()):
        raise CliError(
            "The records have no field with a value, so there is nothing to make a table of.",
            "Name a sample in which some fields have values.",
        )
    plan = plan_tables(record, dataset, _key(sample, record, dataset, settings, is_cautious), is_cautious=is_cautious)
    totals = _totals(sample, record, settings)
    questions, notes = doubts(plan, sample, _proposed(sample, totals))
    files = contract_files(plan, _input(sample), totals)
    text = document(plan, sample, questions, notes, proposals(totals, plan))
    return Draft(sample, plan, {**files, NAME: text}, questions, notes)


def _input(sample: Sample) -> dict[str, Any]:
    """Return the members of the contract's `input` that the sample decides."""
    given: dict[str, Any] = {}
    if sample.place.pointer:
        given["records"] = sample.place.pointer
    if sample.format:
        given["format"] = sample.format
    if sample.sidecars:
        given["ignore"] = list(sample.sidecars)
    return given


def _key(sample: Sample, record: Field, dataset: str, settings: Settings, is_cautious: bool) -> Key:
    if is_cautious:
        why = "other keys don't hold for all records, so the key is made of each record's position and content"
        return Key((), why)
    key = choose_key(record, dataset)
    if not key.paths and (pairs := possible_pairs(record)):
        return unique_pair(pairs, again(sample, settings)) or key
    return key


def _totals(sample: Sample, record: Field, settings: Settings) -> list[Total]:
    """Return the totals that hold in all records of the sample."""
    totals = suggested(record, sample.first)
    return confirmed(totals, again(sample, settings)) if totals and sample.records > len(sample.first) else totals


def _proposed(sample: Sample, totals: Sequence[Total]) -> Iterator[Doubt]:
    if found := discriminator(sample.root):
        name, number, fields = found
        shown = ", ".join(pointer_of([one]) for one in fields[:3])
        yield Doubt(
            2,
            f"{pointer_of([name])} has {number} values, and {shown} occur only with some of them. Are these {number} "
            "kinds of records? The draft has one table with the columns of all kinds.",
        )
    for total in totals:
        says = f"{pointer_of([total.field])} equals {total.says} in all records. Should it be a rule?"
        yield Doubt(5, f"{says} {NAME} has it.")
