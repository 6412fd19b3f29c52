"""Converts equivalent JSON Schemas, which can be written in many ways, to one form.

A merged part has no `$ref`, `allOf`, `anyOf` or `oneOf`: its other keywords express them. It accepts the same values as
the original part, with two exceptions. CONDITIONS has additional schemas for the value that could not be merged. The
part then describes the columns of all alternatives. INEXACT says that keywords contradict each other in a way that
can't be merged.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from functions.common.json_pointer import pointer_in, unescaped

CONDITIONS, INEXACT = "(conditions)", "(inexact)"
"""Keywords that only merged parts have."""

ANNOTATIONS = frozenset(
    {
        "$schema",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "examples",
        "default",
        "deprecated",
        "readOnly",
        "writeOnly",
    }
)
"""Keywords that don't restrict which values are valid."""

NOTHING: Mapping[str, Any] = {"type": "null", INEXACT: True}
"""The merged form of `false`, by which no value is valid or needs a column."""

_REFERENCES = ("$ref", "allOf", "anyOf", "oneOf")
_CONDITIONAL = ("if", "not", "dependentSchemas", "dependentRequired")
_MOST_LEVELS = 100
_TIGHTEST = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


class _ContradictionError(Exception):
    """Raised if two parts can't be merged into one."""


def resolve(reference: Any, root: Any) -> Mapping[str, Any]:
    """Return the part of `root` that a local `$ref` names, such as `#/$defs/money`. Raises TypeError if missing."""
    part: Any = root
    for step in pointer_in(str(reference)).removeprefix("/").split("/"):
        name = unescaped(step)
        part = part.get(name) if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping):
        raise TypeError(f"the schema has no schema at {reference}")
    return part


def dereferenced(schema: Any, root: Any, place: str = "") -> Mapping[str, Any]:
    """Return a part of a schema with its local references resolved.

    Keywords next to a `$ref` override those of the referenced schema. Raises ValueError if the part refers to itself.
    """
    for _ in range(_MOST_LEVELS):
        if isinstance(schema, bool):
            return {} if schema else NOTHING
        if not isinstance(schema, Mapping):
            raise TypeError(f"the schema{place} must be an object")
        if "$ref" not in schema:
            return schema
        siblings = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**resolve(schema["$ref"], root), **siblings}
    raise ValueError("the schema refers to itself, or nests too deeply to be a row")


def merged(schema: Any, root: Any, place: str = "") -> Mapping[str, Any]:
    """Return a part of a schema in merged form (see the module). Raises TypeError or ValueError if it is invalid."""
    return _merged(schema, root, place, 0, with_columns=True)


def unconditional(schema: Any, root: Any) -> Mapping[str, Any]:
    """Return the merged part without its conditions and without the columns of alternatives."""
    part = _merged(schema, root, "", 0, with_columns=False)
    return {name: value for name, value in part.items() if name != CONDITIONS}


def _merged(schema: Any, root: Any, place: str, level: int, *, with_columns: bool) -> Mapping[str, Any]:
    if isinstance(schema, bool):
        return {} if schema else NOTHING
    if not isinstance(schema, Mapping):
        raise TypeError(f"the schema{place} must be an object")
    if level > _MOST_LEVELS:
        raise ValueError("the schema refers to itself, or nests too deeply to be a row")
    if schema.keys().isdisjoint((*_REFERENCES, *_CONDITIONAL, "unevaluatedProperties")):
        return schema
    part: Mapping[str, Any] = {
        name: value for name, value in schema.items() if name not in (*_REFERENCES, *_CONDITIONAL, "then", "else")
    }
    more: list[Mapping[str, Any]] = []
    if "$ref" in schema:
        more.append(_merged(resolve(schema["$ref"], root), root, place, level + 1, with_columns=with_columns))
    for one in _list(schema.get("allOf")):
        more.append(_merged(one, root, place, level + 1, with_columns=with_columns))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            choice = _choice(keyword, _list(schema[keyword]), root, place, level + 1)
            more.append(choice if with_columns or CONDITIONS not in choice else {CONDITIONS: choice[CONDITIONS]})
    conditions = [{name: schema[name] for name in ("if", "then", "else") if name in schema}] if "if" in schema else []
    conditions += [{name: schema[name]} for name in _CONDITIONAL[1:] if name in schema]
    try:
        part = reduce(_both, [*more, part])
    except _ContradictionError:
        part = {name: value for one in (*more, part) for name, value in one.items()} | {INEXACT: True}
    if conditions:
        part = {**part, CONDITIONS: [*part.get(CONDITIONS, []), *conditions]}
    return _evaluated(part, schema, root, place, level) if "unevaluatedProperties" in part else part


