"""Cuts a JSON array of any size into the bytes of its elements, by following its brackets and strings."""

import re
from collections.abc import Iterator

from functions.common.errors import MalformedDocumentError
from functions.common.source.buffer import Buffer
from functions.common.source.raw import BLANK, KEPT_OF_OVERSIZE, RawRecord
from functions.common.source.structure import STRING, Scanner, nested

_ELEMENT = re.compile(rb'((?:[^"{}\[\],]++|' + STRING + b"|" + nested() + rb")*+)([,\]}])", re.DOTALL)
"""Matches an element and the character after it."""

_PLAIN = re.compile(rb'[^"{}\[\],]*+')
_IN_RECORD = re.compile(rb'[^"{}\[\]]*+')
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_OPENING = frozenset(b"{[")
_CLOSING = ord("]")


def elements(buffer: Buffer, max_record_bytes: int, first: int = 0) -> Iterator[RawRecord]:
    """Read the array at `buffer.at`, and yield its elements with their offsets. `first` is the first element's number.

    Elements aren't parsed, so they might not be JSON. Raises MalformedDocumentError if the array itself is broken.
    """
    buffer.at += 1
    number = first
    while True:
        if buffer.skip(BLANK) is None:
            raise MalformedDocumentError(f"The document ends inside its array, after {number} records.")
        match = _ELEMENT.match(buffer.data, buffer.index)
        if match:
            start, data, following = buffer.at, match[1], match[2][0]
            buffer.at = buffer.base + match.end()
            raw = _raw_record(start, data, len(data), max_record_bytes)
        else:
            raw, found = _Element(buffer, max_record_bytes).take()
            if found is None:
                raise MalformedDocumentError(f"The document ends inside its array, after {number} records.")
            following = found
        if following == ord("}"):
            raise MalformedDocumentError(f"A bracket is closed by the wrong character after record {number}.")
        if raw.length:
            yield raw
            number += 1
        elif following == _COMMA or number > first:
            raise MalformedDocumentError(f"The array has a comma without a record, at record {number}.")
        if following == _CLOSING:
            return


def _raw_record(start: int, data: bytes, length: int, cap: int) -> RawRecord:
    is_oversize = length > cap
    return RawRecord(start, data[:KEPT_OF_OVERSIZE] if is_oversize else data.rstrip(BLANK), length, is_oversize)


class _Element(Scanner):
    """Finds the end of one element that nests deeply or extends past the end of the buffer."""

    def take(self) -> tuple[RawRecord, int | None]:
        """Read the element, and return it with the next byte: `,`, a closing bracket, or None at the document's end."""
        depth = 0
        while (byte := self._after(_IN_RECORD if depth else _PLAIN)) is not None:
            if byte == _QUOTE:
                self._scan += 1
                if self._after(_IN_STRING) is None:
                    break
                self._scan += 1
            elif byte in _OPENING:
                depth += len(self._openings())
            elif depth:
                self._scan += 1
                depth -= 1
            else:
                return self._taken(), byte
        return self._taken(), None

    def _taken(self) -> RawRecord:
        buffer = self._buffer
        data = self._beginning or buffer.slice(self._start, self._scan)
        buffer.at = self._scan + 1
        return _raw_record(self._start, data, self._scan - self._start, self._cap)

    def _after(self, pattern: re.Pattern[bytes]) -> int | None:
        """Scan over the match of a pattern, and return the byte after it, or None at the end of the document."""
        while True:
            match = pattern.match(self._buffer.data, self._scan - self._buffer.base)
            assert match is not None  # these patterns also match an empty string
            self._scan = self._buffer.base + match.end()
            if self._scan < self._buffer.end:
                byte = self._buffer.data[match.end()]
                if byte != _BACKSLASH or pattern is not _IN_STRING:
                    return byte
            if not self._more():  # the block ends here, or with a backslash
                return None
