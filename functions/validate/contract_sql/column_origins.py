"""Traces the columns of a contract's SELECTs to the schema, before there are any records.

For a column that is an unchanged value of the record, the schema says whether it can be null and how large a whole
number can be. Nothing is known about expressions that this module doesn't understand.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor, isfinite
from typing import Any

import duckdb

from functions.common.compiled_schema import schema_validator
from functions.common.contract import POSITION, Contract, Version
from functions.common.json_pointer import escaped
from functions.common.record_types import EPOCHS
from functions.common.schema_shapes import ARRAY, OBJECT, Shape, shape_of
from functions.common.sql import literal

_MULTIPLYING = frozenset({"unnest", "unlist", "generate_subscripts"})
"""Functions that return several rows. With lists of different lengths in one SELECT, nulls extend the shorter list."""

_FAILING = frozenset({"strptime", "error"})
"""Functions that fail on some values."""

_ARITHMETIC = frozenset({"+", "-", "*", "//", "%", "**", "^"})
"""Operators that fail if the result is too large for its type."""

_MOST_ELEMENTS = 2**31 - 1
"""The maximum number of elements or characters of a value: a record has fewer bytes than this."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the schema says about a value. By default, nothing is known."""

    pointer: str | None = None
    """The JSON Pointer of the value in the record, with `*` for the index of an element."""
    nullable: bool = True
    bounds: tuple[int, int] | None = None
    """The smallest and largest possible whole number."""
    members: Mapping[str, "Origin"] = field(default_factory=dict)
    """The members of an object by their lower-case names."""
    element: "Origin | None" = None


_UNKNOWN = Origin()
Columns = Mapping[str, Origin]
"""The columns of a relation by their lower-case names."""


def column_origins(
    connection: duckdb.DuckDBPyConnection, contract: Contract, versions: Sequence[Version] | None = None
) -> dict[str, Columns]:
    """Return the origins of each table's columns by table name, for records of `versions` (by default, all versions).

    Raises ContractError if a schema is invalid.
    """
    for version in contract.versions:
        schema_validator(contract, version)
    records = [_records(connection, contract, version) for version in versions or contract.versions]
    common = {
        name: _either([columns[name] for columns in records])
        for name in records[0]
        if all(name in columns for columns in records)
    }
    for derived in contract.derived:
        parsed = _parsed(connection, f"SELECT {derived.sql} AS derived FROM records")
        common[derived.name.lower()] = _select(parsed, common).get("derived", _UNKNOWN)
    return {table.name: _select(_parsed(connection, table.sql), common) for table in contract.tables}


def can_fail(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Return whether a SELECT has a cast, an operator or a function call that fails on some values."""
    return casts(connection, sql) or any(
        str(node.get("function_name", "")).lower() in _FAILING | _ARITHMETIC
        for node in _nodes(_parsed(connection, sql))
    )


def casts(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Return whether a SELECT has a cast that can fail. Casts to VARCHAR and casts of constants can't."""
    return any(
        node.get("class") == "CAST"
        and not node["try_cast"]
        and node["child"].get("class") != "CONSTANT"
        and node["cast_type"].get("id") != "VARCHAR"
        for node in _nodes(_parsed(connection, sql))
    )


def _records(connection: duckdb.DuckDBPyConnection, contract: Contract, version: Version) -> Columns:
    """Return the columns of `records` for records of one version, after the upcasts to the current version."""
    schema = version.schema
    columns = dict(_of_shape(shape_of(schema, schema), "", is_required=True).members)
    columns[POSITION] = Origin(nullable=False)
    for one in contract.versions[contract.versions.index(version) : -1]:
        columns = dict(_select(_parsed(connection, one.upcast), columns))
    return columns


def _of_shape(shape: Shape, pointer: str, *, is_required: bool) -> Origin:
    nullable = shape.nullable or not is_required
    if shape.kind == OBJECT:
        required = shape.part.get("required", [])
        members = {
            name.lower(): _of_shape(member, f"{pointer}/{escaped(name)}", is_required=name in required)
            for name, member in shape.columns.items()
        }
        return Origin(pointer, nullable, members=members)
    if shape.kind == ARRAY and shape.element:
        return Origin(pointer, nullable, element=_of_shape(shape.element, f"{pointer}/*", is_required=True))
    is_number = shape.kind == "integer" and shape.part.get("format") not in EPOCHS
    return Origin(pointer, nullable, _bounds(shape.part) if is_number else None)


def _bounds(part: Mapping[str, Any]) -> tuple[int, int] | None:
    known = [part["const"]] if "const" in part else [value for value in part.get("enum", []) if value is not None]
    if known:
        return (min(known), max(known)) if all(type(value) is int for value in known) else None
    least = [part[name] for name in ("minimum", "exclusiveMinimum") if name in part]
    most = [part[name] for name in ("maximum", "exclusiveMaximum") if name in part]
    if not least or not most or not all(map(isfinite, (*least, *most))):
        return None
    return ceil(max(least)), floor(min(most))


def _either(origins: Sequence[Origin]) -> Origin:
    """Return the origin of a value that can have any of these origins."""
    first, *others = origins
    for other in others:
        bounds = None
        if first.bounds and other.bounds:
            bounds = min(first.bounds[0], other.bounds[0]), max(first.bounds[1], other.bounds[1])
        names = first.members.keys() & other.members.keys()
        first = Origin(
            first.pointer if first.pointer == other.pointer else None,
            first.nullable or other.nullable,
            bounds,
            {name: _either([first.members[name], other.members[name]]) for name in names},
            _either([first.element, other.element]) if first.element and other.element else None,
        )
    return first


# --- SELECTs, as DuckDB parses them -----------------------------------------------------------------------------------


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Any]:
    (serialised,) = connection.execute(f"SELECT json_serialize_sql({literal(sql)})").fetchone() or ("{}",)
    statements = json.loads(serialised).get("statements", [])
    return statements[0]["node"] if len(statements) == 1 else {}


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
    for inner in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _nodes(inner)


