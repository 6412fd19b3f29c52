"""Decides for each part of a schema how the fast path reads it: into a msgspec type, or as an untyped value.

A part is typed if msgspec and SQL can test everything in its schema. Otherwise it is untyped: msgspec parses it, and
the exact validator tests it against its own schema. Only parts that need this are untyped, not the whole record.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.common.compiled_schema import compiled, exact_schema
from functions.common.contract import Version
from functions.common.record_types import EPOCHS, INT64, decimal_of
from functions.common.schema_merging import ANNOTATIONS, CONDITIONS, INEXACT
from functions.common.schema_parts import bounds_of_integers
from functions.common.schema_shapes import ARRAY, EMPTY, OBJECT, Shape, shape_of
from functions.validate.contract_sql.conditions import NotExpressibleError, surely_holds, takes_null
from functions.validate.contract_sql.patterns import is_expressible

BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_KNOWN: Mapping[str, frozenset[str]] = {
    OBJECT: frozenset({"properties", "required", "additionalProperties"}),
    ARRAY: frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format", "enum", "const", "decimal"}),
    "integer": BOUNDS | {"const", "enum", "format"},
    "number": BOUNDS | {"decimal"},
    "boolean": frozenset(),
}
"""The keywords of each type that the fast path understands, in addition to `type`."""

_EXACT_IN_A_FLOAT = 2**53
_TYPES_OF: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True, eq=False)
class DecodingPlan:
    """Describes how to read one part of a record."""

    shape: Shape
    column: Shape
    """The shape of the part's column. In a variant of a polymorphic object, it may be wider than the part's shape."""
    level: int
    """The number of arrays and objects that enclose the part."""
    is_untyped: bool = False
    is_valid: Callable[[Any], bool] | None = None
    """The exact test of an untyped part. None if the part's schema only limits its type: see `types`."""
    types: frozenset[type] | None = None
    """The Python types that an untyped part may have. None for any type."""
    members: Mapping[str, "DecodingPlan"] = field(default_factory=dict)
    element: "DecodingPlan | None" = None
    branches: Sequence[tuple[str | int, "DecodingPlan"]] = ()
    condition: Callable[[str], str] | None = None
    """Takes an SQL expression for the object, and returns a predicate that is true only if the conditions hold."""

    def walk(self) -> Iterator["DecodingPlan"]:
        """Yield this plan and all plans inside it."""
        yield self
        inner = [*self.members.values(), *([self.element] if self.element else []), *(one for _, one in self.branches)]
        for one in inner:
            yield from one.walk()


def plan_of(version: Version) -> DecodingPlan:
    """Return the plan for a version's records. Raises TypeError or ValueError if its schema can't describe a row."""
    schema = version.schema
    shape = shape_of(schema, schema)
    try:
        return _plan(shape, shape, schema, 0)
    except NotUnderstoodError:
        return DecodingPlan(shape, shape, 0, is_untyped=True, is_valid=compiled(exact_schema(version)).is_valid)


def is_field_name(name: str) -> bool:
    """Return whether a msgspec type can have a field of this name: msgspec rejects names that JSON must escape."""
    return name.isprintable() and not {'"', "\\"} & {*name}


class NotUnderstoodError(Exception):
    """Raised if the fast path can't test everything in a part of a schema."""


def _plan(shape: Shape, column: Shape, root: Any, level: int) -> DecodingPlan:
    try:
        return _typed(shape, column, root, level)
    except NotUnderstoodError:
        return _untyped(shape, column, root, level)


def _untyped(shape: Shape, column: Shape, root: Any, level: int) -> DecodingPlan:
    said = shape.part.keys() - ANNOTATIONS  # keeps INEXACT, which marks a schema that says more than the part
    given = shape.part.get("type")
    types = None if given is None else frozenset(kind for name in _listed(given) for kind in _TYPES_OF[name])
    is_only_typed = said <= {"type"} and "integer" not in _listed(given)
    is_open = said <= {"type", "additionalProperties"} and shape.part.get("additionalProperties") is True
    if is_only_typed or is_open:
        return DecodingPlan(shape, column, level, is_untyped=True, types=types)
    shared = {name: root[name] for name in ("$defs", "definitions") if name in root}
    schema = shape.schema if isinstance(shape.schema, Mapping) else {} if shape.schema is True else {"not": {}}
    if not all(_is_shared(reference) for reference in _references([schema, shared])):
        raise NotUnderstoodError
    bounds = bounds_of_integers(schema, root)
    try:
        validator = compiled({**shared, "allOf": [{k: v for k, v in schema.items() if k != "$schema"}, bounds]})
    except ValueError as exc:
        raise NotUnderstoodError from exc
    return DecodingPlan(shape, column, level, is_untyped=True, is_valid=validator.is_valid)


def _listed(given: Any) -> Sequence[str]:
    return [given] if isinstance(given, str) else given or []


