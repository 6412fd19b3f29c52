"""Explains why a record is rejected, with a stable code, the place as a JSON Pointer, the rule, and a sentence.

The sentence is built from the rule and the place. It names the kind of value that was found, but never the value.
Library messages are not used, because they quote values.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from itertools import chain, islice
from typing import Any

import jsonschema_rs

from functions.common.compiled_schema import exact_schema
from functions.common.contract import Contract, Rule, Version
from functions.common.json_pointer import path_of
from functions.common.record_types import EPOCHS, SIGNIFICANT_DIGITS, merged
from functions.common.reject_codes import (
    BAD_FORMAT,
    BAD_LENGTH,
    BREAKS_SCHEMA,
    MISSING_FIELD,
    NOT_AN_ALLOWED_VALUE,
    NOT_AN_EXACT_DECIMAL,
    NOT_UNIQUE,
    OUT_OF_RANGE,
    UNKNOWN_FIELD,
    UNKNOWN_VERSION,
    WRONG_TYPE,
    Reason,
)
from functions.common.reject_lines import shown_step
from functions.common.schema_merging import dereferenced
from functions.common.schema_shapes import shape_of
from functions.validate.alternatives import errors_of_the_meant, is_of_no_type

MAX_REASONS = 20
"""The maximum number of reasons per reject. A record may violate a rule in each of thousands of items."""

_MAX_NAMED_VALUES = 8
_MAX_COMPARED = 128
"""The number of characters of an unknown field's name that are compared with the known names."""

_NOTHING = object()
"""Represents a missing value; None represents `null`."""

