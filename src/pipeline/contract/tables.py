"""Checks the tables of a contract for keys that several records can share, and for values that don't fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from functions.common.contract import Contract
from functions.common.reject_codes import DOES_NOT_FIT
from functions.common.sql import make_macros
from functions.validate.contract_sql.column_origins import Columns, Origin, casts, column_origins
from functions.validate.contract_sql.table_checks import TableCheck, table_checks
from pipeline.contract.fault import Fault, line_at
from pipeline.contract.queries import database, described, view_records


def key_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Yield a fault for each table without latest_by in which several records can have rows with the same key.

    Also yields a record table with latest_by, which has no effect there. Checks only keys whose columns are unchanged
    values of the record. The contract's SQL must run.
    """
    with _records(contract) as connection:
        origins = column_origins(connection, contract, [contract.current])
    places = {
        table.name: {origins[table.name].get(name, Origin()).pointer for name in table.key} for table in contract.tables
    }
    of_record = places[contract.record_table.name]
    for number, table in enumerate(contract.tables):
        own, path = places[table.name], folder / "contract.json"
        if table is contract.record_table and table.latest_by:
            says = f"{table.name} is the record table, where the later record is kept: latest_by is ignored"
            yield Fault(path, line_at(path, f"/tables/{number}/latest_by"), says, "Remove latest_by.")
        if table is contract.record_table or table.latest_by or None in own | of_record or of_record <= own:
            continue
        key, record_key = ", ".join(table.key), ", ".join(contract.record_table.key)
        says = f"several records can have {table.name} rows with the same key ({key}), and the table has no latest_by"
        advice = f"Add latest_by with the columns that select the newest row, or add {record_key} to the key."
        yield Fault(path, line_at(path, f"/tables/{number}/key"), says, advice)


def cast_warnings(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Yield warnings about columns that can't hold every value of the schema, and casts that fail on some values.

    The contract must have no faults. Computed values are not checked, since DuckDB gives a sum, for example, a wider
    type than its values need.
    """
    with _records(contract) as connection:
        origins = column_origins(connection, contract)
        for check in table_checks(connection, contract):
            given = described(connection, check.table.sql)
            yield from _of_columns(folder, contract, check, given, origins[check.table.name])
            if casts(connection, check.table.sql):
                says = "has a cast that may round a value, or fail; then the record is rejected as does_not_fit"
                advice = "Use TRY_CAST if such a value should become null."
                yield Fault(folder / f"{check.table.name}.sql", 1, says, advice)


def _of_columns(
    folder: Path, contract: Contract, check: TableCheck, given: dict[str, str], origins: Columns
) -> Iterator[Fault]:
    table, path = check.table, folder / "contract.json"
    unsafe = {reason.rule for _, reason in check.conditions if reason.code == DOES_NOT_FIT}
    for number, column in enumerate(table.columns):
        place = origins.get(column.name, Origin()).pointer
        if f"{table.name}.{column.name}" in unsafe and place is not None:
            line = line_at(path, f"/tables/{contract.tables.index(table)}/columns/{number}")
            kind = given[column.name]
            says = f"{table.name}.{column.name} is {column.type}, which can't hold every {kind} of {place}"
            advice = f"Declare {kind}, or limit it in the schema. Otherwise, its record is rejected as does_not_fit."
            yield Fault(path, line, says, advice)


@contextmanager
def _records(contract: Contract) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with the contract's macros and an empty view `records`."""
    with database() as connection:
        make_macros(connection, contract)
        view_records(connection, contract.current, contract)
        yield connection