def _evaluated(part: Mapping[str, Any], schema: Any, root: Any, place: str, level: int) -> Mapping[str, Any]:
    """Return a part that uses `additionalProperties` to forbid the members that `unevaluatedProperties` forbids."""
    if part["unevaluatedProperties"] is not False:
        return part
    closed = {name: value for name, value in part.items() if name != "unevaluatedProperties"}
    closed["additionalProperties"] = False
    conditions = part.get(CONDITIONS, [])
    if not conditions and INEXACT not in part:
        return closed
    properties = dict(part.get("properties", {}))
    for condition in conditions:
        for keyword in ("if", "then", "else"):
            if isinstance(condition.get(keyword), Mapping):
                described = _merged(condition[keyword], root, place, level + 1, with_columns=True).get("properties", {})
                properties = {**described, **properties}
    return {**closed, "properties": properties, CONDITIONS: [schema]}


def types_of(part: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the types that a part allows, including `null`, or None if it allows any type."""
    if "type" in part:
        given = part["type"]
        return frozenset([given] if isinstance(given, str) else map(str, given))
    if "const" in part:
        return frozenset({_type_of_value(part["const"])})
    if "enum" in part:
        return frozenset(map(_type_of_value, part["enum"]))
    return None


def _type_of_value(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "object")


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


# --- both parts apply -------------------------------------------------------------------------------------------------


def _both(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part that accepts the values that both parts accept. Raises _ContradictionError if none exists."""
    _check_closed(first, second)
    _check_closed(second, first)
    made = {**first, **second}
    for keyword in first.keys() & second.keys() - ANNOTATIONS:
        made[keyword] = _both_say(keyword, first[keyword], second[keyword])
    for one, other in ((first, second), (second, first)):
        if "type" in one and "enum" in other and "enum" in made and "type" not in other:
            made["enum"] = [value for value in made["enum"] if _type_of_value(value) in _widened(one["type"])]
    return made


def _check_closed(closed: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise _ContradictionError if `additionalProperties` in one part forbids a member that the other describes."""
    if "additionalProperties" in closed or "patternProperties" in closed:
        named = closed.get("properties", {})
        if any(name not in named for name in (*other.get("properties", {}), *other.get("required", []))):
            raise _ContradictionError
    if "items" in closed and "prefixItems" in other:
        raise _ContradictionError


def _both_say(keyword: str, first: Any, second: Any) -> Any:
    if keyword == CONDITIONS:
        return [*first, *second]
    if keyword == "type":
        common = [one for one in _TYPES if one in _widened(first) and one in _widened(second)]
        if "number" in common:
            common.remove("integer")
        if not common:
            raise _ContradictionError
        return common[0] if len(common) == 1 else common
    if first == second:
        return first
    if keyword == "required":
        return [*first, *(name for name in second if name not in first)]
    if keyword == "properties":
        shared = {name: {"allOf": [first[name], second[name]]} for name in first if name in second}
        return {**first, **second, **shared}
    if keyword == "items":
        return {"allOf": [first, second]}
    if keyword == "enum" and (common := [value for value in first if value in second]):
        return common
    if keyword in _TIGHTEST and all(isinstance(limit, int | float) for limit in (first, second)):
        return _TIGHTEST[keyword](first, second)
    raise _ContradictionError


def _widened(given: str | Sequence[str]) -> set[str]:
    """Return the types as a set, with `integer` added if `number` is among them."""
    types = {given} if isinstance(given, str) else set(given)
    return types | ({"integer"} if "number" in types else set())


# --- one of several parts applies -------------------------------------------------------------------------------------


def _choice(keyword: str, options: Sequence[Any], root: Any, place: str, level: int) -> Mapping[str, Any]:
    """Return the merged form of `anyOf` or `oneOf`, which is exact for one schema or null.

    For other alternatives, the form has the columns of all alternatives and a condition.
    """
    parts = [_merged(one, root, place, level, with_columns=True) for one in options if one is not False]
    nulls = [part for part in parts if types_of(part) == frozenset({"null"})]
    others = [part for part in parts if part not in nulls]
    if not parts:
        raise TypeError(f"the schema{place} must have a schema other than false in {keyword}")
    if not others:
        return nulls[0]
    if len(others) == 1 and (keyword == "anyOf" or len(nulls) <= 1):
        if not nulls:
            return others[0]
        allowed = types_of(others[0])
        takes_null = allowed is None or "null" in allowed
        is_simple = not others[0].keys() & {CONDITIONS, INEXACT} and nulls[0].keys() - ANNOTATIONS == {"type"}
        if is_simple and not (keyword == "oneOf" and takes_null):
            return with_null(others[0])
    union = reduce(_either, others)
    if nulls:
        union = with_null(union)
    return {**union, CONDITIONS: [{keyword: list(options)}]}


def with_null(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part that accepts null in addition to the values of `part`."""
    made = dict(part)
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if "type" in made:
        given = [made["type"]] if isinstance(made["type"], str) else made["type"]
        made["type"] = [*given, *(["null"] if "null" not in given else [])]
    return made


def _either(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part with the columns of both parts. The result may accept more values than both parts do."""
    types, others = types_of(first), types_of(second)
    if types is None or others is None:
        return {}
    both = types | others
    if len(both - {"null"}) > 1 and both - {"null"} != {"integer", "number"}:
        return {"type": [one for one in _TYPES if one in both]}
    kind = "number" if "number" in both else next(iter(both - {"null"}), "null")
    made: dict[str, Any] = {"type": [kind, "null"] if "null" in both else kind}
    for keyword in ("format", "decimal", "enum"):
        if keyword in first and first.get(keyword) == second.get(keyword):
            made[keyword] = first[keyword]
    match first.get("decimal"), second.get("decimal"):
        case [int(precision), int(scale)], [int(other), int(finer)]:
            before, after = max(precision - scale, other - finer), max(scale, finer)
            made["decimal"] = [before + after, after]
    for keyword, loosest in (("minimum", min), ("maximum", max)):
        if keyword in first and keyword in second:
            made[keyword] = loosest(first[keyword], second[keyword])
    if kind == "array" and "items" in first and "items" in second:
        same = first["items"] == second["items"]
        made["items"] = first["items"] if same else {"anyOf": [first["items"], second["items"]]}
    if kind == "object":
        made |= _either_object(first, second)
    return made


def _either_object(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    had, has = first.get("properties", {}), second.get("properties", {})
    if not (had and has):
        return {}  # one of the objects may have any members
    shared = {name: {"anyOf": [had[name], has[name]]} for name in had if name in has and had[name] != has[name]}
    made = {
        "properties": {**had, **has, **shared},
        "required": [name for name in first.get("required", []) if name in second.get("required", [])],
    }
    opened = [one.get("additionalProperties", True) for one in (first, second)]
    opened = [one for one in opened if one is not False] or [False]
    return made if opened[0] is True else {**made, "additionalProperties": opened[0]}
