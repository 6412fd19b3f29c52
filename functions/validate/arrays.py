"""Cuts the elements out of a JSON array of any size, as bytes, by following its brackets and strings."""

import re
from collections.abc import Iterator

from functions.common.errors import MalformedDocumentError, WrongEnvelopeError
from functions.validate.raw import BLANK, KEPT_OF_OVERSIZE, RawRecord

_STRUCTURE = re.compile(rb'["{}\[\],]')
_STRING = re.compile(rb'["\\]')


class ArrayCutter:
    """Follows brackets and strings through an array, block by block, and cuts at its own commas."""

    def __init__(self, max_record_bytes: int, skip: int) -> None:
        self._max = max_record_bytes
        self._buffer = b""
        self._scan = skip  # where to go on in the buffer
        self._start = skip  # where the current element begins in the buffer
        self._cut = 0  # bytes of the current element that were let go
        self._kept = b""  # the beginning of an element that is too large
        self._depth = 0
        self._in_string = False
        self._index = 0
        self._closed = False
        self._tail = b""

    def feed(self, block: bytes) -> Iterator[RawRecord]:
        """The elements that end in this block."""
        if self._closed:
            self._tail = (self._tail + block.strip(BLANK))[:16]
            return
        self._buffer += block
        buffer, scan = self._buffer, self._scan
        while not self._closed:
            found = (_STRING if self._in_string else _STRUCTURE).search(buffer, scan)
            if found is None:
                scan = max(scan, len(buffer))
                break
            scan, sign = found.end(), found[0]
            if self._in_string:
                if sign == b'"':
                    self._in_string = False
                else:
                    scan += 1  # the character behind a backslash
            elif sign == b'"':
                self._in_string = True
            elif sign in b"{[":
                self._depth += 1
                if self._depth == 1:
                    self._start = scan
            elif sign == b"," and self._depth == 1:
                yield self._element(buffer[self._start : scan - 1])
                self._start = scan
            elif sign in b"}]":
                self._depth -= 1
                if self._depth == 0:
                    yield from self._close(buffer[self._start : scan - 1], sign)
                    self._tail = buffer[scan:].strip(BLANK)[:16]
        self._let_go(scan)

    def finish(self, closing: bytes) -> None:
        """Raise MalformedDocumentError (WrongEnvelopeError) unless the document ended where it had to."""
        if not self._closed:
            raise MalformedDocumentError(f"The document ends inside its array, after {self._index} records.")
        if self._tail != closing:
            if not self._tail:
                raise MalformedDocumentError(f"The document ends inside its envelope, after {self._index} records.")
            if closing and self._tail.startswith(b","):
                raise WrongEnvelopeError("The envelope must have no other member behind its array of records.")
            raise MalformedDocumentError(f"Something stands behind the end of the array, after {self._index} records.")

    def _element(self, data: bytes) -> RawRecord:
        length = self._cut + len(data)
        oversize = length > self._max
        if oversize:
            data = (self._kept + data)[:KEPT_OF_OVERSIZE]
        elif not (data := data.strip(BLANK)):
            raise MalformedDocumentError(f"The array has a comma without a record, at record {self._index}.")
        self._cut, self._kept = 0, b""
        self._index += 1
        return RawRecord(self._index - 1, data, length, oversize)

    def _close(self, data: bytes, sign: bytes) -> Iterator[RawRecord]:
        if sign != b"]":
            raise MalformedDocumentError(f"A bracket is closed by the wrong sign after record {self._index}.")
        self._closed = True
        if self._index or data.strip(BLANK) or self._cut:
            yield self._element(data)

    def _let_go(self, scan: int) -> None:
        """Keep of the buffer only what belongs to the current element, and of that no more than the cap."""
        start = min(self._start, len(self._buffer))
        rest = self._buffer[start:]
        self._scan = scan - start
        if self._depth and (self._cut or len(rest) > self._max):
            self._kept = (self._kept + rest)[:KEPT_OF_OVERSIZE]
            self._cut += len(rest)
            self._scan -= len(rest)
            rest = b""
        self._buffer, self._start = rest, 0
