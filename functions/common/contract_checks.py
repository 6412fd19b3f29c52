"""Checks `contract.json` before it is used, and reports each mistake with its place.

Unknown members are errors: a misspelt `references`, for example, would silently skip a check.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""A name that is safe in SQL and in paths without quotes."""

COLUMN_TYPE = re.compile(r"VARCHAR|BOOLEAN|INTEGER|BIGINT|DOUBLE|DATE|TIMESTAMP|DECIMAL\(([1-9]\d?),(\d\d?)\)")
"""The types that a column can have."""

COLUMN_TYPES = (
    "VARCHAR, BOOLEAN, INTEGER, BIGINT, DOUBLE, DATE, TIMESTAMP, "
    "or DECIMAL(precision,scale) with a precision of at most 38 and a scale of at most the precision"
)
"""The types that a column can have, in words."""

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_MAX_DECIMAL = 38
_OF_THE_PIPELINE = frozenset({"records", "superseded", "runs", "rejects", "rejected_lines", "failures"})
"""The names of the pipeline's own tables and views, which are in every database that analysts query."""

_PARTITION = "ingest_date"
"""The column that a table gets from the folder of its files."""

_TEXT, _NAMED, _NUMBER, _ARRAY, _OBJECT = (
    "a string",
    "a name of a-z, 0-9 and _",
    "a whole number greater than 0",
    "an array with elements",
    "an object",
)
_KINDS: Mapping[str, Callable[[Any], bool]] = {
    _TEXT: lambda value: isinstance(value, str) and bool(value.strip()) and "\0" not in value,
    _NAMED: lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value)),
    _NUMBER: lambda value: type(value) is int and value > 0,
    _ARRAY: lambda value: isinstance(value, list) and bool(value),
    _OBJECT: lambda value: isinstance(value, dict),
}
_MEMBERS = {
    "contract": (
        {
            "dataset": _NAMED,
            "current_version": _NUMBER,
            "record_table": _NAMED,
            "tables": _ARRAY,
        },
        {
            "envelope": _TEXT,
            "input": _OBJECT,
            "$schema": _TEXT,
            "description": _TEXT,
            "retired": _TEXT,
            "record_version": _OBJECT,
            "versions": _ARRAY,
            "derived": _ARRAY,
            "rules": _ARRAY,
            "control_totals": _ARRAY,
        },
    ),
    "record_version": ({"pointer": _TEXT}, {"default": _NUMBER}),
    "version": ({"version": _NUMBER, "description": _TEXT}, {}),
    "table": (
        {"name": _NAMED, "columns": _ARRAY, "key": _ARRAY},
        {"description": _TEXT, "latest_by": _ARRAY, "references": _ARRAY},
    ),
    "column": ({"name": _NAMED, "type": _TEXT}, {"description": _TEXT}),
    "reference": ({"columns": _ARRAY, "table": _NAMED}, {}),
    "derived": ({"name": _NAMED, "sql": _TEXT}, {"description": _TEXT}),
    "rule": ({"code": _NAMED, "pointer": _TEXT, "sql": _TEXT, "message": _TEXT}, {"example": _TEXT}),
    "control_total": ({"name": _NAMED, "record_sql": _TEXT, "table": _NAMED, "column": _NAMED}, {}),
}
"""The required and the optional members of each part of a contract."""


def check_contract(data: Any, dataset: str, reserved: Collection[str]) -> None:
    """Raise ValueError or TypeError, with the place, unless `data` is a consistent contract of `dataset`.

    `reserved` are the columns that the pipeline itself adds to a table.
    """
    for part, place, given in _parts(data):
        _check_members(given, part, place)
    for fault in contradictions(data, dataset, reserved):
        raise ValueError(fault)


def contradictions(data: Mapping[str, Any], dataset: str, reserved: Collection[str]) -> Iterator[str]:
    """Yield every contradiction in a contract, with its place. All parts must have their required members."""
    if data["dataset"] != dataset:
        yield f"dataset must be {dataset}, the name of its folder"
    yield from _of_versions(data)
    for part, name in (("tables", "name"), ("derived", "name"), ("rules", "code"), ("control_totals", "name")):
        yield from _repeated(data.get(part, []), part, name)
    tables = {table["name"]: table for table in data["tables"]}
    for name, table in tables.items():
        if name in _OF_THE_PIPELINE or name.startswith("part_") or name.endswith("_current"):
            yield f"tables.{name}.name can't be {name}: the pipeline has a table with that name"
        yield from _of_table(table, reserved, f"tables.{name}")
        for number, reference in enumerate(table.get("references", [])):
            yield from _of_reference(reference, table, tables, f"tables.{name}.references[{number}]")
    yield from _unknown([data["record_table"]], tables, "record_table")
    for rule in data.get("rules", []):
        if not _POINTER.fullmatch(rule["pointer"]):
            yield f"rules.{rule['code']}.pointer must be a JSON Pointer"
    for total in data.get("control_totals", []):
        place = f"control_totals.{total['name']}"
        yield from _unknown([total["table"]], tables, f"{place}.table")
        if total["table"] in tables:
            yield from _unknown([total["column"]], _columns(tables[total["table"]]), f"{place}.column")


