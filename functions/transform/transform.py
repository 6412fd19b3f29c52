"""Converts valid records to typed rows with the contract's SELECTs, and writes one Parquet part per table."""

from pathlib import Path

import duckdb

from functions.common.contract import Contract, Table
from functions.common.errors import ContractError
from functions.common.failing_records import REFUSED, failing_rows
from functions.common.sql import STAGED, copy, identifier, make_macros, open_records


def write_parts(
    records: Path, contract: Contract, workdir: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, int]:
    """Write `<table>.parquet` for each table of the contract to `workdir`, and return the number of rows by table.

    `records` is the Parquet file that `validate` wrote. A part has the table's columns, cast to their types, and
    `_position`, the position of the row's record in the file. It still contains superseded records and older rows of
    the same key, which `write` drops. Raises ContractError with table, column and position if a table's SQL fails.
    """
    make_macros(connection, contract)
    open_records(connection, records)
    rows = {}
    for table in contract.tables:
        try:
            rows[table.name] = _write_part(table, workdir, connection)
        except duckdb.OperationalError:  # memory or disk
            raise
        except REFUSED as exc:
            raise _failure(table, records, connection, type(exc).__name__) from None
    return rows


def _failure(table: Table, records: Path, connection: duckdb.DuckDBPyConnection, kind: str) -> ContractError:
    """Return an error that says where a SELECT failed. It omits DuckDB's message, which quotes values."""
    says = f"The contract's SQL failed on these records ({kind}): table {table.name}"
    found = next(failing_rows(connection, table, records, cast=True), None)
    if found is None:
        return ContractError(f"{says}. The SELECT fails only on several records together.")
    position, column = found
    where = f", column {column.name} ({column.type})" if column else ", in the query itself"
    return ContractError(f"{says}{where}, on the record at position {position}.", position=position)


def _write_part(table: Table, workdir: Path, connection: duckdb.DuckDBPyConnection) -> int:
    columns = ", ".join(f"CAST({identifier(c.name)} AS {c.type}) AS {identifier(c.name)}" for c in table.columns)
    query = f"SELECT _position, {columns} FROM ({table.rows_sql})"
    return copy(connection, query, workdir / f"{table.name}.parquet", STAGED)
