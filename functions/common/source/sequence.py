"""Cuts records out of a sequence of JSON values, with any separators, in arrays and in envelopes.

Most sequences are objects with only white space between them. They are cut between each `}` and the `{` that follows
it. Parsing the whole block once proves the cuts, because in JSON `{` follows `}` only inside a string. All other
sequences are followed value by value.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise

from functions.common.errors import MalformedDocumentError, WrongEnvelopeError
from functions.common.json_pointer import pointer_of
from functions.common.source.buffer import Buffer
from functions.common.source.elements import elements
from functions.common.source.envelope import Envelope, Found, written_forms
from functions.common.source.json_values import count_of_objects, count_of_values, is_json
from functions.common.source.raw import BLANK, KEPT_OF_OVERSIZE, RawRecord
from functions.common.source.structure import Value, end_of_small

_SEPARATORS = BLANK + b","
_BOUNDARY = re.compile(rb"\}[ \t\r\n]*+\{")
_HOLDS_OBJECTS = re.compile(rb"\{|\[[ \t\r\n]*+\{")
_OBJECT, _ARRAY = b"{["
_CTRL_Z = b"\x1a"


def objects_in(data: bytes) -> Iterator[tuple[int, int]] | None:
    """Return the start and end of each object, or None unless the bytes are only complete objects and white space.

    The bytes must begin with `{` and end with `}`.
    """
    starts = [0, *(match.end() - 1 for match in _BOUNDARY.finditer(data))]
    if count_of_objects(data) != len(starts):
        return None
    return pairwise((*starts, len(data)))


class SequenceReader:
    """Reads the values of a sequence from a buffer.

    Positions are byte offsets. With `by_index`, they are record numbers, and a broken value fails the document. Values
    on a line (`in_line`) never fail a document: a broken array or envelope is one reject. `skip` is called with the
    JSON Pointer of each envelope member that doesn't lead to the records.
    """

    def __init__(
        self,
        buffer: Buffer,
        path: Sequence[str],
        max_record_bytes: int,
        skip: Callable[[str], object],
        *,
        by_index: bool = False,
        in_line: bool = False,
    ) -> None:
        self._buffer = buffer
        self._path = path
        self._cap = max_record_bytes
        self._skip = skip
        self._by_index = by_index
        self._in_line = in_line
        self._read = 0
        self._names = written_forms(path[0]) if path else ()
        self._bounds: list[int] = []
        """The offsets at which an object may begin after another object, for a buffer that ends at `_bounds_of`."""
        self._bounds_of = -1

    def records(self, *, in_envelope: bool = False) -> Iterator[RawRecord]:
        """Yield the records in order, including broken values. `in_envelope` says that `find_array` found an envelope.

        Raises MalformedDocumentError or WrongEnvelopeError if an array or an envelope is broken.
        """
        for raw in chain(self._rest_of_envelope() if in_envelope else (), self._records()):
            yield RawRecord(self._read, *raw[1:]) if self._by_index else raw
            self._read += 1

    def _records(self) -> Iterator[RawRecord]:
        while (byte := self.next_byte()) is not None:
            if byte == _OBJECT:
                yield from self._objects()
            elif byte == _ARRAY and self._can_be_opened():
                yield from self._elements()
            else:
                yield self.value()[0]

    def next_byte(self) -> int | None:
        """Skip to the next value, and return its first byte, or None at the end of the document."""
        byte = self._buffer.skip(_SEPARATORS)
        if byte == _CTRL_Z[0] and not self._in_line:  # some programs write it at the end of a file
            while self._buffer.end - self._buffer.at <= 1 and self._buffer.more():
                pass
            if self._buffer.end - self._buffer.at == 1:
                return None
        return byte

    def value(self) -> tuple[RawRecord, bool]:
        """Read the value at the buffer's `at`. Return it, and whether it is complete (otherwise, it is broken)."""
        raw, is_whole = Value(self._buffer, self._cap).take()
        if self._by_index and not is_whole:
            raise MalformedDocumentError(
                f"Content that is not JSON follows the end of the array, after {self._read} records."
            )
        return raw, is_whole

    def find_array(self) -> Found:
        """Read up to the array of records if the object at the buffer's `at` is an envelope, or else read nothing."""
        return Envelope(self._path, self._skip).find_array(self._buffer, self._cap) if self._path else Found.END

    def _objects(self) -> Iterator[RawRecord]:
        """Yield the object at the buffer's `at`, and the objects that follow it in the buffer."""
        buffer = self._buffer
        if self._bounds_of != buffer.end:
            self._bounds = [match.end() - 1 + buffer.base for match in _BOUNDARY.finditer(buffer.data, buffer.index)]
            self._bounds_of = buffer.end
        bounds = self._bounds[bisect_right(self._bounds, buffer.at) :]
        if not bounds:
            yield from self._object()
            return
        held = buffer.slice(buffer.at, bounds[-1])
        may_have_envelopes = any(name in held for name in self._names)
        if not may_have_envelopes and count_of_objects(held) == len(bounds):
            for start, end in pairwise((buffer.at, *bounds)):
                yield self._whole(start, end)
            buffer.at = bounds[-1]
            return
        for end in bounds:
            if end <= buffer.at:
                continue  # the boundary was in a string
            held = buffer.slice(buffer.at, end)
            may_be_envelope = may_have_envelopes and any(name in held for name in self._names)
            if not may_be_envelope and count_of_values(held) == 1:
                yield self._whole(buffer.at, end)
                buffer.at = end
                continue
            yield from self._object()
            if self.next_byte() != _OBJECT:
                return

    def _whole(self, start: int, end: int) -> RawRecord:
        data = self._buffer.slice(start, end).rstrip(BLANK)
        is_oversize = len(data) > self._cap
        return RawRecord(start, data[:KEPT_OF_OVERSIZE] if is_oversize else data, len(data), is_oversize)

    def _object(self) -> Iterator[RawRecord]:
        end = end_of_small(self._buffer, self._buffer.at)
        if end is not None:
            held = self._buffer.slice(self._buffer.at, end)
            may_be_envelope = any(name in held for name in self._names)
        else:
            may_be_envelope = bool(self._path)
        if may_be_envelope and self._can_be_opened() and self.find_array() is Found.ARRAY:
            yield from self._rest_of_envelope()
        else:
            yield self.value()[0]

    def _can_be_opened(self) -> bool:
        """Return whether the array or the object at the buffer's `at` can hold records.

        On a line, the value must be JSON, because a line never fails the document. An array must have only objects.
        """
        if not self._in_line:
            return True
        if not _HOLDS_OBJECTS.match(self._buffer.data, self._buffer.index):
            return False
        start = self._buffer.at
        end = Value(self._buffer, self._cap, start).end_of_whole()
        return end is not None and is_json(self._buffer.slice(start, end))

    def _rest_of_envelope(self) -> Iterator[RawRecord]:
        """Yield the records of the envelope whose array is at the buffer's `at`."""
        envelope = Envelope(self._path, self._skip)
        yield from self._elements()
        pointer = pointer_of(self._path)
        found = envelope.finish(self._buffer, self._cap)
        if found is Found.MEMBER:
            raise WrongEnvelopeError(f"The envelope has a member of the path {pointer} twice.")
        if found is not Found.END:
            if self._buffer.skip(BLANK) is None:
                raise MalformedDocumentError(f"The document ends inside its envelope, after {self._read} records.")
            raise MalformedDocumentError(
                f"The envelope is not JSON after its array of records, after {self._read} records."
            )

    def _elements(self) -> Iterator[RawRecord]:
        for raw in elements(self._buffer, self._cap, self._read):
            if not (self._by_index or raw.oversize or is_json(raw.data)):
                raise MalformedDocumentError(f"The element at byte {raw.position} of an array is not JSON.")
            yield raw