def _select(node: Mapping[str, Any], records: Columns) -> Columns:
    """Return the columns of a SELECT over `records`. Nothing is known about columns that are missing."""
    if node.get("type") != "SELECT_NODE" or node["group_expressions"] or node["cte_map"]["map"]:
        return {}
    multiplied = [
        [child.get("column_names") for child in one["children"][:1]]
        for one in _nodes(node["select_list"])
        if str(one.get("function_name", "")).lower() in _MULTIPLYING
    ]
    if any(lists != multiplied[0] or lists == [None] for lists in multiplied[1:]):
        return {}
    source = node["from_table"]
    if source.get("column_name_alias") or source.get("sample") or node.get("sample"):
        return {}
    if source["type"] == "BASE_TABLE" and source["table_name"].lower() == "records" and not source["schema_name"]:
        columns, relation = records, source["alias"] or "records"
    elif source["type"] == "SUBQUERY":
        columns, relation = _select(source["subquery"]["node"], records), source["alias"]
    else:
        return {}
    given: dict[str, Origin] = {}
    for one in node["select_list"]:
        if one["class"] == "STAR":
            given |= _star(one, columns, relation.lower())
        else:
            name = one["alias"] or one.get("column_names", [""])[-1]
            given[name.lower()] = _value(one, columns, relation.lower())
    return given


def _star(node: Mapping[str, Any], columns: Columns, relation: str) -> Columns:
    if (
        node["relation_name"]
        or node["columns"]
        or node["expr"]
        or node["qualified_exclude_list"]
        or node["rename_list"]
    ):
        return {}
    excluded = {str(name).lower() for name in node["exclude_list"]}
    replaced = {one["key"].lower(): _value(one["value"], columns, relation) for one in node["replace_list"]}
    return {name: replaced.get(name, origin) for name, origin in columns.items() if name not in excluded}


def _value(node: Mapping[str, Any], columns: Columns, relation: str) -> Origin:
    """Return the origin of an expression's value."""
    children = node.get("children", [])
    match node["class"], str(node.get("function_name") or node["type"]).lower():
        case "COLUMN_REF", _:
            return _column([name.lower() for name in node["column_names"]], columns, relation)
        case "CONSTANT", _:
            value = node["value"].get("value")
            return Origin(nullable=node["value"]["is_null"], bounds=(value, value) if type(value) is int else None)
        case "CAST", _ if not node["try_cast"]:
            return _value(node["child"], columns, relation)
        case "OPERATOR", "operator_coalesce":
            values = [_value(child, columns, relation) for child in children]
            return replace(_either(values), pointer=None, nullable=all(value.nullable for value in values))
        case "FUNCTION", "unnest" if len(children) == 1:
            return _value(children[0], columns, relation).element or _UNKNOWN
        case "FUNCTION", "generate_subscripts":
            return Origin(nullable=False, bounds=(1, _MOST_ELEMENTS))
        case "FUNCTION", "len" if len(children) == 1:
            return Origin(nullable=_value(children[0], columns, relation).nullable, bounds=(0, _MOST_ELEMENTS))
        case "FUNCTION", "struct_insert":
            changed, *added = children
            base = _value(changed, columns, relation)
            new = {str(child["alias"]).lower(): _value(child, columns, relation) for child in added}
            return replace(base, pointer=None, members={**base.members, **new})
    return _UNKNOWN


def _column(names: Sequence[str], columns: Columns, relation: str) -> Origin:
    if len(names) > 1 and names[0] == relation:
        if names[0] in columns:  # a relation and a column with the same name
            return _UNKNOWN
        names = names[1:]
    origin = columns.get(names[0], _UNKNOWN)
    for name in names[1:]:
        inner = origin.members.get(name, _UNKNOWN)
        origin = replace(inner, nullable=origin.nullable or inner.nullable)
    return origin
