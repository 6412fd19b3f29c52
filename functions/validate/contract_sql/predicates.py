"""Conditions in SQL on the values of a record, wherever they stand in it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from functions.common.contract import SENT
from functions.common.record_types import SIGNIFICANT_DIGITS, decimal_of, kept_type, merged, type_of
from functions.common.sql import identifier

OfValue = Callable[[Mapping[str, Any], str, str], Iterator[str]]
"""Of a value's schema, its type and the SQL expression that gives it: the conditions that it must fulfil."""

_AS_SENT = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN")
"""The types that JSON has too."""


def predicate_of(schema: Any, of_value: OfValue) -> str:
    """An SQL expression that is true where each value that is not null fulfils its conditions, else false or null."""
    return " AND ".join(["true", *_conditions(schema, schema, SENT, of_value)])


def _conditions(schema: Any, root: Any, place: str, of_value: OfValue) -> Iterator[str]:
    part = merged(schema, root)
    kind, _ = type_of(part)
    if kind == "object":
        for name, inner in part["properties"].items():
            yield from _conditions(inner, root, f"{place}.{identifier(name)}", of_value)
    elif kind == "array":
        element = f"element_{place.count('element_')}"
        if of_element := " AND ".join(_conditions(part["items"], root, element, of_value)):
            broken = f"list_filter({place}, lambda {element}: NOT coalesce({of_element}, false))"
            yield f"({place} IS NULL OR len({broken}) = 0)"
    elif of_this := " AND ".join(of_value(part, kind, place)):
        yield f"({place} IS NULL OR ({of_this}))"


def fits(part: Mapping[str, Any], kind: str, place: str) -> Iterator[str]:
    """That a value can be kept as its type: it is below a decimal's bound, or a time that there is."""
    if (kept_as := kept_type(part, kind)) not in _AS_SENT:
        yield f"TRY_CAST({place} AS {kept_as}) IS NOT NULL"


def surely_fits(part: Mapping[str, Any], kind: str, place: str) -> Iterator[str]:
    """The same of a float that becomes a decimal, where it is surely the one that was meant.

    It has at most as many digits as a float keeps, and the decimal gives it back: multiplied by its power of ten it is
    below 2^53 then, and so exact.
    """
    if "decimal" in part:
        precision, scale = decimal_of(part["decimal"])
        yield f"abs({place}) < 1e{SIGNIFICANT_DIGITS - scale}"
        yield f"CAST(TRY_CAST({place} AS DECIMAL({precision},{scale})) AS DOUBLE) = {place}"
    else:
        yield from fits(part, kind, place)
