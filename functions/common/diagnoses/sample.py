"""A sample of a file that fails, or whose records are mostly rejected."""

import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, Self

from functions.common.contract import Contract
from functions.common.source.raw import RawRecord, end_of_first_value

MOST_BYTES = 1 << 16
"""The most bytes of a file, or of its rejects, that are examined."""

MOST_RECORDS = 100
"""The most rejected records that are examined."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],]|[^\s{}\[\],"]++', re.DOTALL)
_MOST_LEVELS = 100
_CLOSED_BY = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file of a dataset holds, from its contract."""

    path: tuple[str, ...] = ()
    """The member names from a document to its array of records. Empty if the contract has no envelope."""
    fields: Set[str] = frozenset()
    """The fields of a record in any version."""
    required: Sequence[Set[str]] = ()
    """The required fields of each version."""

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """Return what a contract expects."""
        return cls(
            contract.input.record_path,
            frozenset(name for version in contract.versions for name in version.fields),
            [frozenset(version.schema.get("required", ())) for version in contract.versions],
        )

    def is_record(self, value: object) -> bool:
        """Return whether a value has most required fields of a version, and few others."""
        if not isinstance(value, dict) or len(self.fields & value.keys()) * 2 < len(value):
            return False
        return any(required and len(required & value.keys()) * 2 > len(required) for required in self.required)


@dataclass(frozen=True, slots=True)
class FileSample:
    """The beginning of a document, or the first rejected records."""

    text: bytes
    """The beginning of the file if it is known. Otherwise the records, each on a line."""
    strings: Sequence[str]
    """The document, or each record."""
    values: Sequence[Any]
    """The values of those that are JSON. A truncated value has only its complete parts."""
    is_document: bool = False
    is_array: bool = False
    """Whether the rejected records are elements of an array, or of arrays on lines."""
    is_in_envelope: bool = False
    """Whether the rejected records are in the contract's envelope."""
    compression: str = ""
    """The compression that was removed from the file."""
    has_valid: bool = False
    """Whether the file has valid records, which a conversion of all records would damage."""
    is_cut: bool = False
    """Whether `text` ends before the file or a record ends."""

    @classmethod
    def of_document(cls, beginning: bytes, *, is_broken: bool = False) -> Self:
        """Return the sample of a document that could not be read. `is_broken` says that its JSON has a fault.

        Records can't be extracted from broken objects and arrays, so such a sample has no values.
        """
        text = _decoded(beginning[:MOST_BYTES])
        value = value_of(text) if is_broken else complete_part_of(text)
        is_cut = len(beginning) >= MOST_BYTES
        return cls(beginning, [text], [] if value is None else [value], is_document=True, is_cut=is_cut)

    @classmethod
    def of_rejects(
        cls, beginning: bytes, rejects: Sequence[RawRecord], *, by_index: bool, has_valid: bool = False
    ) -> Self:
        """Return the sample of rejected records. `beginning` is empty in all chunks but the first.

        `by_index` says that their positions are indices, as in an array or an envelope. `has_valid` says that other
        records are valid.
        """
        strings = [_decoded(raw.data) for raw in rejects]
        values = [value for text in strings if (value := complete_part_of(text)) is not None]
        text = beginning or b"\n".join(raw.data for raw in rejects)
        is_array = beginning.lstrip().startswith(b"[")
        return cls(
            text,
            strings,
            values,
            is_array=is_array,
            is_in_envelope=by_index and not is_array,
            has_valid=has_valid,
            is_cut=len(text) >= MOST_BYTES,
        )


def value_of(text: str) -> Any:
    """Return the JSON value that a string contains, or None if it contains anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def has_whole_value(text: str) -> bool:
    """Return whether a string begins with a complete JSON value."""
    return end_of_first_value(text) is not None


def complete_part_of(text: str) -> Any:
    """Return the JSON value at the beginning of a string. If the value is truncated, return only its complete parts.

    Returns None for null, and for a string that isn't JSON.
    """
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    opened, completed = list[str](), None
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _CLOSED_BY:
            opened.append(_CLOSED_BY[token])
        elif token == "," and opened:
            completed = text[: match.start()], "".join(reversed(opened))
        elif token in ("}", "]") and (not opened or opened.pop() != token):
            return None
        if len(opened) > _MOST_LEVELS:
            return None
    return value_of("".join(completed)) if completed else None


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace").lstrip()