_CODES = {
    "type": WRONG_TYPE,
    "required": MISSING_FIELD,
    "additionalProperties": UNKNOWN_FIELD,
    "unevaluatedProperties": UNKNOWN_FIELD,
    "enum": NOT_AN_ALLOWED_VALUE,
    "const": NOT_AN_ALLOWED_VALUE,
    "format": BAD_FORMAT,
    "pattern": BAD_FORMAT,
    "minimum": OUT_OF_RANGE,
    "maximum": OUT_OF_RANGE,
    "exclusiveMinimum": OUT_OF_RANGE,
    "exclusiveMaximum": OUT_OF_RANGE,
    "decimal": NOT_AN_EXACT_DECIMAL,
    "minLength": BAD_LENGTH,
    "maxLength": BAD_LENGTH,
    "minItems": BAD_LENGTH,
    "maxItems": BAD_LENGTH,
    "uniqueItems": NOT_UNIQUE,
}
_KINDS = {
    str: "a string",
    bool: "true or false",
    **dict.fromkeys((int, float, Decimal), "a number"),
    list: "an array",
    dict: "an object",
}
_COUNTS_TIME = (
    "found a number; if it is a time since 1970, declare the field as an integer with the format epoch-millis or "
    "epoch-seconds"
)
_NOT_WHOLE = "a number that is not whole"
_SIZES = {"minLength", "maxLength", "minItems", "maxItems"}
_TYPE_NAMES = {
    "string": "a string",
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


def broken_schema(
    errors: Iterable[jsonschema_rs.ValidationError], contract: Contract, version: Version
) -> list[Reason]:
    """Return at most MAX_REASONS reasons why a record violates its schema, sorted by place."""
    in_order = sorted(
        errors, key=lambda error: [f"{step:09}" if isinstance(step, int) else step for step in error.instance_path]
    )
    reasons = chain.from_iterable(_schema_reasons(error, contract, version) for error in in_order)
    return list(islice(_without_repetitions(reasons), MAX_REASONS))


def broken_rule(rule: Rule, record: Any) -> Reason:
    """Return the reason for rejecting a record that matches its schema but violates a rule of the contract."""
    found = _found(_value_at(record, path_of(rule.pointer)), is_of_a_right_type=True)
    return Reason(rule.code, rule.pointer, rule.code, f"{rule.pointer} {rule.message}{_such_as(rule.example)}; {found}")


def unknown_version(record: Any, contract: Contract) -> Reason:
    """Return the reason for rejecting a record that names a version that the contract doesn't have."""
    pointer = "".join(f"/{shown_step(name)}" for name in contract.version_path)
    numbers = [str(version.number) for version in contract.versions]
    value = _value_at(record, contract.version_path)
    found = _NOT_WHOLE if _is_not_whole(value) else _kind_of(value)
    sentence = f"must be a version of the contract, as a whole number: {' or '.join(numbers)}; found {found}"
    if contract.default_version not in {version.number for version in contract.versions}:
        sentence = f"is required and {sentence}"
    return Reason(UNKNOWN_VERSION, pointer, "record_version", f"{pointer} {sentence}")


def _without_repetitions(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Yield each sentence once. Several keywords of a value may have the same sentence: the value's description."""
    seen = set[tuple[str, str]]()
    for reason in reasons:
        if (key := (reason.code, reason.message)) not in seen:
            seen.add(key)
            yield reason


def _schema_reasons(error: jsonschema_rs.ValidationError, contract: Contract, version: Version) -> Iterator[Reason]:
    keyword, kinds = error.kind.name, jsonschema_rs.ValidationErrorKind
    schema = exact_schema(version)
    part = _part(schema, error.evaluation_path[:-1])
    if isinstance(error.kind, kinds.Required):
        name = error.kind.property
        inner = _part(schema, [*error.evaluation_path[:-1], "properties", name])
        if not _kinds(inner):  # a condition requires a field that is described elsewhere
            inner = _described_at(version.schema, [*error.instance_path, name])
        yield _reason(keyword, [*error.instance_path, name], f"is missing; it must be {_right(inner)}")
    elif isinstance(error.kind, kinds.AdditionalProperties | kinds.UnevaluatedProperties):
        of_all_forms = _described_at(version.schema, error.instance_path).get("properties", {})
        for name in error.kind.unexpected:
            advice = _advice(name, error.instance, part, error.evaluation_path[:-1], contract)
            sentence = f"is not a field of version {version.number} of the contract; {advice}"
            if name in of_all_forms:
                holder = "this object" if len(error.instance_path) else "the record"
                sentence = (
                    f"is a field of another form of {holder}; remove it, or correct the field that names the form"
                )
            yield _reason(keyword, [*error.instance_path, name], sentence)
    elif isinstance(error.kind, kinds.AnyOf | kinds.OneOfNotValid):
        yield from _of_alternatives(error, part, contract, version)
    else:
        if not _kinds(part):  # a condition, or the bounds of 64 bits, on a value that is described elsewhere
            part = {"type": _kinds(_described_at(version.schema, error.instance_path)), **part}
        yield _reason(keyword, error.instance_path, _sentence(keyword, part, error.instance))


def _of_alternatives(
    error: jsonschema_rs.ValidationError, part: Mapping[str, Any], contract: Contract, version: Version
) -> Iterator[Reason]:
    """Yield the reasons why a value is none of several alternatives: those of the alternative that was meant."""
    tag, constants = _forms(_part(version.schema, error.evaluation_path[:-1]), version)
    described = _described_at(version.schema, error.instance_path)
    if meant := errors_of_the_meant(error, tag):
        yield from chain.from_iterable(_schema_reasons(one, contract, version) for one in meant)
    elif is_of_no_type(error) and described.get("type"):
        yield _reason("type", error.instance_path, _sentence("type", {**described, **part}, error.instance))
    elif tag and isinstance(error.instance, dict):
        one_of = f"must be one of {', '.join(constants)}"
        if tag in error.instance:
            value = error.instance[tag]
            one_of += f"; {_found(value, is_of_a_right_type=isinstance(value, str))}"
        keyword, says = ("enum", one_of) if tag in error.instance else ("required", f"is missing; it {one_of}")
        yield _reason(keyword, [*error.instance_path, tag], says)
    else:
        yield _reason(error.kind.name, error.instance_path, _sentence(error.kind.name, part, error.instance))


def _forms(part: Mapping[str, Any], version: Version) -> tuple[str, list[str]]:
    """Return the member that selects the form of an object, and its possible values. Empty if there isn't one."""
    try:
        shape = shape_of(part, version.schema)
    except (TypeError, ValueError):
        return "", []
    return shape.tag, [str(branch.constant) for branch in shape.branches]


def _advice(name: str, holder: Any, part: Mapping[str, Any], path: Sequence[str | int], contract: Contract) -> str:
    """Return advice about an unknown field of `holder`. `part` is its schema, at `path` in the version's schema."""
    for version in contract.versions:
        if name in _part(version.schema, path).get("properties", {}):
            pointer = "".join(f"/{shown_step(step)}" for step in contract.version_path)
            return f"it is a field of version {version.number}; a record names its version in {pointer}"
    near = get_close_matches(name[:_MAX_COMPARED], part.get("properties", {}), n=1)
    if near and near[0] in holder:
        return f"did you mean {near[0]}? The record already has that field, so remove one of them"
    return f"did you mean {near[0]}?" if near else "remove it, or have it added to the contract"


def _reason(keyword: str, path: Iterable[str | int], sentence: str) -> Reason:
    pointer = "".join(f"/{shown_step(str(step))}" for step in path)
    return Reason(_CODES.get(keyword, BREAKS_SCHEMA), pointer, keyword, f"{pointer or 'the record'} {sentence}")


def _sentence(keyword: str, part: Mapping[str, Any], value: Any) -> str:
    """Return the rule, an example of a valid value, and the kind of value that was found, but not `value` itself."""
    limit, rule = part.get(keyword), f"must be {part.get('description') or _described(keyword, part)}"
    if keyword == "type" and limit:
        kinds = [limit] if isinstance(limit, str) else limit
        rule = f"must be {' or '.join(_TYPE_NAMES[kind] for kind in kinds)}"
        if part.get("format") in ("date", "date-time") and isinstance(value, int) and not isinstance(value, bool):
            return f"{rule}{_such_as_of(part)}; {_COUNTS_TIME}"
        if "integer" in kinds and _is_not_whole(value):
            return f"{rule}{_such_as_of(part)}; found {_NOT_WHOLE}"
    elif keyword == "enum" and limit and len(limit) <= _MAX_NAMED_VALUES:
        rule = f"must be one of {', '.join(one if isinstance(one, str) else json.dumps(one) for one in limit)}"
    elif keyword in ("minimum", "maximum") and part.get("format") in EPOCHS and limit in EPOCHS[part["format"]]:
        unit = "seconds" if part["format"] == "epoch-seconds" else "milliseconds"
        return f"must count {unit} from 1970 within the years 1 to 9999{_such_as_of(part)}; found another number"
    elif keyword in _LIMITS:
        rule = _LIMITS[keyword].format(limit) if limit != 1 else _LIMITS[keyword].format(limit).removesuffix("s")
    elif keyword == "uniqueItems":
        rule = "must not have the same element twice"
    if keyword in _SIZES:
        return f"{rule}{_such_as_of(part)}; found {len(value)}"
    return f"{rule}{_such_as_of(part)}; {_found(value, is_of_a_right_type=_has_a_type_of(part, value))}"


def _described(keyword: str, part: Mapping[str, Any]) -> str:
    """Return the rule of a keyword for a value without a description in the schema."""
    match keyword, part.get(keyword):
        case "decimal", [int(precision), int(scale)]:
            digits = f" and {SIGNIFICANT_DIGITS} digits" if precision > SIGNIFICANT_DIGITS and scale else ""
            says = f"a number below 10^{precision - scale} with at most {scale} decimals"
            return f"{says}, written as a string" if "string" in _kinds(part) else f"{says}{digits}"
        case "format", str(name):
            return f"a string with the format {name}"
        case "pattern", str(pattern):
            return f"a string that matches {pattern}"
        case "const", value:
            return json.dumps(value, ensure_ascii=False)
        case "enum", _:
            return "one of the values that the contract lists"
    return "as the contract specifies"


def _has_a_type_of(part: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value has one of the types that the schema allows."""
    given = part.get("type", ["null" if one is None else "string" for one in part.get("enum", [])])
    kinds = {_TYPE_NAMES[kind].replace("whole ", "") for kind in (given if isinstance(given, list) else [given])}
    return _KINDS.get(type(value), "null") in kinds


def _right(part: Mapping[str, Any]) -> str:
    """Return a description of a valid value, with an example."""
    kind = next(iter(_kinds(part)), None)
    named, described = _TYPE_NAMES[kind] if kind else "there", part.get("description")
    if kind in ("object", "array") and described:
        return f"{named}: {described}"
    return f"{described or named}{_such_as_of(part)}"


def _kinds(part: Mapping[str, Any]) -> list[str]:
    """Return the types that a part of a schema allows, except null. An `enum` without a type contains strings."""
    given = part.get("type", "string" if "enum" in part else [])
    return [kind for kind in ([given] if isinstance(given, str) else given) if kind != "null"]


def _described_at(schema: Mapping[str, Any], path: Iterable[str | int]) -> Mapping[str, Any]:
    """Return the part of a schema that describes the value at a place in the record, or an empty dict."""
    try:
        part = merged(schema, schema)
        for step in path:
            part = merged(part["items"] if isinstance(step, int) else part["properties"][step], schema)
    except (KeyError, TypeError, ValueError):
        return {}
    return part


def _such_as_of(part: Mapping[str, Any]) -> str:
    """Return the schema's example of a valid value, unless it is an array or object; otherwise an empty string."""
    examples = [one for one in part.get("examples", []) if not isinstance(one, dict | list)]
    return _such_as(json.dumps(examples[0], ensure_ascii=False)) if examples else ""


def _such_as(example: str) -> str:
    return f", for example {example}" if example else ""


def _found(value: Any, *, is_of_a_right_type: bool) -> str:
    """Return `found` and the kind of value that was found, as `another …` if only its type is right."""
    kind = _kind_of(value)
    if is_of_a_right_type and kind.startswith(("a ", "an ")):
        return f"found another {kind.partition(' ')[2]}"
    return f"found {kind}"


def _is_not_whole(value: Any) -> bool:
    return isinstance(value, float | Decimal) and value != int(value)


def _kind_of(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    if value in ("", []):
        return "an empty string" if value == "" else "an empty array"
    return _KINDS.get(type(value), "null")


def _value_at(record: Any, path: Iterable[str]) -> Any:
    """Return the value at a place in a parsed record, or _NOTHING."""
    value = record
    for step in path:
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return _NOTHING
    return value


def _part(schema: Mapping[str, Any], path: Iterable[str | int]) -> Mapping[str, Any]:
    """Return the part of `schema` at an evaluation path. Keywords next to a `$ref` override the referenced schema.

    The result is empty if the path contains anything but members, elements and local references.
    """
    part: Any = schema
    try:
        for step in path:
            part = dereferenced(part, schema) if step == "$ref" else part[step]
        return dereferenced(part, schema)
    except (KeyError, IndexError, TypeError, ValueError):
        return {}
