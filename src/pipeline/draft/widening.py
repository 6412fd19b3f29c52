"""Widens a contract's schema so that it accepts what a sample has: new fields, nulls, more digits, more values."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from functions.common.json_pointer import pointer_of
from functions.common.record_types import decimal_of, resolve
from pipeline.console import many
from pipeline.draft.names import can_be_named
from pipeline.draft.personal_data import is_personal
from pipeline.draft.profile import Node
from pipeline.draft.schema import schema_part
from pipeline.draft.types import EMPTY, Field, decide

_CHOICES = frozenset({"oneOf", "anyOf", "allOf", "if", "not", "then", "else"})
_MOST_NEW_VALUES = 20
_MOST_PRECISION = 38
_HEADROOM_WHOLE, _HEADROOM_SCALE = 3, 2


@dataclass
class Widening:
    """A widened schema, and what has changed."""

    schema: dict[str, Any]
    changes: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    """What doesn't fit, and has no safe change."""
    added: dict[str, Field] = field(default_factory=dict)
    """The new fields by their JSON Pointers, which have `*` for elements of arrays."""
    types: dict[str, str] = field(default_factory=dict)
    """The new column types of widened fields by their JSON Pointers."""


def widened(schema: Mapping[str, Any], root: Node) -> Widening:
    """Return a schema that accepts what was found in records, as far as this is safe."""
    made = Widening(deepcopy(dict(schema)))
    _Widener(made).object(made.schema, root, "")
    return made


