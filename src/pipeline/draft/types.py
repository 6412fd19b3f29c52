"""Decides what each field becomes: a column and its type, columns of an object, rows of a table, JSON, or nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.common.contract import EXTRA, RESERVED
from functions.common.record_types import EPOCHS, INT64, SIGNIFICANT_DIGITS
from pipeline.console import many
from pipeline.draft import strings
from pipeline.draft.names import can_be_named, is_id_like, words_of
from pipeline.draft.personal_data import is_personal
from pipeline.draft.profile import MOST_SCALE, Node

SCALAR, OBJECT, ROWS, LIST, JSON, EMPTY = "scalar", "object", "rows", "list", "json", "empty"
"""What a field becomes: one column, the columns of its members, rows of a table with an element's columns or with one
value per element, a column of JSON, or no column."""

NEARLY_ALL = 0.95
"""If this share of a field's values has one type, it is the rule, and records with other values are rejected."""

_MOST_TABLE_LEVELS = 4
_HEADROOM_WHOLE, _HEADROOM_SCALE, _PRECISION, _MOST_PRECISION = 3, 2, 18, 38
_UINT64_END = 2**64
_COORDINATES, _VECTOR = 4, 100
"""Arrays of numbers with one length of at most, or at least, this many become JSON, not rows."""

_SECONDS = (946_684_800, 4_102_444_800)
"""2000-01-01 and 2100-01-01 in seconds since 1970."""

_TIME_WORDS_TEXT = """
time ts timestamp at date datetime epoch created updated modified expires expiry since until when start end
"""
_TIME_WORDS = frozenset(_TIME_WORDS_TEXT.split())
_AMOUNT_WORDS_TEXT = """
amount price total subtotal cost tax fee discount balance value sum net gross paid due rate weight quantity qty
charge shipping credit debit payment revenue
"""
AMOUNT_WORDS = frozenset(_AMOUNT_WORDS_TEXT.split())
_VERSION_WORDS = frozenset(["version", "versions", "ver", "release", "build", "firmware"])
_ENUM_WORDS_TEXT = """
status state type kind level severity priority method channel tier mode unit currency phase stage result outcome
category
"""
_ENUM_WORDS = frozenset(_ENUM_WORDS_TEXT.split())
_ENUM_VALUE = re.compile(r"[A-Za-z][A-Za-z _-]{0,30}")
_ENUM_VALUES, _ENUM_COUNT, _ENUM_SHARE = 12, 1000, 0.01
_MAP_NAMES, _MAP_SHARE = 20, 0.25
_RARE = 0.01
_CODES = re.compile(r"[A-Z]{3}|[a-z]{2}(?:[-_][A-Z]{2})?")
_VALUE_AS_NAME = re.compile(r"\d|.*[@/:. ]|[0-9a-f]{16,}|[0-9a-f]{8}-|.{41}", re.DOTALL)


@dataclass
class Field:
    """What one field becomes, and why."""

    node: Node
    kind: str
    type: str = ""
    """The column's type, for a column."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """The JSON Schema of its values that are not null, without the schemas of members and elements."""
    why: str = ""
    breaks: int = 0
    """The number of values that are not as decided, so that their records are rejected."""
    question: str = ""
    members: dict[str, "Field"] = field(default_factory=dict)
    element: "Field | None" = None
    required: bool = False
    nullable: bool = True
    left: dict[str, str] = field(default_factory=dict)
    """The members of the record that can't have a column, each with the reason. The pipeline keeps them in _extra."""

    @property
    def name(self) -> str:
        return self.node.name


ENOUGH = 100
"""If a field has a value in this many records, and in all that have its object, it is required."""


def decide_record(root: Node, envelope: str) -> Field:
    """Return what the fields of a record become."""
    left = dict(_left_out(root, envelope))
    members = {name: decide(node) for name, node in root.members.items() if name not in left}
    record = Field(root, OBJECT, members=members, left=left, required=True, nullable=False)
    _settle_presence(record)
    return record


def _left_out(root: Node, envelope: str) -> Iterator[tuple[str, str]]:
    """Yield the members of a record that the contract can't name, with the reason."""
    reserved = {*RESERVED, EXTRA.name}
    seen: dict[str, str] = {}
    for name in sorted(root.members, key=lambda name: -root.members[name].values):
        lower = name.lower()
        if root.is_map and root.members[name].count < _RARE * root.objects:
            yield name, "records have too many different names, and this one is rare"
        elif lower in reserved:
            yield name, "the pipeline uses the name itself"
        elif not can_be_named(name):
            yield name, "no column can have the name"
        elif name == envelope:
            yield name, "the array of records has the same name"
        elif lower in seen:
            yield name, f"the name differs from {seen[lower]} only in case"
        else:
            seen[lower] = name


