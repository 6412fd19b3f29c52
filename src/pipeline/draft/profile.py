"""Profiles the records of a sample in one pass: a tree of fields with counts, ranges and classes of their values.

Values are processed by field, many records at a time, because that is several times faster than record by record. The
size of a profile depends on the number of fields and not on the number of records.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from pipeline.draft.names import is_id_like, is_tag_like
from pipeline.draft.strings import StringCounts

MOST_MEMBERS = 500
"""The most names of an object's members that are profiled. An object with more is a map, or has data as names."""

_MOST_LEVELS = 40
_MOST_TRACKED = 200_000
"""The number of values up to which a field's distinct values are counted exactly."""

_TRACKED_IDS = 1_000_000
"""The same for a field that is named like an identifier."""

_LONGEST_KEY = 256
_MOST_ELEMENT_IDS = 4
_MOST_VARIANTS = 300
_MISSING = object()
_ENCODE = msgspec.json.Encoder(enc_hook=str, order="deterministic").encode


class Number(str):
    """A JSON number with a point or an exponent, with its digits as written."""

    __slots__ = ()


DECODER = msgspec.json.Decoder(float_hook=Number)
"""Decodes records. Numbers with a point or an exponent become `Number`."""


class Distinct:
    """Counts the repeated values of a field, as long as they are few. The values are kept as hashes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[int] | None = set()
        self.seen = 0
        self.repeated = 0
        """The number of values that occurred before, among the `seen` ones."""

    def add(self, values: Sequence[Any]) -> None:
        if self._seen is None:
            return
        before = len(self._seen)
        self._seen.update(map(hash, values))
        self.seen += len(values)
        self.repeated += len(values) - (len(self._seen) - before)
        is_repetitive = self.seen > 1000 and self.repeated * 2 > self.seen
        if len(self._seen) > self._limit or is_repetitive:
            self._seen = None

    @property
    def share(self) -> float:
        """The share of values that occurred for the first time."""
        return 1 - self.repeated / self.seen if self.seen else 0.0


class Node:
    """The profile of one field: all values that were found at one place of the records."""

    def __init__(self, name: str = "", level: int = 0, *, in_array: bool = False) -> None:
        self.name = name
        self.level = level
        self.in_array = in_array
        """Whether the field is inside an array, so that a record can have several values of it."""
        self.count = 0
        """The number of values, including null."""
        self.nulls = self.booleans = self.integers = self.decimals = self.string_count = self.arrays = self.objects = 0
        self.least = self.most = 0
        self.whole_digits = self.scale = self.digits = 0
        self.has_exponent = False
        self.strings = StringCounts()
        self.distinct: Distinct | None = None
        self.whole: Distinct | None = None
        """For objects with an identifier outside of arrays: their distinct contents."""
        self.members: dict[str, Node] = {}
        self.is_map = False
        """Whether there were too many member names to profile them."""
        self.element: Node | None = None
        self.empty = 0
        """The number of empty arrays and objects."""
        self.shortest = self.longest = 0
        self.several = 0
        """The number of arrays with several elements."""
        self.variants: dict[str, Counter[tuple[Any, tuple[str, ...]]]] = {}
        """For records: by the name of a member that may say what kind of record it is, its values, each with the
        members of records that have it."""
        self.element_ids: dict[str, bool] | None = None
        """For the elements of an array: by identifier-like name, whether its values are unique in each array."""
        if not in_array and name:
            self.distinct = Distinct(_TRACKED_IDS if is_id_like(name) else _MOST_TRACKED)

    @property
    def values(self) -> int:
        """The number of values that are not null."""
        return self.count - self.nulls

    @property
    def kinds(self) -> dict[str, int]:
        """The number of values of each JSON type but null. Integers count as numbers if both occur."""
        found = {
            "boolean": self.booleans,
            "integer": self.integers,
            "number": self.decimals,
            "string": self.string_count,
            "array": self.arrays,
            "object": self.objects,
        }
        if self.decimals and self.integers:
            found["number"] += found.pop("integer")
        return {kind: number for kind, number in found.items() if number}

    def add(self, values: Sequence[Any]) -> None:
        """Profile more values of this field."""
        self.count += len(values)
        found = Counter(map(type, values))
        for kind, number in found.items():
            same = values if len(found) == 1 else [value for value in values if type(value) is kind]
            _ADD[kind](self, same, number)

    def _add_null(self, _values: Sequence[None], number: int) -> None:
        self.nulls += number

    def _add_booleans(self, _values: Sequence[bool], number: int) -> None:
        self.booleans += number

    def _add_integers(self, values: Sequence[int], number: int) -> None:
        least, most = min(values), max(values)
        self.least, self.most = (min(self.least, least), max(self.most, most)) if self.integers else (least, most)
        self.integers += number
        if self.distinct:
            self.distinct.add(values)

    def _add_numbers(self, values: Sequence[Number], number: int) -> None:
        self.decimals += number
        if self.has_exponent or self.scale > MOST_SCALE:
            return
        for text in set(values):
            whole, _, decimals = text.lstrip("-").partition(".")
            if "e" in text or "E" in text:
                self.has_exponent = True
                return
            self.whole_digits = max(self.whole_digits, len(whole))
            kept = decimals.rstrip("0")
            self.scale = max(self.scale, len(kept), min(len(decimals), 2))
            self.digits = max(self.digits, len(whole.lstrip("0")) + len(kept))

    def _add_strings(self, values: Sequence[str], number: int) -> None:
        self.string_count += number
        self.strings.add(values)
        if self.distinct:
            if self.strings.longest > _LONGEST_KEY:
                self.distinct = None
            else:
                self.distinct.add(values)

    def _add_arrays(self, values: Sequence[list[Any]], number: int) -> None:
        lengths = [*map(len, values)]
        shortest, longest = min(lengths), max(lengths)
        self.shortest = min(self.shortest, shortest) if self.arrays else shortest
        self.longest = max(self.longest, longest)
        self.arrays += number
        self.empty += lengths.count(0)
        self.several += number - lengths.count(0) - lengths.count(1)
        if longest and self.level < _MOST_LEVELS:
            self.element = self.element or Node(self.name, self.level + 1, in_array=True)
            self.element.add([*chain.from_iterable(values)])
            if self.element.objects:
                self._compare_ids(values)

    def _compare_ids(self, arrays: Sequence[list[Any]]) -> None:
        """Find out which identifiers of elements are unique within each array."""
        assert self.element
        if self.element_ids is None:
            names = [name for name in self.element.members if is_id_like(name)]
            self.element_ids = dict.fromkeys(names[:_MOST_ELEMENT_IDS], True)
        for name, is_unique in self.element_ids.items():
            if is_unique:
                self.element_ids[name] = all(
                    len(array) < 2 or len({_identity(one, name) for one in array}) == len(array) for array in arrays
                )

    def _count_variants(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Count which members records have, by each member that may name the kind of a record."""
        if not self.objects - len(values):
            names = dict.fromkeys(chain.from_iterable(values))
            self.variants = {name: Counter() for name in names if is_tag_like(name)}
        for name in [*self.variants]:
            tags = [tag if type(tag := value.get(name)) in (str, int) else None for value in values]
            self.variants[name].update(zip(tags, map(tuple, values), strict=True))
            if len(self.variants[name]) > _MOST_VARIANTS:
                del self.variants[name]

    def _count_contents(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Count the distinct contents of objects with an identifier, which may be repeated in many records."""
        if self.whole is None and any(map(is_id_like, chain.from_iterable(values))):
            self.whole = Distinct(_MOST_TRACKED)
        if self.whole:
            self.whole.add([*map(_ENCODE, values)])

    def _add_objects(self, values: Sequence[Mapping[str, Any]], number: int) -> None:
        self.objects += number
        self.empty += sum(not value for value in values)
        if (self.is_map and self.level) or self.level >= _MOST_LEVELS:
            return
        if not self.level:
            self._count_variants(values)
        elif not self.in_array:
            self._count_contents(values)
        names = dict.fromkeys(chain.from_iterable(values))
        for name in names:
            member = self.members.get(name)
            if member is None:
                if len(self.members) >= MOST_MEMBERS:
                    self.is_map = True
                    if self.level:
                        self.members.clear()
                        return
                    continue
                member = self.members[name] = Node(name, self.level + 1, in_array=self.in_array)
            present = [value.get(name, _MISSING) for value in values]
            if len(names) > 1 or number > 1:
                present = [value for value in present if value is not _MISSING]
            member.add(present)


MOST_SCALE = 4
"""Numbers with more decimals than this are measurements, which columns keep as 64-bit floats."""


def _identity(element: Any, name: str) -> Any:
    value = element.get(name) if type(element) is dict else None
    return value if type(value) in (str, int) else id(element)


_ADD: Mapping[type, Any] = {
    type(None): Node._add_null,
    bool: Node._add_booleans,
    int: Node._add_integers,
    Number: Node._add_numbers,
    str: Node._add_strings,
    list: Node._add_arrays,
    dict: Node._add_objects,
}
