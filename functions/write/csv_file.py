"""A published table as CSV, for people: the same rows as its Parquet file, in the same order."""

from pathlib import Path

import duckdb

from functions.common.batch import Batch
from functions.common.contract import LINEAGE, Column, Table
from functions.common.sql import copy, identifier
from functions.write.merge import lineage

_FORMULA_SIGNS = ", ".join(str(ord(sign)) for sign in "=+-@\t\r")
"""A cell that begins so is a formula to a spreadsheet (OWASP, CSV Injection); in CSV it gets an apostrophe."""


def write_csv(table: Table, batch: Batch, workdir: Path, connection: duckdb.DuckDBPyConnection) -> Path:
    """Write `<table>.csv` into `workdir` from the view that `merge` made of the table; answers its path.

    RFC 4180 with a header, `\\n` as line end, UTF-8; timestamps are ISO 8601 with `Z`.
    """
    path = workdir / f"{table.name}.csv"
    values = {column.name: identifier(column.name) for column in table.columns} | lineage(batch)
    cells = ", ".join(_cell(column, values[column.name]) for column in (*table.columns, *LINEAGE))
    copy(connection, f"SELECT {cells} FROM {identifier(table.name)}", path, "FORMAT csv, HEADER")
    return path


def _cell(column: Column, value: str) -> str:
    name = identifier(column.name)
    if column.type == "TIMESTAMP":
        return f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}"
    if column.type == "VARCHAR":
        is_formula = f"list_contains([{_FORMULA_SIGNS}], ascii({value}))"  # of IN DuckDB makes a join for each column
        return f"CASE WHEN {is_formula} THEN '''' || {value} ELSE {value} END AS {name}"
    return f"{value} AS {name}"
