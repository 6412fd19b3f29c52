"""Cuts the elements out of a JSON array of any size, as bytes, by following its brackets and strings."""

import re
from collections.abc import Iterator

from functions.common.errors import MalformedDocumentError, WrongEnvelopeError
from functions.common.source.raw import BLANK, KEPT_OF_OVERSIZE, RawRecord

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_ARRAY = re.compile(rb'(?:[^"{}\[\],]++|' + _STRING + rb")*+", re.DOTALL)
"""What stands between the signs that count in the array itself: whole strings, and what is no sign."""
_RECORD = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+", re.DOTALL)
"""The same within a record, whose commas do not count."""
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OPENING, _CLOSING = re.compile(rb"[\[{]*+"), re.compile(rb"[\]}]*+")


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
        while scan < len(buffer) and not self._closed:
            if self._in_string:
                scan = self._string_end(scan)
                continue
            scan = _behind(_RECORD if self._depth > 1 else _ARRAY, buffer, scan)
            if scan == len(buffer):
                break
            sign = buffer[scan : scan + 1]
            scan += 1
            if sign == b'"':
                self._in_string = True  # one that does not end in this block
            elif sign == b",":
                yield self._element(buffer[self._start : scan - 1])
                self._start = scan
            elif sign in (b"[", b"{"):
                if self._depth == 0:
                    self._start = scan
                run = _behind(_OPENING, buffer, scan)
                self._depth += 1 + run - scan
                scan = run
            elif self._depth > 1:
                run = min(_behind(_CLOSING, buffer, scan), scan + self._depth - 2)
                self._depth -= 1 + run - scan
                scan = run
            else:
                yield from self._close(buffer[self._start : scan - 1], sign)
                self._tail = buffer[scan:].strip(BLANK)[:16]
        self._let_go(scan)

    def _string_end(self, scan: int) -> int:
        """Go on in a string up to its end, or the block's."""
        scan = _behind(_IN_STRING, self._buffer, scan)
        if self._buffer[scan : scan + 1] == b'"':
            self._in_string = False
            return scan + 1
        return scan if scan == len(self._buffer) else scan + 2  # a backslash, whose character is in the next block

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
        """The element that ends with `data`; its bytes are counted from its first sign on."""
        data = data if self._cut else data.lstrip(BLANK)
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
        if self._index or self._cut or data.strip(BLANK):
            yield self._element(data)

    def _let_go(self, scan: int) -> None:
        """Keep of the buffer only what belongs to the current element, and of that no more than the cap."""
        rest = self._buffer[self._start :]
        if self._depth and not self._cut:
            rest = rest.lstrip(BLANK)  # of which there may be any number
        self._scan = scan - (len(self._buffer) - len(rest))
        if self._depth and (self._cut or len(rest) > self._max):
            self._kept = (self._kept + rest)[:KEPT_OF_OVERSIZE]
            self._cut += len(rest)
            self._scan -= len(rest)
            rest = b""
        self._buffer, self._start = rest, 0


def _behind(pattern: re.Pattern[bytes], buffer: bytes, scan: int) -> int:
    """Where the match at `scan` ends; these patterns match anywhere, if only nothing."""
    match = pattern.match(buffer, scan)
    return match.end() if match else scan
