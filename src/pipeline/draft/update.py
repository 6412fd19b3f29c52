"""Proposes the next version of a contract from data that no longer fits it."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.common.contract import RESERVED_COLUMNS, Contract, Version, load_contract
from functions.common.json_pointer import path_of
from functions.common.record_types import constant_of, record_fields, resolve
from functions.common.sql import make_macros
from functions.validate.contract_sql.column_origins import Columns, Origin, column_origins
from pipeline.contract.queries import database, view_records
from pipeline.draft.names import Names, singular
from pipeline.draft.profile import Node
from pipeline.draft.sql import ident, member
from pipeline.draft.types import Field
from pipeline.draft.widening import Widening, columns_of, widened

_FROM_RECORDS = re.compile(r"\nFROM records\b", re.IGNORECASE)
_FROM = re.compile(r"\nFROM\b", re.IGNORECASE)
_UNNEST = re.compile(r"unnest\(([^()]+)\) AS (\"[^\"]+\"|\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Update:
    """A proposed version of a contract."""

    files: Mapping[str, str]
    """The files that are new or changed, by name."""
    version: int
    """The version that the data is of: a new one, or the current one."""
    changes: Sequence[str]
    by_hand: Sequence[str]


def named_version(record: Any, contract: Contract) -> int:
    """Return the version that a record names, or the version of a record that names none. 0 if it isn't a number."""
    named = record
    for name in contract.version_path:
        if not isinstance(named, dict) or name not in named:
            return contract.default_version
        named = named[name]
    if not contract.version_path:
        return contract.default_version
    return named if type(named) is int else 0


def propose(folder: Path, root: Node, version: int) -> Update:
    """Return the changes to the contract in `folder` that make it accept the profiled records of a version."""
    contract = load_contract(folder.name, folder.parent)
    old = json.loads((folder / f"v{contract.current.number}.schema.json").read_text("utf-8"))
    made = widened(old, root)
    data = json.loads((folder / "contract.json").read_text("utf-8"))
    files: dict[str, str] = {}
    if version != contract.current.number:
        _name_version(made, contract, version)
        files[f"v{contract.current.number}_to_v{version}.sql"] = _upcast(made, contract.current)
        described = f"Adds {', '.join(made.added)}." if made.added else "Accepts more values."
        versions = data.get("versions", [{"version": contract.current.number, "description": "The first version."}])
        data |= {"current_version": version, "versions": [*versions, {"version": version, "description": described}]}
    elif len(contract.versions) > 1:
        before = contract.versions[-2]
        files[f"v{before.number}_to_v{version}.sql"] = _upcast(made, contract.current, f"(\n{before.upcast})")
    _change_columns(made, data, folder, contract, files)
    files[f"v{version}.schema.json"] = _json(made.schema)
    files["contract.json"] = _json(data)
    return Update(files, version, made.changes, made.by_hand)


def write_update(update: Update, folder: Path, into: Path) -> None:
    """Write a copy of a contract with the proposed changes."""
    shutil.copytree(folder, into, dirs_exist_ok=True)
    for name, text in update.files.items():
        (into / name).write_text(text, "utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _name_version(made: Widening, contract: Contract, version: int) -> None:
    """Change the constant by which records name their version, in the schema and its examples."""
    part: Any = made.schema
    for name in contract.version_path:
        while "$ref" in part:
            part = resolve(part["$ref"], made.schema)
        part = part["properties"][name]
    part["const"] = version
    if "examples" in part:
        part["examples"] = [version]
    made.schema["title"] = str(made.schema.get("title", "")).replace(str(contract.current.number), str(version))
    for example in made.schema["examples"]:
        holder = example
        for name in contract.version_path[:-1]:
            holder = holder.setdefault(name, {})
        holder[contract.version_path[-1]] = version
    constant, is_required = constant_of(made.schema, contract.version_path)
    if constant == version and not is_required and len(contract.version_path) == 1:
        made.schema.setdefault("required", []).append(contract.version_path[0])


def _upcast(made: Widening, before: Version, source: str = "records") -> str:
    """Return the SELECT that turns records of the version before into the new one: new fields are null.

    `source` has the records as the version before.
    """
    new, old = record_fields(made.schema), before.columns
    added = [f"CAST(NULL AS {kind}) AS {ident(name)}" for name, kind in new.items() if name not in old]
    changed = [
        f"CAST({ident(name)} AS {kind}) AS {ident(name)}" for name, kind in new.items() if old.get(name, kind) != kind
    ]
    replaced = f" REPLACE ({', '.join(changed)})" if changed else ""
    return f"SELECT {', '.join([f'*{replaced}', *added])}\nFROM {source}\n"


def _change_columns(
    made: Widening, data: dict[str, Any], folder: Path, contract: Contract, files: dict[str, str]
) -> None:
    """Widen the columns of widened fields, and add columns for new fields."""
    with database() as connection:
        make_macros(connection, contract)
        view_records(connection, contract.current, contract)
        origins = column_origins(connection, contract, [contract.current])
    for table in data["tables"]:
        _widen_columns(made, table, origins[table["name"]])
    record_table = next(one for one in data["tables"] if one["name"] == data["record_table"])
    for pointer, field in made.added.items():
        table, alias = record_table, ""
        if "*" in pointer:
            found = _table_of(pointer, data, folder)
            if found is None:
                made.by_hand.append(f"{pointer} is new: add a column for it to the table that has these elements")
                continue
            table, alias = found
        sql = files.get(f"{table['name']}.sql") or (folder / f"{table['name']}.sql").read_text("utf-8")
        changed = _with_columns(table, sql, pointer, field, alias)
        if changed is None:
            made.by_hand.append(f"{pointer} is new: add a column for it to {table['name']}.sql and contract.json")
        else:
            files[f"{table['name']}.sql"] = changed


def _widen_columns(made: Widening, table: dict[str, Any], origins: Columns) -> None:
    for column in table["columns"]:
        pointer = origins.get(column["name"], Origin()).pointer
        if pointer in made.types:
            column["type"] = made.types[pointer]


def _table_of(pointer: str, data: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], str] | None:
    """Return the table of the innermost array in a pointer, and the name of an element in its SELECT."""
    array = path_of(pointer[: pointer.rindex("/*")])[-1]
    for table in data["tables"]:
        for sql, alias in _UNNEST.findall((folder / f"{table['name']}.sql").read_text("utf-8")):
            if sql.split(".")[-1].strip('" ') == array:
                return table, alias
    return None


def _with_columns(table: dict[str, Any], sql: str, pointer: str, field: Field, alias: str) -> str | None:
    """Add a new field's columns to a table, and return its SELECT with them, or None if the SELECT is too complex."""
    pattern = _FROM if alias else _FROM_RECORDS
    match = pattern.search(sql)
    if match is None or (not alias and len(_FROM.findall(sql)) > 1):
        return None
    names = Names([*RESERVED_COLUMNS, "ingest_date", *(one["name"] for one in table["columns"])])
    start = path_of(pointer[pointer.rindex("/*") + 2 :] if alias else pointer)
    lines = ""
    for path, one in columns_of(field, start):
        expression = alias
        for step in path:
            expression = member(expression, step)
        name = names.unique(path, singular(table["name"]))
        lines += f",\n    {expression}" if expression == ident(name) else f",\n    {expression} AS {ident(name)}"
        place = pointer if not path[len(start) :] else f"{pointer}/{'/'.join(path[len(start) :])}"
        table["columns"].append({"name": name, "type": one.type, "description": f"From {place}."})
    head = sql[: match.start()].rstrip()
    return f"{head}{lines}{sql[match.start() :]}"
