"""Turns valid records into typed rows: runs the contract's SELECTs and writes one Parquet part a table."""

from pathlib import Path

import duckdb

from functions.common.contract import Contract, Table
from functions.common.sql import STAGED, copy, identifier, make_macros, open_records


def write_parts(
    records: Path, contract: Contract, workdir: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, int]:
    """Write `<table>.parquet` for each table of the contract into `workdir`; answers the rows of each.

    `records` is the Parquet file that `validate` made.
    A part has the table's columns, cast to their types, and `_position`, where the row's record stands in its
    file. Candidates are not merged here: superseded records and older rows of a key are still in it.
    """
    make_macros(connection, contract)
    open_records(connection, records)
    return {table.name: _write_part(table, workdir, connection) for table in contract.tables}


def _write_part(table: Table, workdir: Path, connection: duckdb.DuckDBPyConnection) -> int:
    columns = ", ".join(f"CAST({identifier(c.name)} AS {c.type}) AS {identifier(c.name)}" for c in table.columns)
    query = f"SELECT _position, {columns} FROM ({table.sql})"
    return copy(connection, query, workdir / f"{table.name}.parquet", STAGED)
