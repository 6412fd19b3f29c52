"""Drafts a contract from a sample: profiles the records, decides, and writes the files of the contract."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.common.config import Settings
from pipeline.draft.document import NAME, document, personal_columns
from pipeline.draft.folder import contract_files
from pipeline.draft.questions import doubts
from pipeline.draft.sample import Sample, SampleFile, read_sample
from pipeline.draft.tables import Plan, plan_tables
from pipeline.draft.types import EMPTY, decide_record
from pipeline.errors import CliError


@dataclass(frozen=True)
class Draft:
    """A drafted contract."""

    sample: Sample
    plan: Plan
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


def draft_contract(
    files: Sequence[SampleFile],
    ignored: Sequence[str],
    dataset: str,
    settings: Settings,
    on_read: Callable[[int], object],
) -> Draft:
    """Return the contract that a sample suggests. Raises CliError if its records can't become tables."""
    sample = read_sample(files, ignored, settings, on_read)
    envelope = sample.place.pointer.split("/")[1] if sample.place.pointer else ""
    record = decide_record(sample.root, envelope)
    if all(member.kind == EMPTY for member in record.members.values()):
        raise CliError(
            "The records have no field with a value, so there is nothing to make a table of.",
            "Name a sample in which some fields have values.",
        )
    plan = plan_tables(record, dataset)
    questions, notes = doubts(plan, sample, iter(()))
    given: dict[str, Any] = {}
    if sample.place.pointer:
        given["records"] = sample.place.pointer
    if sample.format:
        given["format"] = sample.format
    made = contract_files(plan, given)
    return Draft(sample, plan, {**made, NAME: document(plan, sample, questions, notes, ())}, questions, notes)
