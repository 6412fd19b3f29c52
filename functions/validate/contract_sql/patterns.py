"""Writes SQL conditions for string patterns and formats that SQL and the exact validator interpret identically."""

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from functions.common.record_types import DECIMAL_STRING, decimal_of
from functions.common.sql import literal

WITHOUT_CHARACTERS = re.compile(r"\^\[\^((?:\\u00[0-7][0-9a-fA-F](?:-\\u00[0-7][0-9a-fA-F])?)+)\]\*\$")
"""Matches a pattern that only forbids some ASCII characters. The fast decoder tests such patterns."""

_PLAIN_PATTERN = re.compile(r"(?:[ -\[\]-~]|\\[^0-9A-Za-z]|\\[dDwW])*")
_NOT_PLAIN = re.compile(r"\(\?|\[:|\[[^\]]*\[|[*+?}][*+{]|\\[dDwW]-(?!\])|-\\[dDwW]")
_REPEATED = re.compile(r"\{(\d*),?(\d*)\}")
_MOST_REPEATS = 1000
"""RE2's limit on repetitions, including nested repetitions (https://github.com/google/re2/wiki/Syntax)."""

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_FORMATS = {
    "date": f"^{_DATE}$",
    "date-time": f"^{_DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
}
"""RFC 3339 without leap seconds and lower-case letters. DuckDB checks whether the date exists."""


def is_expressible(part: Mapping[str, Any], kind: str) -> bool:
    """Return whether SQL can test the pattern and format of a value that isn't an object or array."""
    if kind != "string":
        return True
    pattern = part.get("pattern")
    is_plain = pattern is None or WITHOUT_CHARACTERS.fullmatch(pattern) or _means_the_same_to_re2(pattern)
    return bool(is_plain) and part.get("format", "date") in _FORMATS


def pattern_conditions(part: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield the conditions for the pattern and format of the string at `place`."""
    pattern = part.get("pattern")
    if pattern is not None and not WITHOUT_CHARACTERS.fullmatch(pattern):
        yield f"regexp_matches({place}, {literal(pattern)})"
    if "format" in part:
        yield f"regexp_matches({place}, {literal(_FORMATS[part['format']])})"


def decimal_string(part: Mapping[str, Any], place: str) -> str:
    """Return an SQL condition that is true if the string at `place` is a number that its `decimal` holds exactly."""
    _, scale = decimal_of(part["decimal"])
    too_fine = f"[.][0-9]{{{scale}}}[0-9]*[1-9]"
    return (
        f"regexp_full_match({place}, {literal(DECIMAL_STRING.pattern)}) AND NOT regexp_matches({place}, '{too_fine}')"
    )


def _means_the_same_to_re2(pattern: str) -> bool:
    """Return True only if a pattern means the same to DuckDB's RE2 as to the exact validator.

    Such a pattern is ASCII, and escapes only punctuation and classes that both engines define in the same way. It has
    no nested classes and no repeated repetitions, and repeats at most _MOST_REPEATS times.
    """
    repeats = [max(map(int, filter(None, found)), default=1) for found in _REPEATED.findall(pattern)]
    is_plain = _PLAIN_PATTERN.fullmatch(pattern) and not _NOT_PLAIN.search(pattern)
    return bool(is_plain) and prod(max(times, 1) for times in repeats) <= _MOST_REPEATS
