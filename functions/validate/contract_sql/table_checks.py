"""Finds valid records whose rows the tables can't hold, before records are counted. Each such record is one reject.

A table is checked only if a row might not fit: a cast to a column's type may change a value, a key column may be null,
or the table's SELECT has casts or arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from functions.common.contract import POSITION, Column, Contract, Table
from functions.common.failing_records import REFUSED, failing_rows
from functions.common.reject_codes import DOES_NOT_FIT, NULL_KEY, Reason
from functions.common.sql import identifier, open_records
from functions.validate.contract_sql.casts import is_kept, type_named, widens
from functions.validate.contract_sql.column_origins import Origin, can_fail, column_origins

UNFIT = "unfit"
"""The table of records whose rows don't fit, with their positions and the numbers of their reasons."""

_CREATE_UNFIT = f"CREATE OR REPLACE TABLE {UNFIT} ({POSITION} BIGINT, reason INTEGER)"


@dataclass(frozen=True, slots=True)
class TableCheck:
    """The conditions on the rows that a table's SELECT returns."""

    table: Table
    conditions: tuple[tuple[str, Reason], ...]
    """SQL conditions on a row, each with the reason for rejecting the record if the condition isn't true."""
    can_fail: bool
    """Whether the SELECT itself has a cast or an operator that fails on some values."""


def table_checks(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[TableCheck]:
    """Return the checks that a contract's tables need. Requires a view `records`."""
    origins = column_origins(connection, contract)
    checks = []
    for table in contract.tables:
        relation = connection.sql(table.rows_sql)
        types = {name.lower(): kind for name, kind in zip(relation.columns, relation.types, strict=True)}
        conditions: list[tuple[str, Reason]] = []
        for column in table.columns:
            origin, place = origins[table.name].get(column.name, Origin()), identifier(column.name)
            if not widens(types[column.name], type_named(connection, column.type), origin.bounds):
                kept = is_kept(types[column.name], column.type, place)
                conditions.append((kept, does_not_fit(table, column, origin)))
            if column.name in table.key and origin.nullable:
                conditions.append((f"{place} IS NOT NULL", _null_key(table, column, origin)))
        check = TableCheck(table, tuple(conditions), can_fail(connection, table.sql))
        if check.conditions or check.can_fail:
            checks.append(check)
    return checks


def does_not_fit(table: Table, column: Column, origin: Origin) -> Reason:
    """Return the reason for rejecting a record with a value that a column can't hold."""
    sentence = f"cannot be kept unchanged in the column {column.name} ({column.type}) of the table {table.name}"
    if not _pointer(origin):
        sentence = f"has a value that {sentence}"
    return _reason(DOES_NOT_FIT, table, column, origin, sentence)


def _null_key(table: Table, column: Column, origin: Origin) -> Reason:
    sentence = f"must have a value, because {column.name} is part of the key of the table {table.name}"
    if not _pointer(origin):
        sentence = f"gives the table {table.name} a row without {column.name}, which is part of its key"
    return _reason(NULL_KEY, table, column, origin, sentence)


def _not_computed(table: Table, column: Column | None) -> Reason:
    if column is None:
        says = f"the record has values from which a row of the table {table.name} cannot be computed"
        return Reason(DOES_NOT_FIT, "", table.name, says)
    sentence = f"has values from which {column.name} of the table {table.name} cannot be computed as {column.type}"
    return _reason(DOES_NOT_FIT, table, column, Origin(), sentence)


def _reason(code: str, table: Table, column: Column, origin: Origin, sentence: str) -> Reason:
    pointer = _pointer(origin)
    return Reason(code, pointer, f"{table.name}.{column.name}", f"{pointer or 'the record'} {sentence}")


def _pointer(origin: Origin) -> str:
    """Return the JSON Pointer of a value in the record, or of its array if the value is inside an element."""
    return (origin.pointer or "").partition("/*")[0]


def find_unfit(
    connection: duckdb.DuckDBPyConnection, checks: Sequence[TableCheck], records: Path, reasons: list[Reason]
) -> int:
    """Fill the table UNFIT with the kept records in the file `records` that fail a check, and return their number.

    Each record gets the number of its first reason, which is added to `reasons`.
    """
    connection.execute(_CREATE_UNFIT)
    for check in checks:
        _find(connection, check, records, reasons)
    (count,) = connection.execute(f"SELECT count(*) FROM {UNFIT}").fetchone() or (0,)
    return int(count)


def _find(connection: duckdb.DuckDBPyConnection, check: TableCheck, records: Path, reasons: list[Reason]) -> None:
    try:
        is_clean = _all_fit(connection, check, records)
    except duckdb.OperationalError:
        raise
    except REFUSED:
        is_clean = False
        for position, column in failing_rows(connection, check.table, records):
            reasons.append(_not_computed(check.table, column))
            connection.execute(f"INSERT INTO {UNFIT} VALUES ({position}, {len(reasons) - 1})")
    if not is_clean:
        _insert(connection, check, records, len(reasons))
        reasons += [reason for _, reason in check.conditions]


def _all_fit(connection: duckdb.DuckDBPyConnection, check: TableCheck, records: Path) -> bool:
    """Return whether all rows fit, which is nearly always the case."""
    open_records(connection, records)
    unfit = " OR ".join(f"NOT coalesce({kept}, false)" for kept, _ in check.conditions) or "false"
    every_column = ", max(hash(_row))" if check.can_fail else ""
    query = f"SELECT count(*) FILTER (WHERE {unfit}){every_column} FROM ({check.table.rows_sql}) AS _row"
    (n_unfit, *_) = connection.execute(query).fetchone() or (0,)
    return bool(n_unfit == 0)


def _insert(connection: duckdb.DuckDBPyConnection, check: TableCheck, records: Path, first: int) -> None:
    """Insert records whose rows don't fit into UNFIT. `write` reports rows whose position isn't in `records`."""
    open_records(connection, records, f"{POSITION} NOT IN (SELECT {POSITION} FROM {UNFIT})")
    cases = [f"WHEN NOT coalesce({kept}, false) THEN {first + n}" for n, (kept, _) in enumerate(check.conditions)]
    numbered = f"CASE {' '.join(cases)} END" if cases else "NULL"
    connection.execute(
        f"""
        INSERT INTO {UNFIT}
        SELECT {POSITION}, min(reason)
        FROM (SELECT {POSITION}, {numbered} AS reason FROM ({check.table.rows_sql}))
        WHERE reason IS NOT NULL AND {POSITION} IN (SELECT {POSITION} FROM records)
        GROUP BY {POSITION}
        """
    )
