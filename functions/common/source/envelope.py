"""Follows an envelope, an object that holds the array of records, member by member."""

import json
import re
from collections.abc import Callable, Sequence
from enum import Enum, auto

from functions.common.reject_lines import OTHERS, escaped, is_name
from functions.common.source.buffer import Buffer
from functions.common.source.json_values import is_json
from functions.common.source.structure import Value

_BLANKS = rb"[ \t\r\n]*+"
_KEY = rb'("[^"\\\n]*+(?:\\.[^"\\\n]*+)*+")' + _BLANKS + b":" + _BLANKS + rb"(?=[^ \t\r\n])"
_FIRST = re.compile(rb"\{" + _BLANKS + b"(?:" + _KEY + rb"|\})")
"""The beginning of an object with the name of its first member, up to its value; or the whole of an empty one."""

_NEXT = re.compile(_BLANKS + b"(?:," + _BLANKS + _KEY + rb"|\})")
"""The same for the next member, or the end of the object."""

_CANNOT_GO_ON = re.compile(
    _BLANKS + rb'(?:[^ \t\r\n,}{"]|\{' + _BLANKS + rb'[^ \t\r\n"}]|,' + _BLANKS + rb'[^ \t\r\n"])'
)
"""What is no beginning of either, however it goes on."""

_OBJECT, _ARRAY = b"{["


class Found(Enum):
    """What is found when an object is followed."""

    ARRAY = auto()
    """The array of records."""
    NO_ARRAY = auto()
    """The value that should be the array of records, and is not."""
    MEMBER = auto()
    """The member that was looked for."""
    END = auto()
    """The end of the object."""
    FAULT = auto()
    """Something that is not JSON, or members that are too large to be followed."""


class Envelope:
    """An object whose array of records is read.

    `path` has the members that lead to the array, and `skip` is called with the JSON Pointer of each other member once
    the envelope is known to be one.
    """

    def __init__(self, path: Sequence[str], skip: Callable[[str], object]) -> None:
        self._path = path
        self._names = [written_forms(name) for name in path]
        self._skip = skip
        self._at = 0
        self._limit = 0
        self._skipped: list[str] = []

    def find_array(self, buffer: Buffer, max_bytes: int) -> Found:
        """Read up to the array of records, if the value at `buffer.at` is an envelope; else nothing is read.

        Members before the array may take `max_bytes` together.
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
        """Read from after the array to the end of the envelope. MEMBER says that a member of the path occurs twice."""
        for depth in range(len(self._path) - 1, -1, -1):
            self._at, self._limit = buffer.at, buffer.at + max_bytes
            if (found := self._find(buffer, depth, _NEXT)) is not Found.END:
                return found
            buffer.at = self._at
        self._report()
        return Found.END

    def _find(self, buffer: Buffer, depth: int, pattern: re.Pattern[bytes]) -> Found:
        """Follow an object's members to the value of the one in the path, or to the end of the object."""
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
            pointer = "".join(f"/{escaped(step)}" for step in (*self._path[:depth], name))
            self._skipped.append(pointer if is_name(name) else OTHERS)
            pattern = _NEXT

    def _match(self, pattern: re.Pattern[bytes], buffer: Buffer) -> re.Match[bytes] | None:
        while not (match := pattern.match(buffer.data, self._at - buffer.base)):
            is_hopeless = _CANNOT_GO_ON.match(buffer.data, self._at - buffer.base)
            if is_hopeless or buffer.end > self._limit or not buffer.more():
                return None
        self._at = buffer.base + match.end()
        return match

    def _report(self) -> None:
        for pointer in self._skipped:
            self._skip(pointer)
        self._skipped.clear()


def written_forms(name: str) -> tuple[bytes, ...]:
    """How the name of a member is written in JSON: as it is, or with escapes for what is not ASCII."""
    return tuple({json.dumps(name).encode(), json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")})
