"""Writes a schema's conditions on an object (`if`, `not`, `anyOf`, `required` and others) as SQL predicates.

In SQL, a null member and a missing member look the same. So each condition has two predicates: one is true only if the
condition holds, the other only if it fails. If neither is true, the exact validator decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.common.compiled_schema import compiled
from functions.common.schema_merging import ANNOTATIONS, dereferenced
from functions.common.schema_shapes import EMPTY, JSON, OBJECT, Shape
from functions.common.sql import identifier, literal

_TRUE, _FALSE = "true", "false"
_MOST_CHARACTERS = 10_000


class NotExpressibleError(Exception):
    """Raised if SQL can't test part of a schema."""


@dataclass(frozen=True, slots=True)
class _Sure:
    """Two SQL predicates for a schema. One is true only if a value meets the schema, the other only if it doesn't."""

    holds: str
    fails: str


_ALWAYS, _NEVER, _UNSURE = _Sure(_TRUE, _FALSE), _Sure(_FALSE, _TRUE), _Sure(_FALSE, _FALSE)


def surely_holds(schemas: Sequence[Any], shape: Shape, place: str, root: Any) -> str:
    """Return an SQL predicate that is true only if the object at `place` meets all `schemas`.

    Raises NotExpressibleError if SQL can't test one of the schemas.
    """
    made = _all([_Context(root).sure(schema, shape, place) for schema in schemas]).holds
    if len(made) > _MOST_CHARACTERS:
        raise NotExpressibleError
    return made


def takes_null(schemas: Sequence[Any], root: Any) -> bool:
    """Return whether all `schemas` accept null. Raises NotExpressibleError if one of them is invalid."""
    shared = {name: root[name] for name in ("$defs", "definitions") if name in root}
    try:
        return compiled({**shared, "allOf": list(schemas)}).is_valid(None)
    except ValueError as exc:
        raise NotExpressibleError from exc


