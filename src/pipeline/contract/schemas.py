"""Checks that a contract's schemas are valid, accept their examples, and have no keywords without effect."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from functions.common.compiled_schema import compiled
from functions.common.contract import Contract, Version
from functions.common.json_pointer import path_of
from functions.common.record_types import EPOCHS, merged, resolve
from functions.common.schema_merging import ANNOTATIONS, CONDITIONS, dereferenced, types_of
from functions.common.schema_parts import IN_PLACE, conditions, describing, inner_schemas, parts
from functions.common.schema_shapes import JSON, OBJECT, Shape, shape_of
from pipeline.contract.fault import Fault, line_at

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_OF_TYPES: Mapping[tuple[str, ...], str] = {
    (): "type enum const $ref allOf anyOf oneOf not if then else definitions $id $anchor",
    ("string",): "minLength maxLength pattern",
    ("string", "integer"): "format",
    ("string", "number", "integer"): "decimal",
    ("integer", "number"): "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
    ("array",): "items prefixItems minItems maxItems uniqueItems contains minContains maxContains unevaluatedItems",
    ("object",): "properties required additionalProperties patternProperties propertyNames minProperties maxProperties "
    "unevaluatedProperties dependentRequired dependentSchemas",
}
_KEYWORDS = {keyword: frozenset(types) for types, keywords in _OF_TYPES.items() for keyword in keywords.split()}
"""The supported keywords, each with the types that it applies to. Empty for all types."""

_FORMATS = {
    *("date", "date-time", "time", "duration", "email", "hostname"),
    *("ipv4", "ipv6", "uri", "uuid", "regex", "json-pointer"),
}


def schema_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Yield the faults in the schemas of all versions, and in the pointers of rules into the current schema."""
    for version in contract.versions:
        path = folder / f"v{version.number}.schema.json"
        for pointer, says, advice in _of_schema(version):
            yield Fault(path, line_at(path, pointer), says, advice)
    path = folder / "contract.json"
    for number, rule in enumerate(contract.rules):
        if not _is_named_in(contract.current.schema, rule.pointer):
            says = f"the rule {rule.code} points to {rule.pointer}, which no record of the current version has"
            yield Fault(path, line_at(path, f"/rules/{number}/pointer"), says, "Point to a field of the schema.")


