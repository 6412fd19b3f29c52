"""Writes the SQL of a draft: expressions, and the SELECT of each table."""

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import duckdb

from functions.common.sql import identifier, literal

if TYPE_CHECKING:
    from pipeline.draft.tables import DraftPlan, DraftTable

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@cache
def _keywords() -> frozenset[str]:
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    return frozenset(name for (name,) in rows)


def ident(name: str) -> str:
    """Return a name as SQL, quoted only if it must be."""
    return name if _PLAIN.fullmatch(name) and name not in _keywords() else identifier(name)


def member(holder: str, name: str) -> str:
    """Return the expression for a member of an object, or for a property of the record if `holder` is empty."""
    if not holder:
        return ident(name)
    if holder.lower().strip('"') == "records":  # the property, and not the view of that name
        return f"struct_extract({holder}, {literal(name)})"
    return f"{holder}.{ident(name)}"


def record_id_sql(plan: "DraftPlan") -> str:
    """Return the key for records that have none: the position in the file, and a hash of the content."""
    members = ", ".join(
        f"{literal(name)}: {ident(name)}" for name, one in plan.record.members.items() if one.kind != "empty"
    )
    return f"printf('%012d-%s', _position, left(md5(CAST({{{members}}} AS VARCHAR)), 16))"


def select_of(table: "DraftTable") -> str:
    """Return the SELECT of a table."""
    columns = ["_position"]
    for column in table.columns:
        columns.append(column.sql if column.sql == ident(column.name) else f"{column.sql} AS {ident(column.name)}")
    lines = ",\n".join(f"    {column}" for column in columns)
    where = f"\nWHERE {table.where}" if table.where else ""
    return f"SELECT\n{lines}\nFROM {table.source}{where}\n"


def files_of(plan: "DraftPlan") -> Mapping[str, str]:
    """Return the SQL files of a draft by name."""
    return {f"{table.name}.sql": select_of(table) for table in plan.tables}
