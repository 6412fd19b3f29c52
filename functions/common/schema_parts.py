"""Finds the schemas inside a JSON Schema. Some describe the record itself, and others are only conditions on it.

The record, its members (`properties`) and the elements of its arrays (`items`) become columns. Every other keyword that
applies a schema (`if`, `not`, `anyOf`, `contains`, …) tests a value that is described elsewhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from functions.common.json_pointer import escaped, pointer_in, unescaped
from functions.common.record_types import merged, missing_bounds

_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SINGLE = (
    *("items", "contains", "not", "if", "then", "else", "propertyNames"),
    *("additionalProperties", "unevaluatedProperties", "unevaluatedItems"),
)
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_DESCRIBING = ("properties", "items")
IN_PLACE = frozenset({"if", "then", "else", "not", "allOf", "anyOf", "oneOf", "dependentSchemas"})
"""The keywords whose schemas apply to the value itself, not to its members or elements."""

_DEFINITIONS = ("$defs", "definitions")


def parts(schema: Any, pointer: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a schema and every schema inside it, each with its JSON Pointer."""
    if isinstance(schema, Mapping):
        yield pointer, schema
        for keyword, below, inner in inner_schemas(schema):
            yield from parts(inner, f"{pointer}/{keyword}{below}")


def describing(schema: Any) -> set[str]:
    """Return the JSON Pointers of the schemas that describe the record, its members and its elements."""
    return _reached(schema, "", schema, set())


def conditions(schema: Any) -> set[str]:
    """Return the JSON Pointers of the schemas that are conditions. `describing` can return the same definitions."""
    found: set[str] = set()
    for pointer in describing(schema):
        for keyword, below, inner in inner_schemas(_at(schema, pointer)):
            if keyword not in _DESCRIBING and keyword not in _DEFINITIONS:
                found |= _applied(inner, f"{pointer}/{keyword}{below}", schema, found)
    return found


def bounds_of_integers(schema: Any, root: Any) -> dict[str, Any]:
    """Return a schema that only limits each whole number of the record to the range of its column."""
    part = merged(schema, root)
    bounds: dict[str, Any] = {}
    given = part.get("type", [])
    if "integer" in ([given] if isinstance(given, str) else given):
        bounds |= missing_bounds(part)
    members = {name: bounds_of_integers(inner, root) for name, inner in part.get("properties", {}).items()}
    if members := {name: inner for name, inner in members.items() if inner}:
        bounds["properties"] = members
    if isinstance(part.get("items"), Mapping) and (elements := bounds_of_integers(part["items"], root)):
        bounds["items"] = elements
    return bounds


def inner_schemas(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the keyword, the JSON Pointer below it, and the schema for each schema directly inside a schema."""
    for keyword in _NAMED:
        for name, inner in _mapping(schema.get(keyword)).items():
            yield keyword, f"/{escaped(name)}", inner
    for keyword in _SINGLE:
        if isinstance(schema.get(keyword), Mapping):
            yield keyword, "", schema[keyword]
    for keyword in _LISTED:
        listed = schema.get(keyword)
        for number, inner in enumerate(listed if isinstance(listed, list) else []):
            yield keyword, f"/{number}", inner


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _reached(schema: Any, pointer: str, root: Any, found: set[str]) -> set[str]:
    if isinstance(schema, Mapping) and pointer not in found:
        found.add(pointer)
        for keyword, below, inner in inner_schemas(schema):
            if keyword in _DESCRIBING:
                _reached(inner, f"{pointer}/{keyword}{below}", root, found)
        _follow(schema, root, found, _reached)
    return found


def _applied(schema: Any, pointer: str, root: Any, found: set[str]) -> set[str]:
    if isinstance(schema, Mapping) and pointer not in found:
        found.add(pointer)
        for keyword, below, inner in inner_schemas(schema):
            if keyword not in _DEFINITIONS:
                _applied(inner, f"{pointer}/{keyword}{below}", root, found)
        _follow(schema, root, found, _applied)
    return found


def _follow(schema: Mapping[str, Any], root: Any, found: set[str], walk: Any) -> None:
    """Call `walk` with the schema that a local `$ref` names."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        pointer = pointer_in(reference)
        walk(_at(root, pointer), pointer, root, found)


def _at(root: Any, pointer: str) -> Any:
    part = root
    for step in pointer.split("/")[1:]:
        name = unescaped(step)
        if isinstance(part, list):
            part = part[int(name)] if name.isdigit() and int(name) < len(part) else None
        else:
            part = _mapping(part).get(name)
    return part
