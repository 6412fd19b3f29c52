"""Checks the schemas of a contract: they are schemas, their examples keep them, and nothing in them does nothing."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from functions.common.compiled_schema import compiled
from functions.common.contract import Contract, Version, path_of
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
"""The keywords that mean something, each with the types of which it says anything; empty: of all."""

_FORMATS = {
    *("date", "date-time", "time", "duration", "email", "hostname"),
    *("ipv4", "ipv6", "uri", "uuid", "regex", "json-pointer"),
}


def schema_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    """What is wrong with the schemas of all versions, and with the pointers into them."""
    for version in contract.versions:
        path = folder / f"v{version.number}.schema.json"
        for pointer, says, mend in _of_schema(version):
            yield Fault(path, line_at(path, pointer), says, mend)
    path = folder / "contract.json"
    for number, rule in enumerate(contract.rules):
        if not _stands_in(contract.current.schema, rule.pointer):
            says = f"the rule {rule.code} points to {rule.pointer}, which no record of the current version has"
            yield Fault(path, line_at(path, f"/rules/{number}/pointer"), says, "Point to a field of the schema.")


def null_warnings(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Schemas that name null next to a reference to a schema that forbids it, so that it is not valid."""
    for version in contract.versions:
        path = folder / f"v{version.number}.schema.json"
        for pointer, part in parts(version.schema):
            given = part.get("type", [])
            if (
                "$ref" in part
                and "null" in given
                and "null" not in (types_of(merged(part, version.schema)) or ["null"])
            ):
                says = f"names null next to a reference to {part['$ref']}, which forbids null: null is rejected"
                mend = f'Write "anyOf": [{{"$ref": "{part["$ref"]}"}}, {{"type": "null"}}].'
                yield Fault(path, line_at(path, f"{pointer}/type"), says, mend)


def _of_schema(version: Version) -> Iterator[tuple[str, str, str]]:
    """Pointer, sentence and mend of each fault of a schema."""
    schema = version.schema
    if schema.get("$schema") != _DRAFT:
        yield "/$schema", "is not of the draft that records are checked by", f'Write "$schema": "{_DRAFT}".'
        return
    if not schema.get("examples"):
        says = 'has no "examples", and so no record that the SQL can be tried on'
        yield "", says, 'Give at least one whole record: "examples": [{...}].'
    describe, apply = describing(schema), conditions(schema)
    yield from _of_shapes(schema, apply)
    for pointer, part in parts(schema):
        yield from ((pointer + below, says, mend) for below, says, mend in _of_part(part))
        if pointer in describe:
            yield from _closed_conditions(pointer, part, merged(part, schema), schema)
        yield from _of_examples(pointer, part, schema)


