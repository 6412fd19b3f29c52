"""Finds the end of a JSON value from its brackets and strings alone, in a buffer that is filled as needed."""

import re

from functions.common.source.buffer import Buffer
from functions.common.source.json_values import is_json
from functions.common.source.raw import BLANK, KEPT_OF_OVERSIZE, RawRecord

_UNROLLED = 6
"""The number of bracket levels that a pattern matches. Deeper values are scanned bracket by bracket."""

_LITERAL = re.compile(
    rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null|NaN|-?Infinity"  # as Python writes them
)
_TOKEN = re.compile(rb'[^ \t\r\n,{}\[\]":]*+')
_PLAIN = re.compile(rb'[^"{}\[\]\n]*+')
_IN_STRING = re.compile(rb'(?:[^"\\\n]++|\\[^\n])*+')
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_NEWLINE, _QUOTE, _COMMA, _COLON = b'\n",:'
_OPENING = frozenset(b"{[")
_OPENINGS = re.compile(rb"[{\[]*+")
_ARRAY = ord("[")
_OPENED_BY = {ord("}"): ord("{"), ord("]"): ord("[")}
_BEFORE_A_VALUE = frozenset(b":[")
"""The characters after which a value can follow. After a comma, it can follow only in an array."""

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""Matches a string. If it contains a line break, the record's parser reports it."""


def nested(levels: int = _UNROLLED) -> bytes:
    """Return a pattern that matches an array or object with at most `levels` levels of brackets inside it."""
    pattern = rb'[\[{](?:[^"{}\[\]]++|' + STRING + rb")*+[\]}]"
    for _ in range(levels):
        pattern = rb'[\[{](?:[^"{}\[\]]++|' + STRING + b"|" + pattern + rb")*+[\]}]"
    return pattern


_SMALL = re.compile(nested(), re.DOTALL)
_SMALL_BYTES = 1 << 14


def end_of_small(buffer: Buffer, start: int) -> int | None:
    """Return the offset after a small, shallow object or array that is completely in the buffer, or else None."""
    index = start - buffer.base
    match = _SMALL.match(buffer.data, index, index + _SMALL_BYTES)
    if match is None or (b"\n" in match[0] and not is_json(match[0])):
        return None
    if match[0].count(b"{") != match[0].count(b"}"):  # a bracket is in a string, or doesn't match its closing bracket
        return None
    return buffer.base + match.end()


class Scanner:
    """Reads ahead in a buffer from the first byte of a value. Keeps only the beginning of a value over the limit."""

    def __init__(self, buffer: Buffer, cap: int, start: int | None = None) -> None:
        self._buffer = buffer
        self._cap = cap
        self._start = self._scan = buffer.at if start is None else start
        self._is_dropping = start is None
        self._beginning = b""  # the value's first bytes, after others were dropped

    def _openings(self) -> bytes:
        """Scan over consecutive opening brackets in the buffer, and return them."""
        match = _OPENINGS.match(self._buffer.data, self._scan - self._buffer.base)
        assert match is not None  # the pattern also matches an empty string
        self._scan += len(match[0])
        return match[0]

    def _more(self) -> bool:
        """Fetch more of the document, and drop bytes over the limit."""
        buffer = self._buffer
        if self._scan - self._start > max(self._cap, KEPT_OF_OVERSIZE):
            if not self._is_dropping:
                return False
            self._beginning = self._beginning or buffer.slice(self._start, self._start + KEPT_OF_OVERSIZE)
            buffer.at = self._scan
        return buffer.more()


