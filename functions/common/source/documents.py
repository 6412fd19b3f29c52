"""Finds the records in a document: on lines, in a sequence of values, in arrays, or in the contract's envelope.

Records are returned as bytes, because validation parses each one only once. This module holds at most one record and a
few blocks of the file in memory.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from functions.common.diagnoses.misplaced import is_map
from functions.common.diagnoses.sample import Expected
from functions.common.errors import (
    EncodingError,
    MalformedDocumentError,
    ReconciliationError,
    RecordTooLargeError,
    WrongEnvelopeError,
)
from functions.common.json_pointer import pointer_of
from functions.common.reject_lines import is_name
from functions.common.source.buffer import Buffer
from functions.common.source.envelope import Found, written_forms
from functions.common.source.json_values import count_of_values, is_json
from functions.common.source.lines import read_lines
from functions.common.source.raw import BLANK, RawRecord
from functions.common.source.sequence import SequenceReader, objects_in

PositionKind = Literal["byte", "index"]

_SCALARS = {str: "a string", int: "a number", float: "a number", bool: "true or false", type(None): "null"}
_ADVICE_FOR_ENVELOPES = "If one of them holds the records, set input.records in the contract to its JSON Pointer."
_NAMED = 10
"""The maximum number of members of an unknown envelope that an error names."""


@dataclass(slots=True)
class Document:
    """The records of a document. Their positions are either byte offsets or indexes in an array."""

    position_kind: PositionKind
    records: Iterator[RawRecord]
    """The records in order, unparsed. An item that is a whole line may hold several records: see `split`."""
    split: Callable[[RawRecord], Sequence[RawRecord]] = lambda raw: (raw,)
    """Returns the records in one item of `records`. Nearly always, the item itself is the only record."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Counts the envelopes read so far that had each skipped member, by the member's JSON Pointer."""
    beginning: bytes = b""
    """The first bytes of the decompressed file, for diagnoses. Empty if the records are those of a later chunk."""
    _parts: deque[RawRecord] = field(default_factory=deque)

    def record_at(self, position: int) -> RawRecord:
        """Return the record at a position, which must follow the positions of records that were already read.

        Raises ReconciliationError if no record has this position.
        """
        while True:
            while self._parts:
                if (part := self._parts.popleft()).position == position:
                    return part
            raw = next(self.records, None)
            if raw is None or raw.position > position:
                raise ReconciliationError(f"The record at {position} was not found when the file was read again.")
            if raw.position + raw.length > position:
                self._parts.extend(self.split(raw))


def read_as_lines(
    blocks: Iterable[bytes], path: Sequence[str], max_record_bytes: int, start: int = 0, end: int | None = None
) -> Document:
    """Return the records on the lines that begin in [start, end). A line may hold envelopes and arrays.

    A syntax error on one line never affects other lines. See `read_lines`.
    """
    document = Document("byte", iter(()))

    def skip(pointer: str) -> None:
        document.skipped[pointer] += 1

    names = written_forms(path[0]) if path else ()

    def split(raw: RawRecord) -> Sequence[RawRecord]:
        if raw.oversize:
            return (raw,)
        data = raw.data.strip(BLANK)
        if data.startswith(b"{") and not any(name in data for name in names):
            if count_of_values(data) == 1:
                return (raw,)
            data = data.rstrip(BLANK + b",")
            if objects := objects_in(data) if data.endswith(b"}") else None:
                start = raw.position + raw.data.index(b"{")
                found = [(first, data[first:end].rstrip(BLANK)) for first, end in objects]
                if len(found) == 1:
                    return (RawRecord(raw.position, data, len(data)),)
                return [RawRecord(start + first, part, len(part)) for first, part in found]
        parts = list(split_long(raw.position, iter([raw.data])))
        is_text = not data.startswith((b"{", b"[")) and not all(is_json(part.data) for part in parts)
        if is_text or (len(parts) == 1 and parts[0].data.strip(BLANK) == raw.data.strip(BLANK)):
            return (raw,)  # a line of CSV: its numbers aren't records
        return parts

    def split_long(offset: int, line: Iterator[bytes]) -> Iterator[RawRecord]:
        return SequenceReader(Buffer(line, offset), path, max_record_bytes, skip, in_line=True).records()

    document.records = read_lines(blocks, max_record_bytes, split_long, start, end)
    document.split = split
    return document


