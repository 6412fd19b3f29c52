"""Fields that a contract does not know: where a record has some, and the account of those that appeared."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.common.contract import Version
from functions.common.documents.chunk_counts import DriftCount
from functions.common.reject_lines import MOST_FIELDS, OTHERS


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A member of a record that its schema has no property for."""

    holder: dict[str, Any]
    """The object in the record that has it."""
    name: str
    place: str
    """The JSON Pointer of it, with `*` for the index of an element; OTHERS where its name looks like none."""
    path: tuple[str, ...] = ()
    """The members that lead to the object that has it, with `*` for the elements of an array."""
    pointer: str = ""
    """The JSON Pointer of it in this record."""


def skipped_members(skipped: Mapping[str, int], version: Version) -> Iterator[DriftCount]:
    """The account of the members of envelopes that hold no records, by their JSON Pointers."""
    counts = Counter[str]()
    for pointer, number in skipped.items():
        counts[pointer if pointer in counts or len(counts) < MOST_FIELDS else OTHERS] += number
    for pointer, number in sorted(counts.items()):
        yield DriftCount(contract_version=version.number, field=pointer, records=number, dropped=True, in_envelope=True)


@dataclass(frozen=True, slots=True)
class Drift:
    """How many records had which unknown field: by version, place, and whether it was dropped and the record kept."""

    records: Counter[tuple[int, str, bool]] = field(default_factory=Counter)

    def add(self, version: Version, found: Iterable[UnknownField], *, dropped: bool) -> None:
        """Count the unknown fields of one record, each once."""
        for place in dict.fromkeys(one.place for one in found):
            key = (version.number, place, dropped)
            if key not in self.records and len(self.records) >= MOST_FIELDS:
                key = (version.number, OTHERS, dropped)
            self.records[key] += 1

    def add_dropped(self, version: Version, places: Mapping[str, int]) -> None:
        """Count unknown fields of many records that are valid without them: how many records have each."""
        for place, records in places.items():
            key = (version.number, place, True)
            if key not in self.records and len(self.records) >= MOST_FIELDS:
                key = (version.number, OTHERS, True)
            self.records[key] += records

    def reject(self, version: Version, found: Iterable[UnknownField]) -> None:
        """Count the unknown fields of one record, which were counted as dropped, as those of a rejected one."""
        for place in dict.fromkeys(one.place for one in found):
            key = (version.number, place, True)
            self.records[key if key in self.records else (version.number, OTHERS, True)] -= 1
        self.add(version, found, dropped=False)

    def content(self) -> tuple[DriftCount, ...]:
        """The account as it is staged and published."""
        return tuple(
            DriftCount(contract_version=number, field=place, records=records, dropped=dropped)
            for (number, place, dropped), records in sorted(self.records.items())
            if records
        )