class Value(Scanner):
    """Finds the end of one value, starting at its first byte.

    A value is broken at an unmatched bracket, a string with a line break, or a word that isn't a literal. It is also
    broken at a line that begins with a bracket where no value can follow.
    """

    def __init__(self, buffer: Buffer, cap: int, start: int | None = None) -> None:
        super().__init__(buffer, cap, start)
        self._end: int | None = None  # the end of the value, if it is before `_scan`

    def end_of_whole(self) -> int | None:
        """Return the offset after the value, or None if it is broken or over the limit. Doesn't consume the value."""
        return self._scan if self._is_whole() else None

    def take(self) -> tuple[RawRecord, bool]:
        """Read the value. Return it, and whether it is complete.

        A broken value extends to the next line that begins with a bracket. A value that ends with the document counts
        as broken. Bytes over the limit are dropped.
        """
        is_whole = self._is_whole()
        if not is_whole and self._end is None:
            self._resynchronise()
        return self._taken(), is_whole

    def _is_whole(self) -> bool:
        first = self._buffer.data[self._start - self._buffer.base]
        if first in _OPENING:
            end = end_of_small(self._buffer, self._start)
            if end is not None:
                self._scan = end
            elif not self._is_balanced():
                return False
            return self._scan - self._start <= self._cap or self._is_dropping
        if first == _QUOTE:
            self._scan += 1
            return self._is_string() and not self._is_name()
        return self._is_literal()

    def _taken(self) -> RawRecord:
        end = self._scan if self._end is None else self._end
        length = end - self._start
        is_oversize = length > self._cap
        kept = min(length, KEPT_OF_OVERSIZE) if is_oversize else length
        data = (self._beginning or self._buffer.slice(self._start, self._start + kept))[:kept]
        self._buffer.at = self._scan
        return RawRecord(self._start, data, length, is_oversize)

    def _is_balanced(self) -> bool:
        opened, last = bytearray(), _COMMA
        while True:
            byte, plain = self._after(_PLAIN)
            last = plain or last
            if byte is None:
                return False
            if byte == _NEWLINE:
                newline = self._scan
                following, _ = self._after(_BLANKS)
                if following in _OPENING and not (last in _BEFORE_A_VALUE or (last == _COMMA and opened[-1] == _ARRAY)):
                    self._end = newline
                    return False
                continue
            if byte in _OPENING:
                opened += self._openings()
                last = opened[-1]
                continue
            last = byte
            self._scan += 1
            if byte == _QUOTE:
                if not self._is_string():
                    return False
            else:
                if opened.pop() != _OPENED_BY[byte]:
                    return False
                if not opened:
                    return True

    def _is_string(self) -> bool:
        """Scan a string after its opening quote. Return False if it is broken, for example by a line break."""
        while True:
            byte, _ = self._after(_IN_STRING)
            if byte == _QUOTE:
                self._scan += 1
                return True
            if byte is None or byte == _NEWLINE or self._scan + 1 < self._buffer.end:  # a backslash before a newline
                return False
            if not self._more():  # a backslash before the first character of the next block
                return False

    def _is_name(self) -> bool:
        """Return whether the last string is a member's name, from an object whose beginning is missing."""
        end = self._scan
        following, _ = self._after(_BLANKS)
        if following == _COLON:
            return True
        self._end = end
        return False

    def _is_literal(self) -> bool:
        start = self._scan
        self._after(_TOKEN)
        length = self._scan - start
        return length <= self._cap and _LITERAL.fullmatch(self._buffer.slice(start, self._scan)) is not None

    def _resynchronise(self) -> None:
        """Skip to the next line that begins with an object or an array, or to the end of the document."""
        while True:
            index = self._buffer.data.find(b"\n", self._scan - self._buffer.base)
            if index < 0:
                self._scan = self._buffer.end
                if not self._more():
                    return
                continue
            newline = self._scan = self._buffer.base + index
            following, _ = self._after(_BLANKS)
            if following is None or following in _OPENING:
                self._end = newline
                return

    def _after(self, pattern: re.Pattern[bytes]) -> tuple[int | None, int | None]:
        """Scan over the match of a pattern.

        Returns two bytes. The first is the byte after the match, or None at the end of the document. The second is the
        last nonblank byte that `_PLAIN` matched, or None.
        """
        last = None
        while True:
            match = pattern.match(self._buffer.data, self._scan - self._buffer.base)
            assert match is not None  # these patterns also match an empty string
            if pattern is _PLAIN and (plain := match[0].rstrip(BLANK)):
                last = plain[-1]
            self._scan = self._buffer.base + match.end()
            if self._scan < self._buffer.end:
                return self._buffer.data[match.end()], last
            if not self._more():
                return None, last
