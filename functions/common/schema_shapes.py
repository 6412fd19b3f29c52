"""Derives from a JSON Schema which values of a record become columns, and which of them become strings of JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from functions.common.schema_merging import (
    ANNOTATIONS,
    CONDITIONS,
    INEXACT,
    dereferenced,
    merged,
    types_of,
    unconditional,
)

OBJECT: Final = "object"
ARRAY: Final = "array"
JSON: Final = "json"
"""The kind of a value with any structure or with several types. The value becomes a string of JSON."""
EMPTY: Final = "empty"
"""The kind of a value that is always null or always empty. The value needs no column."""

_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_MOST_LEVELS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One variant of a polymorphic object."""

    constant: str | int
    """The value of the tag in this variant."""
    shape: "Shape"


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Describes how one value of a schema becomes columns."""

    schema: Any
    """The schema as it was written."""
    part: Mapping[str, Any]
    """The merged schema (see `merged`)."""
    kind: str
    nullable: bool
    members: Mapping[str, "Shape"] = field(default_factory=dict)
    element: "Shape | None" = None
    tag: str = ""
    """The name of the member that selects the branch of an object."""
    branches: Sequence[Branch] = ()

    @property
    def columns(self) -> Mapping[str, "Shape"]:
        """The shapes of the members that become columns, by member name."""
        return {name: member for name, member in self.members.items() if member.kind != EMPTY}

    @property
    def has_json(self) -> bool:
        """Whether the value or a part of it becomes a string of JSON."""
        inner = [*self.members.values(), *([self.element] if self.element else [])]
        return self.kind == JSON or any(one.has_json for one in inner)


def shape_of(schema: Any, root: Any, place: str = "", level: int = 0) -> Shape:
    """Return the shape of a part of a schema. Raises TypeError or ValueError if the part can't describe a row."""
    if level > _MOST_LEVELS:
        raise ValueError("the schema refers to itself, or nests too deeply to be a row")
    part = merged(schema, root, place)
    types = types_of(part)
    forbids_null = None not in part.get("enum", [None]) or part.get("const") is not None
    nullable = types is None or ("null" in types and not forbids_null)
    if types is not None and (not types or types - _TYPES):
        raise ValueError(f"the schema{place} needs a type that JSON has: {', '.join(sorted(_TYPES))}")
    kinds = None if types is None else types - {"null"} - ({"integer"} if "number" in types else set())
    if kinds is not None and not kinds:
        return Shape(schema, part, EMPTY, nullable=True)
    if kinds is None or len(kinds) > 1:
        return Shape(schema, part, JSON, nullable)
    (kind,) = kinds
    if kind == OBJECT:
        return _object(schema, part, root, place, level, nullable=nullable)
    if kind == ARRAY:
        return _array(schema, part, root, place, level, nullable=nullable)
    return Shape(schema, part, kind, nullable)


def _object(schema: Any, part: Mapping[str, Any], root: Any, place: str, level: int, *, nullable: bool) -> Shape:
    properties, opened = part.get("properties"), part.get("additionalProperties", True)
    if properties is not None and not isinstance(properties, Mapping):
        raise ValueError(f"the schema{place} must have an object as its properties")
    if not properties or isinstance(opened, Mapping) or "patternProperties" in part:
        is_empty = opened is False and "patternProperties" not in part
        return Shape(schema, part, EMPTY if is_empty and not properties else JSON, nullable)
    for name in properties:
        if [other.lower() for other in properties].count(name.lower()) > 1 or "\0" in name:
            raise ValueError(f"the schema{place} has a property that DuckDB can't distinguish from another: {name!r}")
    members = {
        name: shape_of(inner, root, f"{place}/properties/{name}", level + 1) for name, inner in properties.items()
    }
    if all(member.kind == EMPTY for member in members.values()):
        return Shape(schema, part, EMPTY, nullable, members)
    tag, branches = _branches(schema, part, root, place, level)
    return Shape(schema, part, OBJECT, nullable, members, tag=tag, branches=branches)


def _array(schema: Any, part: Mapping[str, Any], root: Any, place: str, level: int, *, nullable: bool) -> Shape:
    items = part.get("items", True)
    if (items is False and "prefixItems" not in part) or part.get("maxItems") == 0:
        return Shape(schema, part, EMPTY, nullable)
    if items is True or items is False or "prefixItems" in part:
        return Shape(schema, part, JSON, nullable)
    element = shape_of(items, root, f"{place}/items", level + 1)
    if element.kind == EMPTY:
        return Shape(schema, part, EMPTY, nullable, element=element)
    if element.kind == JSON and types_of(element.part) is None:
        return Shape(schema, part, JSON, nullable)
    return Shape(schema, part, ARRAY, nullable, element=element)


# --- polymorphic objects ----------------------------------------------------------------------------------------------


def _branches(schema: Any, part: Mapping[str, Any], root: Any, place: str, level: int) -> tuple[str, Sequence[Branch]]:
    """Return the tag and the variants of an object. Both are empty unless each tag value has exactly one variant."""
    conditions = part.get(CONDITIONS, [])
    if len(conditions) != 1 or INEXACT in part:
        return "", ()
    options = list(_options(conditions[0], root))
    if "unevaluatedProperties" not in conditions[0]:  # otherwise, the condition is the whole schema
        options = [{"allOf": [unconditional(schema, root), option]} for option in options]
    parts = [merged(option, root, place) for option in options]
    for tag in _tags(parts):
        constants = [_constant(one, tag, root) for one in parts]
        if None in constants or len({*constants}) < len(constants) or len({*map(type, constants)}) > 1:
            continue
        shapes = [shape_of(option, root, place, level + 1) for option in options]
        if all(shape.kind == OBJECT and not shape.part.keys() & {CONDITIONS, INEXACT} for shape in shapes):
            pairs = zip(constants, shapes, strict=True)
            return tag, tuple(Branch(constant, shape) for constant, shape in pairs if constant is not None)
    return "", ()


def _options(condition: Mapping[str, Any], root: Any) -> Iterator[Any]:
    """Yield the schemas among which a condition chooses. Yields nothing if the condition isn't a choice."""
    choices = [keyword for keyword in ("oneOf", "anyOf") if keyword in condition]
    if len(choices) != 1:
        return
    keyword = choices[0]
    common = {name: value for name, value in condition.items() if name not in (keyword, *ANNOTATIONS)}
    for option in condition[keyword]:
        if types_of(merged(option, root)) == frozenset({"null"}):
            continue
        inner = dereferenced(option, root)
        if inner.keys() - ANNOTATIONS in ({"oneOf"}, {"anyOf"}):
            yield from _options({**common, **{k: inner[k] for k in ("oneOf", "anyOf") if k in inner}}, root)
        else:
            yield {**common, "allOf": [option, *common.get("allOf", [])]} if common else option


def _tags(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the members that every variant requires."""
    if len(parts) < 2:
        return []
    first, *others = ([*part.get("required", [])] for part in parts)
    return [name for name in first if all(name in other for other in others)]


def _constant(part: Mapping[str, Any], tag: str, root: Any) -> str | int | None:
    """Return the only string or whole number that a member can be, or None."""
    inner = part.get("properties", {}).get(tag)
    if inner is None:
        return None
    inner = merged(inner, root)
    values = [inner["const"]] if "const" in inner else inner.get("enum", [])
    known = types_of(inner)
    if len(values) != 1 or known is None or type(values[0]) not in (str, int):
        return None
    kind = "string" if isinstance(values[0], str) else "integer"
    return values[0] if known == {kind} else None