class _Widener:
    def __init__(self, made: Widening) -> None:
        self._made = made

    def _part(self, part: Any) -> dict[str, Any]:
        """Return the part of the schema that a part refers to, which is then changed for all that refer to it."""
        while isinstance(part, dict) and "$ref" in part:
            part = resolve(part["$ref"], self._made.schema)
        return part if isinstance(part, dict) else {}

    def object(self, given: Any, node: Node, pointer: str) -> None:
        part = self._part(given)
        if part.keys() & _CHOICES:
            self._made.by_hand.append(f"{pointer or 'The record'} is described by several schemas, which are unchanged")
            return
        properties = part.get("properties")
        if not isinstance(properties, dict) or not node.objects:
            return
        for name, inner in node.members.items():
            here = f"{pointer}{pointer_of([name])}"
            if name in properties:
                self.value(properties, name, inner, here)
            elif part.get("additionalProperties") is False:
                self._add(properties, name, inner, here)
        for name in [*part.get("required", [])]:
            found = node.members.get(name)
            if found is None or found.count < node.objects:
                part["required"].remove(name)
                self._made.changes.append(f"{pointer}{pointer_of([name])} may be missing")

    def _add(self, properties: dict[str, Any], name: str, node: Node, pointer: str) -> None:
        if not can_be_named(name) or any(other.lower() == name.lower() for other in properties):
            self._made.by_hand.append(f"{pointer} can't have a column, because of its name")
            return
        decided = decide(node, _LEVELS)
        if decided.kind == EMPTY:
            return
        properties[name] = schema_part(decided)
        self._made.added[pointer] = decided
        self._made.changes.append(
            f"{pointer} is new, in {many(node.count, 'record' if '*' not in pointer else 'element')}"
        )

    def value(self, holder: dict[str, Any], name: str, node: Node, pointer: str) -> None:
        part = self._part(holder[name])
        declared = _declared(part)
        if node.nulls and declared and "null" not in declared and "const" not in part:
            _accept_null(part)
            self._made.changes.append(f"{pointer} may be null")
        if not declared or not node.values:
            return
        if declared == {"null"} or part.get("maxItems") == 0:
            del holder[name]
            self._add(holder, name, node, pointer)
            return
        kinds = {*node.kinds}
        if kinds == {"number"} and "integer" in declared:
            self._integer_to_number(part, node, pointer)
        elif unknown := kinds - declared - ({"integer"} if "number" in declared else set()):
            share = sum(node.kinds[kind] for kind in unknown) / node.values
            self._made.by_hand.append(
                f"{pointer} has values of another type ({', '.join(sorted(unknown))}) in {share:.0%} of the records"
            )
        elif "object" in declared:
            self.object(part, node, pointer)
        elif "array" in declared:
            self._array(part, node, pointer)
        elif "string" in declared:
            self._string(part, node, pointer)
        elif "number" in declared and "decimal" in part:
            self._decimal(part, node, pointer)
        elif "integer" in declared:
            self._bounds(part, node, pointer)

    def _array(self, part: dict[str, Any], node: Node, pointer: str) -> None:
        if node.longest > part.get("maxItems", node.longest):
            part["maxItems"] = node.longest
            self._made.changes.append(f"{pointer} may have {node.longest} elements")
        if node.shortest < part.get("minItems", 0):
            part["minItems"] = node.shortest
            self._made.changes.append(f"{pointer} may have {node.shortest} elements")
        items = part.get("items")
        if node.element and isinstance(items, dict):
            self.value(part, "items", node.element, f"{pointer}/*")

    def _string(self, part: dict[str, Any], node: Node, pointer: str) -> None:
        found = node.strings
        if "enum" in part:
            new = sorted({*(found.values or ())} - {*part["enum"]})
            if found.values is None or len(new) > _MOST_NEW_VALUES or (new and is_personal(node)):
                self._made.by_hand.append(f"{pointer} has many values that its enum lacks")
            elif new:
                part["enum"] = [*part["enum"], *new]
                self._made.changes.append(f"{pointer} has {many(len(new), 'new value')} in its enum")
        if found.longest > part.get("maxLength", found.longest):
            part["maxLength"] = found.longest
            self._made.changes.append(f"{pointer} may have {found.longest} characters")
        if "decimal" in part and found.scales:
            self._set_decimal(part, found.whole_digits, max(found.scales), pointer)

    def _integer_to_number(self, part: dict[str, Any], node: Node, pointer: str) -> None:
        decided = decide(node)
        part["type"] = [decided.schema["type"], "null"] if "null" in _declared(part) else decided.schema["type"]
        if "decimal" in decided.schema:
            part["decimal"] = decided.schema["decimal"]
        part.pop("format", None)
        self._made.types[pointer] = decided.type
        self._made.changes.append(f"{pointer} has decimals")

    def _decimal(self, part: dict[str, Any], node: Node, pointer: str) -> None:
        whole = max(node.whole_digits, len(str(max(abs(node.least), abs(node.most)))) if node.integers else 0)
        self._set_decimal(part, whole, node.scale, pointer)

    def _set_decimal(self, part: dict[str, Any], whole: int, scale: int, pointer: str) -> None:
        precision, old_scale = decimal_of(part["decimal"])
        if whole <= precision - old_scale and scale <= old_scale:
            return
        new_scale = old_scale if scale <= old_scale else scale + _HEADROOM_SCALE
        new_whole = precision - old_scale if whole <= precision - old_scale else whole + _HEADROOM_WHOLE
        if new_whole + new_scale > _MOST_PRECISION:
            self._made.by_hand.append(f"{pointer} has more digits than a decimal can hold")
            return
        part["decimal"] = [new_whole + new_scale, new_scale]
        self._made.types[pointer] = f"DECIMAL({new_whole + new_scale},{new_scale})"
        self._made.changes.append(f"{pointer} has more digits")

    def _bounds(self, part: dict[str, Any], node: Node, pointer: str) -> None:
        for keyword, is_broken, bound in (
            ("minimum", node.least < part.get("minimum", node.least), node.least),
            ("maximum", node.most > part.get("maximum", node.most), node.most),
        ):
            if is_broken:
                part[keyword] = bound
                self._made.changes.append(f"{pointer} has a wider {keyword}")


_LEVELS = 4
"""New arrays are columns of JSON: a table of their own is a decision for a person."""


def _declared(part: Mapping[str, Any]) -> set[str]:
    given = part.get("type")
    if given is None and "enum" in part:
        return {"string"} | ({"null"} if None in part["enum"] else set())
    return {given} if isinstance(given, str) else {*(given or ())}


def _accept_null(part: dict[str, Any]) -> None:
    if "type" in part:
        part["type"] = [*sorted(_declared(part)), "null"]
    if "enum" in part:
        part["enum"] = [*part["enum"], None]


def columns_of(field: Field, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Field]]:
    """Yield the columns that a new field becomes, with the members that lead to each."""
    if field.members and field.kind == "object":
        for name, member in field.members.items():
            yield from columns_of(member, (*path, name))
    elif field.type:
        yield path, field
