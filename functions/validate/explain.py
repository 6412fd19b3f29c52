"""Says why a record is rejected: a stable code, the place as JSON Pointer, the rule, and a plain sentence.

The sentence is built from rule and place, never from a library's message, which quotes values. It names the kind
of value that was found, never the value.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NoReturn

import jsonschema_rs

from functions.common.record_types import resolve
from functions.validate.nesting import nests_deeper

MAX_REASONS = 20
"""How many reasons a reject gives at most; a record may break a rule in each of thousands of items."""

TOO_DEEP = "nested_too_deeply"

_MAX_NAMED_VALUES = 8
_ORJSON_LEVELS = 1024
_MAX_NAME = 64
"""How much of a field's name a pointer gives: producers make names up, of any length."""

_CODES = {
    "type": "wrong_type",
    "required": "missing_field",
    "additionalProperties": "unknown_field",
    "unevaluatedProperties": "unknown_field",
    "enum": "not_an_allowed_value",
    "const": "not_an_allowed_value",
    "format": "bad_format",
    "pattern": "bad_format",
    "minimum": "out_of_range",
    "maximum": "out_of_range",
    "exclusiveMinimum": "out_of_range",
    "exclusiveMaximum": "out_of_range",
    "decimal": "not_an_exact_decimal",
    "minLength": "bad_length",
    "maxLength": "bad_length",
    "minItems": "bad_length",
    "maxItems": "bad_length",
    "uniqueItems": "not_unique",
}
_KINDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "an array", dict: "an object"}
_TYPE_NAMES = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_LIMITS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be above {}",
    "exclusiveMaximum": "must be below {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} elements",
    "maxItems": "must have at most {} elements",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One way in which a record breaks the contract."""

    code: str
    pointer: str
    """RFC 6901; empty for the whole record."""
    rule: str
    message: str


def broken_schema(errors: Iterable[jsonschema_rs.ValidationError], schema: Mapping[str, Any]) -> list[Reason]:
    """The reasons of a record that breaks the schema, in the order of their places, at most MAX_REASONS."""
    in_order = sorted(
        errors, key=lambda error: [f"{step:09}" if isinstance(step, int) else step for step in error.instance_path]
    )
    return list(islice(chain.from_iterable(_schema_reasons(error, schema) for error in in_order), MAX_REASONS))


def _schema_reasons(error: jsonschema_rs.ValidationError, schema: Mapping[str, Any]) -> Iterator[Reason]:
    keyword = error.kind.name
    part = _part(schema, error.evaluation_path[:-1])
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
        yield _reason(keyword, [*error.instance_path, error.kind.property], "is missing")
    elif isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        for name in error.kind.unexpected:
            yield _reason(keyword, [*error.instance_path, name], "is not a field of the contract")
    else:
        sentence = _sentence(keyword, part, error)
        if examples := part.get("examples"):
            sentence += f", for example {json.dumps(examples[0], ensure_ascii=False)}"
        yield _reason(keyword, error.instance_path, sentence)


def _reason(keyword: str, path: Iterable[str | int], sentence: str) -> Reason:
    pointer = "".join(f"/{_escape(step)}" for step in path)
    return Reason(_CODES.get(keyword, "breaks_schema"), pointer, keyword, f"{pointer or 'the record'} {sentence}")


def _sentence(keyword: str, part: Mapping[str, Any], error: jsonschema_rs.ValidationError) -> str:
    value = part.get(keyword)
    if keyword == "type" and value:
        kinds = [value] if isinstance(value, str) else value
        found = _KINDS.get(type(error.instance), "null")  # a copy of it, which may be large
        return f"must be {' or '.join(_TYPE_NAMES[kind] for kind in kinds)}, not {found}"
    if keyword == "enum" and value and len(value) <= _MAX_NAMED_VALUES:
        return f"must be one of {', '.join(map(str, value))}"
    if keyword in _LIMITS:
        return _LIMITS[keyword].format(value)
    return f"must be {part.get('description', 'as the contract says')}"


def _part(schema: Mapping[str, Any], path: Iterable[str | int]) -> Mapping[str, Any]:
    """The part of `schema` that an evaluation path leads to; what stands beside a `$ref` outranks what it names.

    Empty where the path goes through something else than members, elements and local references.
    """
    part: Any = schema
    try:
        for step in path:
            part = {**resolve(part["$ref"], schema), **part} if step == "$ref" else part[step]
    except (KeyError, IndexError, TypeError, ValueError):
        return {}
    return part if isinstance(part, Mapping) else {}


def _escape(step: str | int) -> str:
    return str(step)[:_MAX_NAME].replace("~", "~0").replace("/", "~1")


def unparsable(data: bytes, max_nesting: int) -> Reason:
    """Why orjson did not take these bytes, found by asking the standard library's slower, laxer parser.

    What that one takes all the same is nested deeper than orjson goes, or has half of a surrogate pair.
    """
    try:
        read = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_finite)
    except UnicodeDecodeError as exc:
        return Reason("not_utf8", "", "encoding", f"the record is not UTF-8 from its byte {exc.start} on")
    except _NonFiniteError:
        sentence = "the record has NaN, infinity, or a number that is too large for a 64-bit float"
        return Reason("non_finite_number", "", "number", sentence)
    except RecursionError:
        return nested_too_deeply(max_nesting)
    except json.JSONDecodeError as exc:
        return Reason("not_json", "", "json", f"the record is not JSON from its character {exc.pos} on")
    if nests_deeper(read, data, _ORJSON_LEVELS):
        return nested_too_deeply(max_nesting)
    return Reason("lone_surrogate", "", "text", "the record has half of a surrogate pair (\\ud800 to \\udfff)")


def nested_too_deeply(max_nesting: int) -> Reason:
    """The reason of a record whose arrays and objects nest deeper than the cap."""
    sentence = f"the record is nested more than {max_nesting} levels deep"
    return Reason(TOO_DEEP, "", "max_nesting", sentence)


def too_large(max_record_bytes: int) -> Reason:
    """The reason of a record that was not looked at because of its size."""
    return Reason(
        "record_too_large", "", "max_record_bytes", f"the record has more than {max_record_bytes} bytes of JSON"
    )


class _NonFiniteError(ValueError):
    """The document has NaN, Infinity, or a number that overflows to it."""


def _refuse_constant(_: str) -> NoReturn:
    raise _NonFiniteError


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NonFiniteError
    return number
