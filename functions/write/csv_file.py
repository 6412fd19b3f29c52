"""Writes a published table as CSV, with the same rows in the same order as its Parquet file."""

from pathlib import Path

import duckdb

from functions.common.batch import Batch
from functions.common.contract import LINEAGE, Column, Table
from functions.common.sql import copy, identifier
from functions.write.merge import lineage

FORMULA_CHARACTERS = "=+-@\t\r\n\0＝＋－＠"
"""Characters that get a leading apostrophe at the start of a string in CSV, so no spreadsheet reads it as a formula.

https://owasp.org/www-community/attacks/CSV_Injection; NUL is from OWASP's ASVS, 1.2.10. In a Japanese environment,
Excel treats the full-width forms like the plain ones (OWASP/www-community, issue 1088).
"""

_FORMULA_CODES = ", ".join(str(ord(character)) for character in FORMULA_CHARACTERS)


def write_csv(table: Table, batch: Batch, workdir: Path, connection: duckdb.DuckDBPyConnection) -> Path:
    """Write `<table>.csv` to `workdir` from the view that `merge` created, and return its path.

    The format is RFC 4180 in UTF-8, with a header and `\\n` as line end. Timestamps are ISO 8601 with `Z`.
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
        # `unicode('')` is -1, but `ascii('')` is 0, as for NUL. DuckDB would convert IN to one join per column.
        is_formula = f"list_contains([{_FORMULA_CODES}], unicode({value}))"
        return f"CASE WHEN {is_formula} THEN '''' || {value} ELSE {value} END AS {name}"
    return f"{value} AS {name}"