def read_sequence(
    blocks: Iterable[bytes], path: Sequence[str], fields: Iterable[str], max_record_bytes: int
) -> Document:
    """Return the records of a sequence of objects, arrays of records, and envelopes that have records at `path`.

    A blank document has no records. A document that is a single object must be an envelope or have one of the record's
    `fields`. Raises MalformedDocumentError, WrongEnvelopeError, EncodingError or RecordTooLargeError, either
    immediately or while the records are read.
    """
    skipped = Counter[str]()

    def skip(pointer: str) -> None:
        skipped[pointer] += 1

    buffer = Buffer(blocks)
    first = buffer.skip(BLANK)
    if first is None:
        return Document("index", iter(()))
    by_index = SequenceReader(buffer, path, max_record_bytes, skip, by_index=True)
    if first == ord("["):
        return Document("index", by_index.records(), skipped=skipped)
    found = by_index.find_array() if first == ord("{") else Found.END
    if found is Found.ARRAY:
        return Document("index", by_index.records(in_envelope=True), skipped=skipped)
    reader = SequenceReader(buffer, path, max_record_bytes, skip)
    alone = _Alone(path, frozenset(fields), max_record_bytes, has_no_array=found is Found.NO_ARRAY)
    return Document("byte", _checked(reader, alone), skipped=skipped)


def _checked(reader: SequenceReader, alone: "_Alone") -> Iterator[RawRecord]:
    """Yield the records of a sequence. The first value is held back until another follows or the document ends."""
    raw, is_whole = reader.value()
    if reader.next_byte() is None:
        alone.check(raw, is_whole)
    yield raw
    yield from reader.records()


@dataclass(frozen=True, slots=True)
class _Alone:
    """Checks a value that is the whole document."""

    path: Sequence[str]
    fields: frozenset[str]
    max_record_bytes: int
    has_no_array: bool
    """Whether the member that should be the array of records isn't an array."""

    def check(self, raw: RawRecord, is_whole: bool) -> None:
        """Raise an error if the document is neither a record nor an envelope."""
        if raw.oversize:
            raise self._too_large(raw, is_whole)
        try:
            read = json.loads(raw.data)
        except UnicodeDecodeError as exc:
            raise EncodingError(f"The document is not UTF-8 at byte {raw.position + exc.start}.") from exc
        except json.JSONDecodeError as exc:
            raise MalformedDocumentError(_why_not_json(raw.data.decode("utf-8", "surrogatepass"), exc.pos)) from exc
        except (RecursionError, ValueError):
            return  # JSON with deep nesting or a huge integer is rejected as a record
        if not isinstance(read, dict):
            kind = _SCALARS.get(type(read), "an array")
            raise MalformedDocumentError(
                f"The document is {kind}, not an object or an array: it must begin with {{ or [."
            )
        pointer = pointer_of(self.path)
        if self.has_no_array:
            raise WrongEnvelopeError(f"The member {pointer} must be an array of records.")
        if self._looks_like_an_envelope(read):
            expected = Expected(tuple(self.path), self.fields)
            raise WrongEnvelopeError(_unknown_envelope(read, expected), _ADVICE_FOR_ENVELOPES)

    def _looks_like_an_envelope(self, read: dict[str, object]) -> bool:
        """Return whether an object has none of a record's fields, or few of them and also an array."""
        n_known = len(self.fields & read.keys())
        return not n_known or (n_known * 2 < len(read) and any(isinstance(value, list) for value in read.values()))

    def _too_large(self, raw: RawRecord, is_whole: bool) -> Exception:
        if not is_whole:
            return MalformedDocumentError(
                f"The document is not JSON: its first value is incomplete after {raw.length} bytes."
            )
        return RecordTooLargeError(f"The document is one object of more than {self.max_record_bytes} bytes.")


def _unknown_envelope(members: dict[str, object], expected: Expected) -> str:
    named = [] if is_map(members, expected) else [name for name in members if is_name(name)][:_NAMED]
    others = len(members) - len(named)
    shown = (", ".join(named) + (f" and {others} more" if named else f"{others} without usual names")) if others else ""
    shown = shown or ", ".join(named) or "none"
    pointer = pointer_of(expected.path)
    envelope = f"an envelope with its records at {pointer}" if pointer else "an envelope (the contract defines none)"
    return (
        f"The document is an object that is neither a record of this dataset nor {envelope}. Its members are: {shown}."
    )


def _why_not_json(text: str, at: int) -> str:
    """Return a sentence that says why a document isn't JSON. `at` is the index at which the parser stopped."""
    if not text.startswith(("{", "[")):
        return "The document is not JSON: it must begin with { or [."
    return f"The document is not JSON from character {at} on."