@dataclass(frozen=True, slots=True)
class _Context:
    root: Any

    def sure(self, schema: Any, shape: Shape, place: str) -> _Sure:
        """Return the predicates for one schema. Assumes that the value at `place` is neither null nor missing."""
        if isinstance(schema, bool):
            return _ALWAYS if schema else _NEVER
        try:
            schema = dereferenced(schema, self.root)
        except (TypeError, ValueError) as exc:
            raise NotExpressibleError from exc
        parts = []
        for keyword in schema:
            if keyword not in ANNOTATIONS and keyword not in ("then", "else"):
                if keyword not in _KEYWORDS:
                    raise NotExpressibleError
                parts.append(_KEYWORDS[keyword](self, schema, shape, place))
        return _all(parts)

    def type(self, schema: Mapping[str, Any], shape: Shape, _place: str) -> _Sure:
        given = {schema["type"]} if isinstance(schema["type"], str) else {*schema["type"]}
        if shape.kind == JSON:
            raise NotExpressibleError
        if shape.kind in given or (shape.kind == "integer" and "number" in given):
            return _ALWAYS
        return _UNSURE if shape.kind == "number" and "integer" in given else _NEVER

    def constants(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        kind = {"string": str, "integer": int, "boolean": bool}.get(shape.kind)
        if kind is None or any(isinstance(value, float) for value in values) or {"const", "enum"} <= schema.keys():
            raise NotExpressibleError
        same = [literal(value) if kind is str else str(value).lower() for value in values if type(value) is kind]
        if not same:
            return _NEVER
        return _Sure(
            f"coalesce({place} IN ({', '.join(same)}), false)", f"coalesce({place} NOT IN ({', '.join(same)}), false)"
        )

    def required(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        found = []
        for name in schema["required"]:
            member = _member(shape, name)
            if member is None:
                found.append(_NEVER)
            elif name in shape.part.get("required", []):
                found.append(_ALWAYS)
            else:
                value = f"{place}.{identifier(name)}"
                found.append(_Sure(f"{value} IS NOT NULL", _FALSE if member.nullable else f"{value} IS NULL"))
        return _all(found)

    def properties(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        found = []
        for name, inner in schema["properties"].items():
            member = _member(shape, name)
            if member is not None:
                value = f"{place}.{identifier(name)}"
                sure = self.sure(inner, member, value)
                without = set[bool]()
                if name not in shape.part.get("required", []):
                    without.add(True)  # a missing member is valid
                if member.nullable:
                    without.add(takes_null([inner], self.root))
                null_holds, null_fails = str(False not in without).lower(), str(True not in without).lower()
                found.append(
                    _Sure(
                        f"CASE WHEN {value} IS NULL THEN {null_holds} ELSE {sure.holds} END",
                        f"CASE WHEN {value} IS NULL THEN {null_fails} ELSE {sure.fails} END",
                    )
                )
        return _all(found)

    def closed(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        if schema["additionalProperties"] is not False or "patternProperties" in schema or shape.kind != OBJECT:
            raise NotExpressibleError
        found = []
        for name in shape.members:
            if name not in schema.get("properties", {}):
                member, value = _member(shape, name), f"{place}.{identifier(name)}"
                is_certain = member is not None and not member.nullable
                found.append(_Sure(f"{value} IS NULL" if is_certain else _FALSE, f"{value} IS NOT NULL"))
        return _all(found)

    def bounds(self, keyword: str, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        operator, other = {
            "minimum": (">=", "<"),
            "maximum": ("<=", ">"),
            "exclusiveMinimum": (">", "<="),
            "exclusiveMaximum": ("<", ">="),
        }[keyword]
        if shape.kind != "integer" or type(schema[keyword]) is not int:
            raise NotExpressibleError
        return _Sure(
            f"coalesce({place} {operator} {schema[keyword]}, false)",
            f"coalesce({place} {other} {schema[keyword]}, false)",
        )

    def negated(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        inner = self.sure(schema["not"], shape, place)
        return _Sure(inner.fails, inner.holds)

    def every(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        return _all([self.sure(one, shape, place) for one in schema["allOf"]])

    def any(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        found = [self.sure(one, shape, place) for one in schema["anyOf"]]
        return _Sure(_or([one.holds for one in found]), _and([one.fails for one in found]))

    def one(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        found = [self.sure(one, shape, place) for one in schema["oneOf"]]
        exactly = [
            _and([one.holds, *(other.fails for m, other in enumerate(found) if m != n)]) for n, one in enumerate(found)
        ]
        pairs = [_and([one.holds, other.holds]) for n, one in enumerate(found) for other in found[n + 1 :]]
        return _Sure(_or(exactly), _or([_and([one.fails for one in found]), *pairs]))

    def if_then(self, schema: Mapping[str, Any], shape: Shape, place: str) -> _Sure:
        tested, then, other = (self.sure(schema.get(name, True), shape, place) for name in ("if", "then", "else"))
        return _Sure(
            _and([_or([tested.fails, then.holds]), _or([tested.holds, other.holds])]),
            _or([_and([tested.holds, then.fails]), _and([tested.fails, other.fails])]),
        )


_Keyword = Callable[[_Context, Mapping[str, Any], Shape, str], _Sure]


def _bound(keyword: str) -> _Keyword:
    return lambda context, schema, shape, place: context.bounds(keyword, schema, shape, place)


_KEYWORDS: Mapping[str, _Keyword] = {
    "type": _Context.type,
    "const": _Context.constants,
    "enum": _Context.constants,
    "required": _Context.required,
    "properties": _Context.properties,
    "additionalProperties": _Context.closed,
    "not": _Context.negated,
    "allOf": _Context.every,
    "anyOf": _Context.any,
    "oneOf": _Context.one,
    "if": _Context.if_then,
    **{name: _bound(name) for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
}


def _member(shape: Shape, name: str) -> Shape | None:
    """Return the shape of a member that is a column. None if a closed object never has the member."""
    if shape.kind != OBJECT:
        raise NotExpressibleError
    member = shape.members.get(name)
    if member is not None and member.kind == EMPTY:
        raise NotExpressibleError
    return member


def _all(parts: Sequence[_Sure]) -> _Sure:
    return _Sure(_and([one.holds for one in parts]), _or([one.fails for one in parts]))


def _and(parts: Sequence[str]) -> str:
    found = [part for part in dict.fromkeys(parts) if part != _TRUE]
    if _FALSE in found:
        return _FALSE
    return f"({' AND '.join(found)})" if found else _TRUE


def _or(parts: Sequence[str]) -> str:
    found = [part for part in dict.fromkeys(parts) if part != _FALSE]
    if _TRUE in found:
        return _TRUE
    return f"({' OR '.join(found)})" if found else _FALSE
