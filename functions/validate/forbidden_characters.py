"""Searches many records at once for characters that a schema's patterns forbid."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from functions.validate.contract_sql.patterns import WITHOUT_CHARACTERS

_RANGE = re.compile(r"\\u(....)(?:-\\u(....))?")
_SHORT_ESCAPES = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r", 0x22: '"', 0x2F: "/", 0x5C: "\\"}


def plain_test(parts: Iterable[Mapping[str, Any]]) -> Callable[[bytes], bool]:
    """Return a test that is true only if no string in JSON has a character that one of the parts forbids.

    In JSON, control characters are always escaped; other characters may be (RFC 8259, section 7).
    """
    found = [WITHOUT_CHARACTERS.fullmatch(str(part.get("pattern", ""))) for part in parts]
    forbidden = sorted({character for match in found if match for character in _characters(match[1])})
    if not forbidden:
        return lambda _data: True
    written = [bytes([character]) for character in forbidden if character >= 0x20]
    escapes = [f"u00(?i:{character:02x})" for character in forbidden]
    escapes += [re.escape(_SHORT_ESCAPES[character]) for character in forbidden if character in _SHORT_ESCAPES]
    is_escaped = re.compile(rf"\\(?:{'|'.join(escapes)})".encode()).search
    return lambda data: not (any(character in data for character in written) or (b"\\" in data and is_escaped(data)))


def _characters(ranges: str) -> Iterator[int]:
    for first, last in _RANGE.findall(ranges):
        yield from range(int(first, 16), int(last or first, 16) + 1)