def _references(part: Any) -> Iterator[str]:
    """Yield the value of every reference and identifier in a schema."""
    if isinstance(part, Mapping):
        for name, inner in part.items():
            if name in ("$ref", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor") and isinstance(inner, str):
                yield inner
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _is_shared(reference: str) -> bool:
    return reference.startswith(("#/$defs/", "#/definitions/"))


# --- what a msgspec type and SQL can test -----------------------------------------------------------------------------


def _typed(shape: Shape, column: Shape, root: Any, level: int) -> DecodingPlan:
    part, kind = shape.part, shape.kind
    if kind == EMPTY and column.kind == EMPTY and part.keys() - ANNOTATIONS == {"type"} and part["type"] == "null":
        return DecodingPlan(shape, column, level)
    if INEXACT in part or kind not in _KNOWN or column.kind not in (kind, "number" if kind == "integer" else kind):
        raise NotUnderstoodError
    if shape.branches:
        if column is not shape:
            raise NotUnderstoodError
        branches = [(one.constant, _plan(one.shape, column, root, level)) for one in shape.branches]
        if any(plan.is_untyped for _, plan in branches):
            raise NotUnderstoodError
        return DecodingPlan(shape, column, level, branches=branches)
    if part.keys() - ANNOTATIONS - _KNOWN[kind] - {"type"} - ({CONDITIONS} if kind == OBJECT else set()):
        raise NotUnderstoodError
    if kind == OBJECT:
        return _object(shape, column, root, level)
    if kind == ARRAY and shape.element and column.element:
        _check_limits(part, "minItems", "maxItems")
        if part.get("uniqueItems") and (column is not shape or not _is_comparable(shape.element)):
            raise NotUnderstoodError
        return DecodingPlan(shape, column, level, element=_plan(shape.element, column.element, root, level + 1))
    _check_scalar(part, kind)
    return DecodingPlan(shape, column, level)


def _is_comparable(shape: Shape) -> bool:
    """Return whether equal values are always equal in SQL. A string of JSON can spell a value in several ways."""
    return not shape.has_json


def _object(shape: Shape, column: Shape, root: Any, level: int) -> DecodingPlan:
    part = shape.part
    known = [*shape.members]  # not a set: `required` may have values that can't be hashed
    if part.get("additionalProperties") is not False or any(name not in known for name in part.get("required", [])):
        raise NotUnderstoodError
    if not all(map(is_field_name, shape.members)):
        raise NotUnderstoodError
    members = {
        name: _plan(member, column.members.get(name, member), root, level + 1) for name, member in shape.members.items()
    }
    return DecodingPlan(shape, column, level, members=members, condition=_condition(shape, column, root))


def _condition(shape: Shape, column: Shape, root: Any) -> Callable[[str], str] | None:
    schemas = shape.part.get(CONDITIONS)
    if not schemas:
        return None
    try:
        made = surely_holds(schemas, shape, "place", root)
        is_null_valid = not shape.nullable or takes_null(schemas, root)
    except NotExpressibleError as exc:
        raise NotUnderstoodError from exc
    if made == "false" or column is not shape or not is_null_valid:
        raise NotUnderstoodError
    return lambda place: surely_holds(schemas, shape, place, root)


def _check_scalar(part: Mapping[str, Any], kind: str) -> None:
    constants = [part["const"]] if "const" in part else part.get("enum", [])
    if kind == "string":
        _check_limits(part, "minLength", "maxLength")
        if constants and part.keys() & {"minLength", "maxLength", "pattern", "format", "decimal"}:
            raise NotUnderstoodError
        if any(not isinstance(value, str | None) for value in constants) or ({"const", "enum"} <= part.keys()):
            raise NotUnderstoodError
    if kind == "integer":
        if constants and (part.keys() & BOUNDS or {"const", "enum"} <= part.keys()):
            raise NotUnderstoodError
        if any(type(value) is not int and value is not None for value in constants):
            raise NotUnderstoodError
        if any(value is not None and not INT64[0] < value < INT64[1] for value in constants):
            raise NotUnderstoodError
        if "format" in part and part["format"] not in EPOCHS:
            raise NotUnderstoodError
    if {"const", "enum"} & part.keys() and not any(value is not None for value in constants):
        raise NotUnderstoodError
    if "decimal" in part:
        decimal_of(part["decimal"])
    if kind in ("integer", "number"):
        limits = {*INT64, *(limit for ends in EPOCHS.values() for limit in ends)}  # msgspec's own, and exact integers
        given = [part[name] for name in BOUNDS if name in part and part[name] not in limits]
        if any(type(bound) is not int or abs(bound) > _EXACT_IN_A_FLOAT for bound in given):
            raise NotUnderstoodError
    if not is_expressible(part, kind):
        raise NotUnderstoodError


def _check_limits(part: Mapping[str, Any], *names: str) -> None:
    if any(type(part[name]) is not int for name in names if name in part):
        raise NotUnderstoodError
