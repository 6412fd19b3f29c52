"""Values that become strings of JSON: what of them is refused, and how they are written.

A value is written compactly, as the parser that validated the record has read it. No digit of a number is lost.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from functions.common.record_types import INT64
from functions.common.reject_codes import BAD_FORMAT, OUT_OF_RANGE, Reason
from functions.common.reject_lines import escaped
from functions.common.schema_shapes import ARRAY, JSON, OBJECT, Shape

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_UNUSUAL = re.compile(rb"\\u0000|[0-9]{16}|[0-9][eE]")
"""Characters and digits of which some are refused, or are written in several ways by the parsers of records."""

_FLOATS_SKIP_INTEGERS = 2**53

_UINT64_END = 2**64
_RULE = "json"

Converter = Callable[[Any], Any]


class RefusedError(ValueError):
    """Raised where a value has something that a string of JSON must not have."""


def json_text(value: Any) -> str:
    """A parsed value as compact JSON. Raises RefusedError if something in it is refused (see `refusals`)."""
    written = _ENCODER.encode(value)
    if _UNUSUAL.search(written):
        if next(refusals(value), None):
            raise RefusedError
        written = _ENCODER.encode(_canonical(value))
    return written.decode()


def _canonical(value: Any) -> Any:
    """A value in which each number is of the same type, whichever parser has read it.

    A number that a float gives back is a float, unless it is a whole one that 64 bits hold and that is so large that
    not every float is exact.
    """
    if isinstance(value, dict):
        return {name: _canonical(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return list(map(_canonical, value))
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        value = float(value)
    if isinstance(value, float) and value.is_integer() and abs(value) >= _FLOATS_SKIP_INTEGERS:
        return int(value) if INT64[0] <= value < _UINT64_END else value
    return value


def refusals(value: Any, pointer: str = "") -> Iterator[Reason]:
    """The reasons why a parsed value can't become a string of JSON: a NUL, or a whole number beyond 64 bits."""
    if isinstance(value, str):
        if "\0" in value:
            yield Reason(BAD_FORMAT, pointer, _RULE, f"{pointer} must not have the character U+0000; leave it out")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if "\0" in name:
                says = f"{pointer or 'the record'} has a field whose name has the character U+0000; leave it out"
                yield Reason(BAD_FORMAT, pointer, _RULE, says)
            yield from refusals(inner, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from refusals(inner, f"{pointer}/{number}")
    elif not isinstance(value, bool) and _is_beyond_64_bits(value):
        says = f"{pointer} must be a number that 64 bits hold; write a longer number as a string"
        yield Reason(OUT_OF_RANGE, pointer, _RULE, says)


def _is_beyond_64_bits(value: Any) -> bool:
    is_whole = isinstance(value, int) or (isinstance(value, Decimal) and value.as_tuple().exponent == 0)
    return is_whole and not INT64[0] <= value < _UINT64_END


def refusals_in(record: Any, shape: Shape, pointer: str = "") -> Iterator[Reason]:
    """The refusals in all parts of a record that become strings of JSON."""
    if shape.kind == JSON:
        yield from refusals(record, pointer)
    elif shape.kind == OBJECT and isinstance(record, dict):
        for name, member in shape.members.items():
            if name in record and member.has_json:
                yield from refusals_in(record[name], member, f"{pointer}/{escaped(name)}")
    elif shape.kind == ARRAY and isinstance(record, list) and shape.element and shape.element.has_json:
        for number, element in enumerate(record):
            yield from refusals_in(element, shape.element, f"{pointer}/{number}")


def converter_of(shape: Shape) -> Converter | None:
    """What makes strings of JSON in a parsed value of this shape; None if nothing becomes one.

    It raises RefusedError. It may change the value that it is given.
    """
    if shape.kind == JSON:
        return lambda value: None if value is None else json_text(value)
    if shape.kind == OBJECT:
        found = {name: converter_of(member) for name, member in shape.members.items()}
        converters: Mapping[str, Converter] = {name: one for name, one in found.items() if one}
        return (lambda value: _convert_members(value, converters)) if converters else None
    if shape.kind == ARRAY and shape.element and (of_element := converter_of(shape.element)):
        return lambda value: None if value is None else [of_element(element) for element in value]
    return None


def _convert_members(value: Any, converters: Mapping[str, Converter]) -> Any:
    if value is not None:
        for name, convert in converters.items():
            if name in value:
                value[name] = convert(value[name])
    return value
