"""SQL conditions on the values of a record, made from its schema.

A record that the fast decoder has read has the structure, the types and the bounds of its schema. What the decoder
can't test (patterns, formats, exact decimals) is tested here. A condition may be stricter than the schema, never laxer.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

from functions.common.contract import SENT
from functions.common.record_types import SIGNIFICANT_DIGITS, decimal_of, kept_type, merged, type_of
from functions.common.sql import identifier, literal

ConditionsOf = Callable[[Mapping[str, Any], str, str], Iterator[str]]
"""The conditions on a value, from its schema, its type and the SQL expression for it."""

_AS_SENT = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN")
"""The types that JSON has too."""

WITHOUT_CHARACTERS = re.compile(r"\^\[\^((?:\\u00[0-7][0-9a-fA-F](?:-\\u00[0-7][0-9a-fA-F])?)+)\]\*\$")
"""A pattern that only forbids some ASCII characters. The fast decoder tests it."""

_PLAIN_PATTERN = re.compile(r"(?:[ -\[\]-~]|\\[^0-9A-Za-z])*")
_NOT_PLAIN = re.compile(r"\(\?|\[:|\[[^\]]*\[|[*+?}][*+{]")
_REPEATED = re.compile(r"\{(\d*),?(\d*)\}")
_MOST_REPEATS = 1000
"""RE2's limit, also of repeats within repeats (https://github.com/google/re2/wiki/Syntax)."""

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_FORMATS = {
    "date": f"^{_DATE}$",
    "date-time": f"^{_DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
}
"""RFC 3339 without leap seconds and lower-case letters. Whether the day exists is for DuckDB to see."""


class _NotExpressibleError(Exception):
    """Raised where a schema has a pattern or a format that SQL can't test exactly as the exact validator does."""


def is_expressible(schema: Any) -> bool:
    """Whether SQL can test the patterns and formats of a schema."""
    try:
        surely_valid(schema)
    except _NotExpressibleError:
        return False
    return True


def surely_valid(schema: Any) -> str:
    """An expression that is true only if a record that the fast decoder has read is valid.

    The schema must be expressible (see `is_expressible`).
    """
    return _all_conditions(schema, _not_decoded)


def surely_fits(schema: Any) -> str:
    """An expression that is true only if each number of a valid record was read exactly, and each time exists."""
    return _all_conditions(schema, _surely_fits)


def fits(schema: Any) -> str:
    """An expression that is true only if each value of a record, sent with every digit, can be kept as its type."""
    return _all_conditions(schema, _fits)


def _all_conditions(schema: Any, conditions_of: ConditionsOf) -> str:
    """An expression that is true if each value that isn't null meets its conditions, else false or null."""
    return " AND ".join(["true", *_conditions(schema, schema, SENT, conditions_of)])


def _conditions(schema: Any, root: Any, place: str, conditions_of: ConditionsOf) -> Iterator[str]:
    part = merged(schema, root)
    kind, _ = type_of(part)
    if kind == "object":
        for name, inner in part["properties"].items():
            yield from _conditions(inner, root, f"{place}.{identifier(name)}", conditions_of)
    elif kind == "array":
        element = f"element_{place.count('element_')}"
        if of_element := " AND ".join(_conditions(part["items"], root, element, conditions_of)):
            broken = f"list_filter({place}, lambda {element}: NOT coalesce({of_element}, false))"
            yield f"({place} IS NULL OR len({broken}) = 0)"
    elif of_this := " AND ".join(conditions_of(part, kind, place)):
        yield f"({place} IS NULL OR ({of_this}))"


def _fits(part: Mapping[str, Any], kind: str, place: str) -> Iterator[str]:
    """That a value can be kept as its type: it is below a decimal's bound, or a time that exists."""
    if (kept_as := kept_type(part, kind)) not in _AS_SENT:
        yield f"TRY_CAST({place} AS {kept_as}) IS NOT NULL"


def _surely_fits(part: Mapping[str, Any], kind: str, place: str) -> Iterator[str]:
    """The same of a float that becomes a decimal, if it surely is the decimal that was meant.

    It has at most as many digits as a float keeps, and the decimal gives it back: multiplied by its power of ten it is
    below 2^53 then, and so exact.
    """
    if "decimal" in part:
        precision, scale = decimal_of(part["decimal"])
        yield f"abs({place}) < 1e{SIGNIFICANT_DIGITS - scale}"
        yield f"CAST(TRY_CAST({place} AS DECIMAL({precision},{scale})) AS DOUBLE) = {place}"
    else:
        yield from _fits(part, kind, place)


def _not_decoded(part: Mapping[str, Any], kind: str, place: str) -> Iterator[str]:
    """The conditions on a value that the fast decoder does not test."""
    pattern, form = part.get("pattern"), part.get("format")
    if pattern is not None and not WITHOUT_CHARACTERS.fullmatch(pattern):
        if not _means_the_same_to_re2(pattern):
            raise _NotExpressibleError
        yield f"regexp_matches({place}, {literal(pattern)})"
    if form is not None:
        if form not in _FORMATS:
            raise _NotExpressibleError
        yield f"regexp_matches({place}, {literal(_FORMATS[form])})"
    yield from _surely_fits(part, kind, place)


def _means_the_same_to_re2(pattern: str) -> bool:
    """Whether a pattern surely means the same to DuckDB's RE2 as to the exact validator.

    It is ASCII, escapes only punctuation, and has no class within a class, no repeat of a repeat, and few repeats.
    """
    repeats = [max(map(int, filter(None, found)), default=1) for found in _REPEATED.findall(pattern)]
    is_plain = _PLAIN_PATTERN.fullmatch(pattern) and not _NOT_PLAIN.search(pattern)
    return bool(is_plain) and prod(max(times, 1) for times in repeats) <= _MOST_REPEATS