def _of_part(part: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    given = part.get("type", [])
    types = {*(given if isinstance(given, list) else [given])}
    for keyword in part:
        if keyword not in ANNOTATIONS and keyword not in _KEYWORDS:
            near = get_close_matches(keyword, _KEYWORDS, n=1)
            mend = f"Did you mean {near[0]}?" if near else "Take it out."
            yield f"/{keyword}", f"has a keyword {keyword}, which JSON Schema does not know", mend
        elif types and (kinds := _KEYWORDS.get(keyword)) and not types & kinds:
            says = f"has {keyword}, which says nothing of {' or '.join(sorted(types))}"
            yield f"/{keyword}", says, "Take it out, or give the value another type."
    if form := part.get("format"):
        is_number = types <= {"integer", "null"} and "integer" in types
        known = sorted(EPOCHS) if is_number else sorted(_FORMATS)
        if form not in known:
            says = f"has the format {form}, which is not checked" + (
                f" of {' or '.join(sorted(types))}" if types else ""
            )
            yield "/format", says, f"Use one of {', '.join(known)}{'' if is_number else ', or a pattern'}."
    if "default" in part:
        says = "has a default, which nothing fills in: a record without the field stays without it"
        yield "/default", says, "Take it out; if a missing value means something, say so in the table's SQL."
    if isinstance(part.get("multipleOf"), float):
        says = "has a fractional multipleOf, on which validators disagree (19.99 is no multiple of 0.01 to some)"
        yield "/multipleOf", says, 'Use "decimal": [precision, scale].'


def _of_shapes(schema: Mapping[str, Any], apply: set[str]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the schemas that describe values of the record: each of its values needs a column."""
    pointers = {id(part): pointer for pointer, part in parts(schema)}
    found: dict[str, tuple[str, str]] = {}
    for shape in _described(shape_of(schema, schema)):
        for part in _descriptions(shape, schema):
            pointer = _pointer_of(part, schema, pointers)
            one = merged(part, schema)
            if pointer is None or pointer in found or "properties" not in one:
                continue
            if "type" not in one and shape.kind == JSON:
                says = "has properties and no type, and so becomes a string of JSON"
                found[pointer] = says, 'Add "type": "object" for columns of its own, or leave the properties out.'
            elif shape.kind == OBJECT and one.get("additionalProperties") is not False:
                says = "lets fields pass that it does not name, and that no table can have"
                mend = (
                    'Add "additionalProperties": false; "unknown_fields" in the contract can have them dropped or kept.'
                )
                if pointer in apply:  # closed, it would no longer hold where it is a condition
                    mend = f"Give the conditions that refer to it a definition of their own, then: {mend}"
                found[pointer] = says, mend
    yield from ((pointer, says, mend) for pointer, (says, mend) in found.items())


def _described(shape: Shape) -> Iterator[Shape]:
    yield shape
    for inner in (*shape.members.values(), *([shape.element] if shape.element else [])):
        yield from _described(inner)


def _descriptions(shape: Shape, root: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that say which members an object has: its own, or those of the forms that it is one of."""
    if shape.part.get("additionalProperties") is False:
        return
    choices = [condition for condition in shape.part.get(CONDITIONS, []) if condition.keys() & {"anyOf", "oneOf"}]
    forms = [form for one in choices for form in (*one.get("anyOf", []), *one.get("oneOf", []))]
    described = [form for form in forms if isinstance(form, Mapping) and "properties" in merged(form, root)]
    own = dereferenced(shape.schema, root) if isinstance(shape.schema, Mapping) else {}
    yield from [shape.schema] if "properties" in own or not described else described


def _pointer_of(part: Any, root: Mapping[str, Any], pointers: Mapping[int, str]) -> str | None:
    """Where a schema is written, or what it refers to; None if it was made of several."""
    while isinstance(part, Mapping) and "$ref" in part and "properties" not in part:
        part = resolve(part["$ref"], root)
    return pointers.get(id(part))


def _closed_conditions(
    pointer: str, tested: Any, described: Mapping[str, Any], root: Mapping[str, Any], seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str, str]]:
    """Conditions on a described value that hold for no valid one, since they forbid a field that it must have."""
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
        except (TypeError, ValueError):  # it refers to the whole record, to an anchor or to nothing
            return
    named = condition.get("properties", {})
    forbidden = [name for name in described.get("required", []) if name not in named]
    if condition.get("additionalProperties") is False and "patternProperties" not in condition and forbidden:
        says = f"holds for no valid record: it forbids the field {forbidden[0]}, which must be there"
        if reference:
            yield place, says, 'Give the condition a definition of its own, without "additionalProperties": false.'
        else:
            yield f"{place}/additionalProperties", says, 'Take "additionalProperties": false out of the condition.'
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
        if "#/properties" in str(exc):  # a reference to what is not here: the whole record's examples see it
            return
        yield pointer, str(exc).splitlines()[0], "Mend the schema."
        return
    for number, example in enumerate(part.get("examples", [])):
        for error in validator.iter_errors(example):
            place = f"{pointer}/examples/{number}" + "".join(f"/{step}" for step in error.instance_path)
            yield place, f"the example breaks the schema that it stands in: {error.message}", "Mend one of the two."


def _stands_in(schema: Mapping[str, Any], pointer: str) -> bool:
    """Whether a JSON Pointer into a record leads to something that the schema names."""
    part: Mapping[str, Any] = merged(schema, schema)
    for step in path_of(pointer):
        inner = part.get("items") if step.isdigit() else part.get("properties", {}).get(step)
        if inner is None:
            return "properties" not in part and "items" not in part  # JSON may have any members
        part = merged(inner, schema)
    return True
