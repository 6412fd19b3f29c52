"""Counts the fields in records that a contract doesn't know."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.common.contract import Version
from functions.common.documents.chunk_counts import DriftCount
from functions.common.reject_lines import MOST_FIELDS, OTHERS


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A member of a record that its schema doesn't name."""

    holder: dict[str, Any]
    """The object in the record that has the member."""
    name: str
    place: str
    """The member's JSON Pointer, with `*` for the index of an element. OTHERS if its name may be a data value."""
    path: tuple[str, ...] = ()
    """The member names that lead to `holder`, with `*` for the elements of an array."""
    pointer: str = ""
    """The member's JSON Pointer in this record."""


def skipped_members(skipped: Mapping[str, int], version: Version) -> Iterator[DriftCount]:
    """Yield the counts of envelope members that were skipped, sorted by their JSON Pointers."""
    counts = Counter[str]()
    for pointer, number in skipped.items():
        counts[pointer if pointer in counts or len(counts) < MOST_FIELDS else OTHERS] += number
    for pointer, number in sorted(counts.items()):
        yield DriftCount(contract_version=version.number, field=pointer, records=number, dropped=True, in_envelope=True)


@dataclass(frozen=True, slots=True)
class Drift:
    """Counts records with unknown fields, by version, place, and whether the field was dropped from a valid record."""

    records: Counter[tuple[int, str, bool]] = field(default_factory=Counter)

    def add(self, version: Version, found: Iterable[UnknownField], *, dropped: bool) -> None:
        """Count the unknown fields of one record, each once."""
        self._add(version, dict.fromkeys((one.place for one in found), 1), dropped=dropped)

    def add_dropped(self, version: Version, places: Mapping[str, int]) -> None:
        """Add the number of valid records that have each unknown field."""
        self._add(version, places, dropped=True)

    def _add(self, version: Version, places: Mapping[str, int], *, dropped: bool) -> None:
        for place, records in places.items():
            key = (version.number, place, dropped)
            if key not in self.records and len(self.records) >= MOST_FIELDS:
                key = (version.number, OTHERS, dropped)
            self.records[key] += records

    def reject(self, version: Version, found: Iterable[UnknownField]) -> None:
        """Count a record's unknown fields as those of a rejected record, after `add` counted them as dropped."""
        for place in dict.fromkeys(one.place for one in found):
            key = (version.number, place, True)
            self.records[key if key in self.records else (version.number, OTHERS, True)] -= 1
        self.add(version, found, dropped=False)

    def content(self, *, keeps_unknown: bool) -> tuple[DriftCount, ...]:
        """Return the counts in the form in which they are staged and published.

        `keeps_unknown` says whether the contract keeps the unknown fields of valid records.
        """
        return tuple(
            DriftCount(
                contract_version=number, field=place, records=records, dropped=dropped, kept=dropped and keeps_unknown
            )
            for (number, place, dropped), records in sorted(self.records.items())
            if records
        )