def _of_versions(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _repeated(data.get("versions", []), "versions", "version")
    numbers = [one["version"] for one in data.get("versions", [])] or [data["current_version"]]
    if numbers != sorted(numbers) or numbers[-1] != data["current_version"]:
        yield "versions must be in ascending order, and end with current_version"
    if "record_version" not in data:
        if len(numbers) > 1:
            yield "the contract lacks record_version, which specifies where a record names its version"
    elif not data["record_version"]["pointer"].startswith("/") or not _POINTER.fullmatch(
        data["record_version"]["pointer"]
    ):
        yield "record_version.pointer must be a JSON Pointer that names a member"


def _of_table(table: Mapping[str, Any], reserved: Collection[str], place: str) -> Iterator[str]:
    yield from _repeated(table["columns"], f"{place}.columns", "name")
    for column in table["columns"]:
        name = column["name"]
        if name in reserved or name == _PARTITION:
            yield f"{place}.columns.{name}.name can't be {name}: the pipeline adds a column with that name"
        kind = COLUMN_TYPE.fullmatch(column["type"])
        if not kind or (kind[1] and (int(kind[1]) > _MAX_DECIMAL or int(kind[2]) > int(kind[1]))):
            yield f"{place}.columns.{name}.type must be one of {COLUMN_TYPES}"
    for member in ("key", "latest_by"):
        yield from _unknown(table.get(member, []), _columns(table), f"{place}.{member}")


def _of_reference(
    reference: Mapping[str, Any], table: Mapping[str, Any], tables: Mapping[str, Any], place: str
) -> Iterator[str]:
    yield from _unknown([reference["table"]], tables, f"{place}.table")
    yield from _unknown(reference["columns"], _columns(table), f"{place}.columns")
    named = tables.get(reference["table"])
    if named and len(reference["columns"]) != len(named["key"]):
        yield f"{place} must have as many columns as the key of {reference['table']}"


def _parts(data: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield every part of a contract: its kind, its place, and the part itself. Outer parts come before inner parts."""
    yield "contract", "the contract", data
    if "record_version" in data:
        yield "record_version", "record_version", data["record_version"]
    lists = {"tables": "table", "versions": "version", "derived": "derived", "rules": "rule"}
    for member, part in {**lists, "control_totals": "control_total"}.items():
        for number, one in enumerate(data.get(member, [])):
            place = f"{member}[{number}]"
            yield part, place, one
            place = f"{member}.{one['name']}" if part == "table" else place
            for inner, kind in (("columns", "column"), ("references", "reference")) if part == "table" else ():
                for index, each in enumerate(one.get(inner, [])):
                    yield kind, f"{place}.{inner}[{index}]", each


def _check_members(data: Any, part: str, place: str) -> None:
    required, optional = _MEMBERS[part]
    if not isinstance(data, dict):
        raise TypeError(f"{place} must be an object")
    for name in sorted(required.keys() - data.keys()):
        raise ValueError(f"{place} lacks {name}")
    for name in sorted(data.keys() - required.keys() - optional.keys()):
        raise ValueError(f"{place} has an unknown member: {name}")
    for name, value in data.items():
        kind = {**required, **optional}[name]
        if not _KINDS[kind](value):
            raise ValueError(f"{place}: {name} must be {kind}")


def _repeated(parts: Sequence[Mapping[str, Any]], place: str, name: str) -> Iterator[str]:
    names = [one[name] for one in parts]
    for repeated in dict.fromkeys(one for number, one in enumerate(names) if one in names[:number]):
        yield f"{place} has {repeated} twice"


def _columns(table: Mapping[str, Any]) -> list[str]:
    return [column["name"] for column in table["columns"]]


def _unknown(names: Iterable[Any], known: Collection[str], place: str) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{place} names {name!r}, which does not exist"