def null_warnings(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Yield a warning for each null type without effect, because a reference next to it forbids null."""
    for version in contract.versions:
        path = folder / f"v{version.number}.schema.json"
        for pointer, part in parts(version.schema):
            given = part.get("type", [])
            if (
                "$ref" in part
                and "null" in given
                and "null" not in (types_of(merged(part, version.schema)) or ["null"])
            ):
                says = f"allows null next to a reference to {part['$ref']}, which forbids null, so null is rejected"
                advice = f'Write "anyOf": [{{"$ref": "{part["$ref"]}"}}, {{"type": "null"}}].'
                yield Fault(path, line_at(path, f"{pointer}/type"), says, advice)


def _of_schema(version: Version) -> Iterator[tuple[str, str, str]]:
    """Yield the JSON Pointer, message and advice of each fault in a schema."""
    schema = version.schema
    if schema.get("$schema") != _DRAFT:
        yield (
            "/$schema",
            "is not the JSON Schema draft that records are validated with",
            f'Write "$schema": "{_DRAFT}".',
        )
        return
    if not schema.get("examples"):
        says = 'has no "examples", which are needed to test the SQL'
        yield "", says, 'Add at least one complete record: "examples": [{...}].'
    describe, apply = describing(schema), conditions(schema)
    yield from _of_shapes(schema, apply)
    for pointer, part in parts(schema):
        yield from ((pointer + below, says, advice) for below, says, advice in _of_part(part))
        if pointer in describe:
            yield from _closed_conditions(pointer, part, merged(part, schema), schema)
        yield from _of_examples(pointer, part, schema)


def _of_part(part: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    given = part.get("type", [])
    types = {*(given if isinstance(given, list) else [given])}
    for keyword in part:
        if keyword not in ANNOTATIONS and keyword not in _KEYWORDS:
            near = get_close_matches(keyword, _KEYWORDS, n=1)
            advice = f"Did you mean {near[0]}?" if near else "Remove the keyword."
            yield f"/{keyword}", f"has the keyword {keyword}, which JSON Schema does not define", advice
        elif types and (kinds := _KEYWORDS.get(keyword)) and not types & kinds:
            says = f"has {keyword}, which does not apply to {' or '.join(sorted(types))}"
            yield f"/{keyword}", says, "Remove the keyword, or give the value another type."
    if form := part.get("format"):
        is_number = types <= {"integer", "null"} and "integer" in types
        known = sorted(EPOCHS) if is_number else sorted(_FORMATS)
        if form not in known:
            says = f"has the format {form}, which is not checked" + (
                f" for {' or '.join(sorted(types))}" if types else ""
            )
            yield "/format", says, f"Use one of {', '.join(known)}{'' if is_number else ', or a pattern'}."
    if "default" in part:
        says = "has a default, which has no effect: a record without the field stays unchanged"
        yield "/default", says, "Remove the default. If a missing value has a meaning, handle it in the table's SQL."
    if isinstance(part.get("multipleOf"), float):
        says = "has a fractional multipleOf, on which validators disagree (for some, 19.99 isn't a multiple of 0.01)"
        yield "/multipleOf", says, 'Use "decimal": [precision, scale].'


def _of_shapes(schema: Mapping[str, Any], apply: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the faults in schemas that describe values of the record, because each value needs a column."""
    pointers = {id(part): pointer for pointer, part in parts(schema)}
    found: dict[str, tuple[str, str]] = {}
    for shape in _described(shape_of(schema, schema)):
        for part in _descriptions(shape, schema):
            pointer = _pointer_of(part, schema, pointers)
            one = merged(part, schema)
            if pointer is None or pointer in found or "properties" not in one:
                continue
            if "type" not in one and shape.kind == JSON:
                says = "has properties but no type, so it becomes a string of JSON"
                found[pointer] = says, 'Add "type": "object" to get columns, or remove the properties.'
            elif shape.kind == OBJECT and one.get("additionalProperties") is not False:
                says = "accepts fields that it does not name, which no table can have"
                advice = (
                    'Add "additionalProperties": false. "unknown_fields" in the contract can drop or keep such fields.'
                )
                if pointer in apply:  # as a condition, a schema that forbids other fields would no longer hold
                    advice = f"Give the conditions that refer to it their own definition, then: {advice}"
                found[pointer] = says, advice
    yield from ((pointer, says, advice) for pointer, (says, advice) in found.items())


def _described(shape: Shape) -> Iterator[Shape]:
    yield shape
    for inner in (*shape.members.values(), *([shape.element] if shape.element else [])):
        yield from _described(inner)


def _descriptions(shape: Shape, root: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the schemas that describe an object's members: its own schema, or the schemas of its variants."""
    if shape.part.get("additionalProperties") is False:
        return
    choices = [condition for condition in shape.part.get(CONDITIONS, []) if condition.keys() & {"anyOf", "oneOf"}]
    forms = [form for one in choices for form in (*one.get("anyOf", []), *one.get("oneOf", []))]
    described = [form for form in forms if isinstance(form, Mapping) and "properties" in merged(form, root)]
    own = dereferenced(shape.schema, root) if isinstance(shape.schema, Mapping) else {}
    yield from [shape.schema] if "properties" in own or not described else described


def _pointer_of(part: Any, root: Mapping[str, Any], pointers: Mapping[int, str]) -> str | None:
    """Return the JSON Pointer of a schema or of the schema that it refers to. None if it was merged from several."""
    while isinstance(part, Mapping) and "$ref" in part and "properties" not in part:
        part = resolve(part["$ref"], root)
    return pointers.get(id(part))


def _closed_conditions(
    pointer: str, tested: Any, described: Mapping[str, Any], root: Mapping[str, Any], seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str, str]]:
    """Yield conditions that never hold for a valid value, because they forbid a field that the value requires."""
    for keyword, below, inner in inner_schemas(tested):
        place = f"{pointer}/{keyword}{below}"
        if keyword in IN_PLACE and isinstance(inner, Mapping):
            yield from _closed_condition(place, inner, described, root, seen)
        elif keyword == "contains" and isinstance(described.get("items"), Mapping):
            yield from _closed_condition(place, inner, merged(described["items"], root), root, seen)


def _closed_condition(
    place: str, condition: Any, described: Mapping[str, Any], root: Mapping[str, Any], seen: frozenset[str]
) -> Iterator[tuple[str, str, str]]:
    reference = condition.get("$ref")
    if reference in seen:  # the condition refers to itself
        return
    if reference:
        seen |= {reference}
        try:
            condition = merged(condition, root)
        except (TypeError, ValueError):  # it refers to the whole record, to an anchor, or to a missing schema
            return
    named = condition.get("properties", {})
    forbidden = [name for name in described.get("required", []) if name not in named]
    if condition.get("additionalProperties") is False and "patternProperties" not in condition and forbidden:
        says = f"holds for no valid record: it forbids the field {forbidden[0]}, which is required"
        if reference:
            yield place, says, 'Give the condition its own definition, without "additionalProperties": false.'
        else:
            yield f"{place}/additionalProperties", says, 'Remove "additionalProperties": false from the condition.'
    for name, inner in named.items():
        if isinstance(inner, Mapping) and name in described.get("properties", {}):
            inner_described = merged(described["properties"][name], root)
            yield from _closed_condition(f"{place}/properties/{name}", inner, inner_described, root, seen)
    yield from _closed_conditions(place, condition, described, root, seen)


def _of_examples(pointer: str, part: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    shared = {name: root[name] for name in ("$defs", "definitions") if name in root}
    try:
        validator = compiled({**part, **shared})
    except ValueError as exc:
        if "#/properties" in str(exc):  # a reference to another part: the examples of the whole record test it
            return
        yield pointer, str(exc).splitlines()[0], "Correct the schema."
        return
    for number, example in enumerate(part.get("examples", [])):
        for error in validator.iter_errors(example):
            place = f"{pointer}/examples/{number}" + "".join(f"/{step}" for step in error.instance_path)
            yield place, f"the example violates its schema: {error.message}", "Correct the example or the schema."


def _is_named_in(schema: Mapping[str, Any], pointer: str) -> bool:
    """Return whether the schema names the value at a JSON Pointer into a record."""
    part: Mapping[str, Any] = merged(schema, schema)
    for step in path_of(pointer):
        inner = part.get("items") if step.isdigit() else part.get("properties", {}).get(step)
        if inner is None:
            return "properties" not in part and "items" not in part  # a JSON value may have any members
        part = merged(inner, schema)
    return True