def decide(node: Node, table_level: int = 0) -> Field:
    """Return what a field becomes."""
    if not node.values:
        return Field(node, EMPTY, schema={"type": "null"}, why="always null")
    kinds = node.kinds
    kind = max(kinds, key=lambda one: kinds[one])
    breaks = node.values - kinds[kind]
    if kinds[kind] < NEARLY_ALL * node.values:
        return _json(node, {}, f"it has values of several types: {_listed(kinds)}")
    decided = _OF_KIND[kind](node, table_level)
    if breaks and decided.kind != JSON:
        decided.breaks += breaks
        decided.why += f"; {many(breaks, 'value')} of {node.values:,} of another type"
    return decided


def _listed(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {number:,}" for kind, number in kinds.items())


def _json(node: Node, schema: Mapping[str, Any], why: str) -> Field:
    return Field(node, JSON, "VARCHAR", schema, why)


def _boolean(node: Node, _level: int) -> Field:
    return Field(node, SCALAR, "BOOLEAN", {"type": "boolean"}, "true or false")


def _integer(node: Node, _level: int) -> Field:
    least, most = node.least, node.most
    if INT64[0] <= least and most <= INT64[1]:
        form = _epoch(node)
        if form:
            unit = "seconds" if form == "epoch-seconds" else "milliseconds"
            schema = {"type": "integer", "format": form}
            return Field(node, SCALAR, "TIMESTAMP", schema, f"{unit} since 1970, by its name and its range")
        return Field(node, SCALAR, "BIGINT", {"type": "integer"}, "whole numbers")
    if least >= 0 and most < _UINT64_END:
        exact: dict[str, Any] = {"type": "number", "decimal": [20, 0]}
        return Field(node, SCALAR, "DECIMAL(20,0)", exact, "whole numbers up to 2^64")
    question = "has whole numbers beyond 64 bits, which are rounded to 64-bit floats. Can the producer send strings?"
    return Field(node, SCALAR, "DOUBLE", {"type": "number"}, "whole numbers beyond 64 bits", question=question)


def _epoch(node: Node) -> str:
    """Return the format of numbers that count time since 1970. Empty if they don't."""
    words = words_of(node.name)
    is_named = bool(_TIME_WORDS & {words[-1], words[0]}) and not is_id_like(node.name)
    if "ms" in words or "millis" in words:
        is_named = is_named or len(words) > 1
    if not is_named:
        return ""
    for form, factor in (("epoch-seconds", 1), ("epoch-millis", 1000)):
        if _SECONDS[0] * factor <= node.least and node.most <= _SECONDS[1] * factor:
            assert form in EPOCHS
            return form
    return ""


def _number(node: Node, _level: int) -> Field:
    whole = node.whole_digits
    if node.integers:
        whole = max(whole, len(str(max(abs(node.least), abs(node.most)))))
    if node.has_exponent or node.scale > MOST_SCALE or node.digits > SIGNIFICANT_DIGITS:
        return Field(node, SCALAR, "DOUBLE", {"type": "number"}, "numbers with many decimals, as measurements have")
    scale = node.scale + _HEADROOM_SCALE
    precision = max(_PRECISION, whole + _HEADROOM_WHOLE + scale)
    if precision > _MOST_PRECISION:
        return Field(node, SCALAR, "DOUBLE", {"type": "number"}, "numbers of very different sizes")
    schema: dict[str, Any] = {"type": "number", "decimal": [precision, scale]}
    why = f"numbers with at most {many(node.scale, 'decimal')}"
    return Field(node, SCALAR, f"DECIMAL({precision},{scale})", schema, why)


def _string(node: Node, _level: int) -> Field:
    found, words = node.strings, set(words_of(node.name))
    for name, kind, what in (
        (strings.DATE_TIME, "TIMESTAMP", "times with a zone"),
        (strings.DATE, "DATE", "dates"),
    ):
        if _is_rule(node, name):
            breaks = _others(node, name)
            schema = {"type": "string", "format": name}
            why = what + (f"; {many(breaks, 'value')} of {node.string_count:,} in another form" if breaks else "")
            return Field(node, SCALAR, kind, schema, why, breaks)
    is_amount = bool(AMOUNT_WORDS & words) or (len(found.scales) == 1 and min(found.scales) > 1)
    if _is_rule(node, strings.DECIMAL) and is_amount and not _VERSION_WORDS & words:
        breaks = _others(node, strings.DECIMAL, strings.INTEGER)
        scale = max(found.scales) + _HEADROOM_SCALE
        precision = max(_PRECISION, found.whole_digits + _HEADROOM_WHOLE + scale)
        if precision <= _MOST_PRECISION:
            exact: dict[str, Any] = {"type": "string", "decimal": [precision, scale]}
            return Field(node, SCALAR, f"DECIMAL({precision},{scale})", exact, "exact numbers in strings", breaks)
    if values := _enumerated(node, words):
        return Field(
            node, SCALAR, "VARCHAR", {"type": "string", "enum": values}, f"one of {len(values)} values that all repeat"
        )
    question = ""
    if found.share_of(strings.LOCAL_TIME) == 1:
        question = "has times without a zone, which stay strings. Are they UTC?"
    return Field(node, SCALAR, "VARCHAR", {"type": "string"}, "strings", question=question)


def _is_rule(node: Node, name: str) -> bool:
    """Return whether nearly all strings are of a class, and none is empty: an empty string isn't an error."""
    found = node.strings
    return found.share_of(name) >= NEARLY_ALL and not found.by_class[strings.EMPTY]


def _others(node: Node, *names: str) -> int:
    return node.string_count - sum(node.strings.by_class[name] for name in names)


def _enumerated(node: Node, words: set[str]) -> list[str]:
    """Return the values of a field that has few, if each is frequent and none is personal. Otherwise nothing."""
    values = node.strings.values
    if not values or not _ENUM_WORDS & words or is_personal(node) or node.string_count < _ENUM_COUNT:
        return []
    if len(values) > _ENUM_VALUES or len(values) < 2 or min(values.values()) < _ENUM_SHARE * node.string_count:
        return []
    return sorted(values) if all(map(_ENUM_VALUE.fullmatch, values)) else []


def _object(node: Node, level: int) -> Field:
    schema = {"type": "object"}
    if not node.members and not node.is_map:
        return Field(node, EMPTY, schema={"type": "object", "additionalProperties": False}, why="always empty")
    if why := _why_map(node):
        return _json(node, schema, why)
    names = [name.lower() for name in node.members]
    if len(set(names)) < len(names) or not all(map(can_be_named, names)):
        return _json(node, schema, "its members have names that columns can't distinguish")
    members = {name: decide(inner, level) for name, inner in node.members.items()}
    if all(member.kind == EMPTY for member in members.values()):
        return Field(node, EMPTY, schema=schema, why="has no values", members=members)
    return Field(node, OBJECT, schema=schema, members=members, why="an object, whose members are columns")


def _why_map(node: Node) -> str:
    """Return why the member names of an object are data. Empty if they are names of fields."""
    names, members = [*node.members], node.members.values()
    if node.is_map:
        return "a map: it has too many different members to be fields"
    named = sum(bool(_VALUE_AS_NAME.match(name)) for name in names)
    if named * 2 >= len(names):
        return "a map: its members are named by values"
    kinds = {tuple(sorted(member.kinds)) for member in members if member.values}
    if len(kinds) > 1:
        return ""
    mean = sum(member.count for member in members) / (len(names) * node.objects)
    if len(names) >= _MAP_NAMES and mean <= _MAP_SHARE:
        return f"a map: {len(names)} rare members with values of one type"
    if len(names) > 1 and all(map(_CODES.fullmatch, names)) and not any("object" in one for one in kinds):
        return "a map: its members are named by codes, such as currencies or languages"
    return ""


def _array(node: Node, level: int) -> Field:
    element, schema = node.element, dict[str, Any](type="array")
    if element is None:
        if node.longest:
            return _json(node, schema, "it nests too deeply for columns")
        return Field(node, EMPTY, schema={**schema, "maxItems": 0}, why="always empty")
    if level >= _MOST_TABLE_LEVELS:
        return _json(node, schema, "arrays that nest this deep stay together")
    inner = decide(element, level + 1)
    if inner.breaks or inner.kind == EMPTY or not inner.schema or "array" in element.kinds:
        return _json(node, schema, "an array without one type of elements")
    if inner.kind == OBJECT:
        return Field(node, ROWS, schema=schema, element=inner, why="an array of objects")
    is_fixed = node.shortest == node.longest and set(element.kinds) & {"integer", "number"}
    if is_fixed and (node.longest <= _COORDINATES or (node.longest >= _VECTOR and node.arrays > 1)):
        return _json(node, schema, f"numbers that belong together, always {node.longest}")
    return Field(node, LIST, schema=schema, element=inner, why="an array of values")


_OF_KIND = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "object": _object,
    "array": _array,
}


def _settle_presence(holder: Field) -> None:
    """Decide which members of an object are required and not null: those that many objects have, and all of them."""
    for member in holder.members.values():
        node = member.node
        is_always = node.count == holder.node.objects and not node.nulls
        is_certain = is_always and node.count >= ENOUGH and member.kind != EMPTY
        member.required, member.nullable = is_certain, not is_certain
        _settle_presence(member)
        if member.element:
            member.element.nullable = bool(member.element.node.nulls) or member.element.node.count < ENOUGH
            _settle_presence(member.element)
