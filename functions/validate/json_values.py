"""Converts values of records to strings of JSON, and refuses values that such a string can't hold.

The strings have no white space between values, and their numbers keep every digit.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from functions.common.record_types import INT64
from functions.common.reject_codes import BAD_FORMAT, OUT_OF_RANGE, Reason
from functions.common.reject_lines import shown_step
from functions.common.schema_shapes import ARRAY, JSON, OBJECT, Shape

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_UNUSUAL = re.compile(rb"\\u0000|[0-9]{16}|[0-9][eE]")
"""Finds strings and numbers that may be refused, or that parsers read as different types."""

_FLOATS_SKIP_INTEGERS = 2**53

_UINT64_END = 2**64
_RULE = "json"

Converter = Callable[[Any], Any]


class RefusedError(ValueError):
    """Raised if a value has a character or number that a string of JSON must not contain."""


def json_text(value: Any) -> str:
    """Return a parsed value as compact JSON. Raises RefusedError if `refusals` finds a reason."""
    written = _ENCODER.encode(value)
    if _UNUSUAL.search(written):
        if next(refusals(value), None):
            raise RefusedError
        written = _ENCODER.encode(_canonical(value))
    return written.decode()


def _canonical(value: Any) -> Any:
    """Return a value whose numbers have the same types regardless of the parser that read it.

    A number that a float holds exactly is a float. The exception is a whole number of 2^53 or more that fits in 64
    bits, which is an int.
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
    """Yield the reasons why a parsed value can't become a string of JSON: a NUL, or a whole number beyond 64 bits."""
    if isinstance(value, str):
        if "\0" in value:
            yield Reason(BAD_FORMAT, pointer, _RULE, f"{pointer} must not contain the character U+0000; remove it")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if "\0" in name:
                says = f"{pointer or 'the record'} has a field whose name contains the character U+0000; remove it"
                yield Reason(BAD_FORMAT, pointer, _RULE, says)
            yield from refusals(inner, f"{pointer}/{shown_step(name)}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from refusals(inner, f"{pointer}/{number}")
    elif not isinstance(value, bool) and _is_beyond_64_bits(value):
        says = f"{pointer} must be a number that fits in 64 bits; write a longer number as a string"
        yield Reason(OUT_OF_RANGE, pointer, _RULE, says)


def _is_beyond_64_bits(value: Any) -> bool:
    is_whole = isinstance(value, int) or (isinstance(value, Decimal) and value.as_tuple().exponent == 0)
    return is_whole and not INT64[0] <= value < _UINT64_END


def refusals_in(record: Any, shape: Shape, pointer: str = "") -> Iterator[Reason]:
    """Yield the reasons of `refusals` for all parts of a record that become strings of JSON."""
    if shape.kind == JSON:
        yield from refusals(record, pointer)
    elif shape.kind == OBJECT and isinstance(record, dict):
        for name, member in shape.members.items():
            if name in record and member.has_json:
                yield from refusals_in(record[name], member, f"{pointer}/{shown_step(name)}")
    elif shape.kind == ARRAY and isinstance(record, list) and shape.element and shape.element.has_json:
        for number, element in enumerate(record):
            yield from refusals_in(element, shape.element, f"{pointer}/{number}")


def converter_of(shape: Shape) -> Converter | None:
    """Return a function that replaces parts of a parsed value of this shape with strings of JSON.

    The function may change its argument, and raises RefusedError for a value that can't be converted. Returns None if
    no part becomes a string of JSON.
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
