"""Reads an envelope, which is an object that holds the array of records, member by member."""

import json
import re
from collections.abc import Callable, Sequence
from enum import Enum, auto

from functions.common.reject_lines import OTHERS, is_name, shown_step
from functions.common.source.buffer import Buffer
from functions.common.source.json_values import is_json
from functions.common.source.structure import Value

_BLANKS = rb"[ \t\r\n]*+"
_KEY = rb'("[^"\\\n]*+(?:\\.[^"\\\n]*+)*+")' + _BLANKS + b":" + _BLANKS + rb"(?=[^ \t\r\n])"
_FIRST = re.compile(rb"\{" + _BLANKS + b"(?:" + _KEY + rb"|\})")
"""Matches an object up to the value of its first member, or a whole empty object."""

_NEXT = re.compile(_BLANKS + b"(?:," + _BLANKS + _KEY + rb"|\})")
"""Matches up to the value of the next member, or the end of the object."""

_CANNOT_GO_ON = re.compile(
    _BLANKS + rb'(?:[^ \t\r\n,}{"]|\{' + _BLANKS + rb'[^ \t\r\n"}]|,' + _BLANKS + rb'[^ \t\r\n"])'
)
"""Matches bytes that can't become a match of either pattern, regardless of what follows."""

_OBJECT, _ARRAY = b"{["


class Found(Enum):
    """The place at which reading an object's members ended."""

    ARRAY = auto()
    """At the array of records."""
    NO_ARRAY = auto()
    """At a value that should be the array of records, but isn't an array."""
    MEMBER = auto()
    """At the requested member."""
    END = auto()
    """At the end of the object."""
    FAULT = auto()
    """At bytes that aren't JSON, or at members that are too large."""


class Envelope:
    """Reads an object that holds the array of records.

    `path` has the member names that lead to the array. `skip` is called with the JSON Pointer of each other member,
    after the array is found.
    """

    def __init__(self, path: Sequence[str], skip: Callable[[str], object]) -> None:
        self._path = path
        self._names = [written_forms(name) for name in path]
        self._skip = skip
        self._at = 0
        self._limit = 0
        self._skipped: list[str] = []

    def find_array(self, buffer: Buffer, max_bytes: int) -> Found:
        """Read up to the array of records if the value at `buffer.at` is an envelope. Otherwise, read nothing.

        The members before the array may have at most `max_bytes` bytes in total.
        """
        self._at, self._limit = buffer.at, buffer.at + max_bytes
        for depth in range(len(self._path)):
            if (found := self._find(buffer, depth, _FIRST)) is not Found.MEMBER:
                return found
            expected = _ARRAY if depth == len(self._path) - 1 else _OBJECT
            if buffer.data[self._at - buffer.base] != expected:
                return Found.NO_ARRAY
        buffer.at = self._at
        self._report()
        return Found.ARRAY

    def finish(self, buffer: Buffer, max_bytes: int) -> Found:
        """Read the rest of the envelope after the array. Returns MEMBER if a member of the path occurs twice."""
        for depth in range(len(self._path) - 1, -1, -1):
            self._at, self._limit = buffer.at, buffer.at + max_bytes
            if (found := self._find(buffer, depth, _NEXT)) is not Found.END:
                return found
            buffer.at = self._at
        self._report()
        return Found.END

    def _find(self, buffer: Buffer, depth: int, pattern: re.Pattern[bytes]) -> Found:
        """Read an object's members up to the value of the member in the path, or to the end of the object."""
        while True:
            key = self._match(pattern, buffer)
            if key is None:
                return Found.FAULT
            if not key[1]:
                return Found.END
            try:
                if key[1] in self._names[depth]:
                    return Found.MEMBER
                name = json.loads(key[1])
                start = self._at
                end = Value(buffer, self._limit - start, start).end_of_whole()
                if end is None or not is_json(buffer.slice(start, end)):
                    return Found.FAULT
                self._at = end
            except ValueError:
                return Found.FAULT
            pointer = "".join(f"/{shown_step(step)}" for step in (*self._path[:depth], name))
            self._skipped.append(pointer if is_name(name) else OTHERS)
            pattern = _NEXT

    def _match(self, pattern: re.Pattern[bytes], buffer: Buffer) -> re.Match[bytes] | None:
        while not (match := pattern.match(buffer.data, self._at - buffer.base)):
            is_hopeless = _CANNOT_GO_ON.match(buffer.data, self._at - buffer.base)
            if is_hopeless or buffer.end > self._limit or not buffer.more():
                return None
        if buffer.base + match.end() > self._limit:
            return None
        self._at = buffer.base + match.end()
        return match

    def _report(self) -> None:
        for pointer in self._skipped:
            self._skip(pointer)
        self._skipped.clear()


def written_forms(name: str) -> tuple[bytes, ...]:
    """Return the spellings of a member's name in JSON: unescaped, and with escapes for non-ASCII characters."""
    return tuple({json.dumps(name).encode(), json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")})
