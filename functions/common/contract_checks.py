"""Checks what `contract.json` says before anything is built from it: a slip is named by its place.

An unknown member is refused too: a misspelt `references` would leave a check out without a word.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""A name that needs no quotes in SQL, and no care in a path."""

COLUMN_TYPE = re.compile(r"VARCHAR|BOOLEAN|INTEGER|BIGINT|DOUBLE|DATE|TIMESTAMP|DECIMAL\(([1-9]\d?),(\d\d?)\)")
"""A type that a column can have."""

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_MAX_DECIMAL = 38
_OF_THE_PIPELINE = frozenset({"records", "superseded", "runs", "rejects", "rejected_lines", "failures"})
"""Names of tables and views that the steps make, and that are in every database that analysts query."""

_PARTITION = "ingest_date"
"""The column that a table has by the folder of its files."""

_TEXT, _NAMED, _NUMBER, _ARRAY, _OBJECT = (
    "a text",
    "a name of a-z, 0-9 and _",
    "a whole number above 0",
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
"""What each part must have, and what it may have."""


def check_contract(data: Any, dataset: str, reserved: Collection[str]) -> None:
    """Raise ValueError or TypeError, with the place, unless `data` is a contract of `dataset` that agrees with itself.

    `reserved` are the columns that the pipeline itself adds to a table.
    """
    _check_members(data, "contract", "the contract")
    if data["dataset"] != dataset:
        raise ValueError(f"dataset must be {dataset}, as its folder is called")
    _check_versions(data)
    tables = _by_name(data["tables"], "table", "tables")
    for name, table in tables.items():
        if name in _OF_THE_PIPELINE or name.startswith("part_") or name.endswith("_current"):
            raise ValueError(f"a table can't be called {name}: the pipeline has a table of that name")
        _check_table(table, reserved, f"tables.{name}")
    for name, table in tables.items():
        for number, reference in enumerate(table.get("references", [])):
            _check_reference(reference, table, tables, f"tables.{name}.references[{number}]")
    _known([data["record_table"]], tables, "record_table")
    _by_name(data.get("derived", []), "derived", "derived")
    for code, rule in _by_name(data.get("rules", []), "rule", "rules", "code").items():
        if not _POINTER.fullmatch(rule["pointer"]):
            raise ValueError(f"rules.{code}.pointer must be a JSON Pointer")
    for name, total in _by_name(data.get("control_totals", []), "control_total", "control_totals").items():
        _known([total["table"]], tables, f"control_totals.{name}.table")
        _known([total["column"]], _columns(tables[total["table"]]), f"control_totals.{name}.column")


def _check_versions(data: Mapping[str, Any]) -> None:
    numbers = list(_by_name(data.get("versions", []), "version", "versions", "version")) or [data["current_version"]]
    if numbers != sorted(numbers) or numbers[-1] != data["current_version"]:
        raise ValueError("versions must be in ascending order, and end with current_version")
    if "record_version" not in data:
        if len(numbers) > 1:
            raise ValueError("the contract lacks record_version, which says where a record names one of its versions")
        return
    named = data["record_version"]
    _check_members(named, "record_version", "record_version")
    if not named["pointer"].startswith("/") or not _POINTER.fullmatch(named["pointer"]):
        raise ValueError("record_version.pointer must be a JSON Pointer that names a member")


def _check_table(table: Mapping[str, Any], reserved: Collection[str], place: str) -> None:
    for name, column in _by_name(table["columns"], "column", f"{place}.columns").items():
        if name in reserved or name == _PARTITION:
            raise ValueError(f"{place} can't have a column {name}: the pipeline adds one of that name")
        kind = COLUMN_TYPE.fullmatch(column["type"])
        if not kind or (kind[1] and (int(kind[1]) > _MAX_DECIMAL or int(kind[2]) > int(kind[1]))):
            raise ValueError(f"{place}.columns.{name}.type is no type that a table can have")
    for member in ("key", "latest_by"):
        _known(table.get(member, []), _columns(table), f"{place}.{member}")


def _check_reference(reference: Any, table: Mapping[str, Any], tables: Mapping[str, Any], place: str) -> None:
    _check_members(reference, "reference", place)
    _known([reference["table"]], tables, f"{place}.table")
    _known(reference["columns"], _columns(table), f"{place}.columns")
    if len(reference["columns"]) != len(tables[reference["table"]]["key"]):
        raise ValueError(f"{place} must have as many columns as the key of {reference['table']}")


def _check_members(data: Any, part: str, place: str) -> None:
    required, optional = _MEMBERS[part]
    if not isinstance(data, dict):
        raise TypeError(f"{place} must be an object")
    for name in sorted(required.keys() - data.keys()):
        raise ValueError(f"{place} lacks {name}")
    for name in sorted(data.keys() - required.keys() - optional.keys()):
        raise ValueError(f"{place} has a member that is not known: {name}")
    for name, value in data.items():
        kind = {**required, **optional}[name]
        if not _KINDS[kind](value):
            raise ValueError(f"{place}: {name} must be {kind}")


def _by_name(parts: Sequence[Any], part: str, place: str, name: str = "name") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, data in enumerate(parts):
        _check_members(data, part, f"{place}[{number}]")
        if data[name] in found:
            raise ValueError(f"{place} has {data[name]} twice")
        found[data[name]] = data
    return found


def _columns(table: Mapping[str, Any]) -> list[str]:
    return [column["name"] for column in table["columns"]]


def _known(names: Iterable[Any], known: Collection[str], place: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{place} names {name!r}, which is not there")
