"""Merges the chunks' parts into the tables of a batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from functions.common.batch import Batch
from functions.common.contract import Contract, Table
from functions.common.sql import copy, identifier, identifiers, literal
from functions.write.reconciliation import Merged, Totals, prove

SUPERSEDED = "superseded.csv"


@dataclass(frozen=True, slots=True)
class Superseded:
    """A record whose key occurs again later in the file."""

    chunk: int
    position: int
    superseded_by: int


def merge(
    batch: Batch, contract: Contract, totals: Totals, workdir: Path, connection: duckdb.DuckDBPyConnection
) -> Merged:
    """Merge the parts `<chunk>.<table>.part` in `workdir` into `<table>.parquet`, and create a view for each table.

    If records share a key, the last record in the file is kept. If rows share a key, the latest row by the contract's
    `latest_by` is kept. Rows are sorted by key, so the bytes don't depend on how the file was split into chunks. If
    records arrive in key order, nothing is sorted, and memory use is constant.
    Raises ReconciliationError if the result does not balance.
    """
    for table in contract.tables:
        parts = literal(workdir / f"*.{table.name}.part")
        connection.execute(f"CREATE VIEW {_part(table)} AS SELECT * FROM read_parquet({parts}, filename = true)")
    in_order = {table.name: _rows_in_order(table, connection) for table in contract.tables if not table.latest_by}
    connection.execute("CREATE TABLE superseded (chunk INTEGER, _position BIGINT, superseded_by BIGINT)")
    if in_order.get(contract.record_table.name) is None:
        _find_superseded(contract.record_table, connection)
    superseded = copy(connection, "FROM superseded", workdir / SUPERSEDED, "FORMAT csv, HEADER false")
    for table in contract.tables:
        n_rows = None if superseded else in_order.get(table.name)
        rows = _sorted_rows(table) if n_rows is None else _rows_in_file_order(table, n_rows)
        _write_table(table, rows, batch, workdir, connection)
    return prove(contract, totals, superseded, connection)


def _rows_in_order(table: Table, connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return the number of rows in a table's parts, or None unless they are sorted by a unique key."""
    ascends = ""
    for column in map(identifier, reversed(table.key)):
        before = f"lag({column}) OVER ()"
        by_the_rest = f" OR ({column} = {before} AND {ascends})" if ascends else ""
        ascends = f"({column} > {before}{by_the_rest})"
    counts = "count(*), count(*) FILTER (WHERE ascends)"
    row = connection.execute(f"SELECT {counts} FROM (SELECT {ascends} AS ascends FROM {_part(table)})").fetchone()
    n_rows, n_ascending = row or (0, 0)
    return n_rows if n_ascending >= n_rows - 1 else None  # the first row has no predecessor


def _find_superseded(record_table: Table, connection: duckdb.DuckDBPyConnection) -> None:
    """Fill the table `superseded` with the records whose key occurs again later in the file, by chunk and position.

    A file of updates may have millions of superseded records. Most files have none.
    """
    part, key = _part(record_table), identifiers(record_table.key)
    connection.execute(
        f"""
        INSERT INTO superseded
        SELECT
            CAST(split_part(parse_filename(part.filename), '.', 1) AS INTEGER) AS chunk,
            part._position AS _position,
            latest._position AS superseded_by
        FROM {part} AS part
        JOIN (SELECT {key}, max(_position) AS _position FROM {part} GROUP BY ALL HAVING count(*) > 1) AS latest
        USING ({key})
        WHERE part._position <> latest._position
        ORDER BY ALL
        """
    )


def read_superseded(workdir: Path) -> Iterator[Superseded]:
    """Yield the superseded records that `merge` found, by chunk and position."""
    with (workdir / SUPERSEDED).open(encoding="ascii") as lines:
        for line in lines:
            yield Superseded(*map(int, line.split(",")))


def lineage(batch: Batch) -> dict[str, str]:
    """Return the SQL constant for each column of LINEAGE by name. Every row has the same constants."""
    return {
        "batch_id": literal(batch.batch_id),
        "ingested_at": f"CAST({literal(batch.ingested_at)} AS TIMESTAMP)",
    }


def _sorted_rows(table: Table) -> str:
    """Return the query for the published rows, sorted by key."""
    return f"""
        SELECT {_columns(table)}
        FROM {_part(table)} AS part
        ANTI JOIN superseded USING (_position)
        {_latest(table)}
        ORDER BY {identifiers(table.key)}
    """


def _rows_in_file_order(table: Table, n_rows: int) -> str:
    """Return the query for the published rows if they are already sorted and no record is superseded.

    The positional join makes DuckDB read the rows in full vectors, regardless of their parts. Without it, the ends of
    row groups would depend on how the file was split into chunks. The joined numbers are not read.
    """
    return f"SELECT {_columns(table)} FROM {_part(table)} AS part POSITIONAL JOIN range({n_rows})"


def _columns(table: Table) -> str:
    return ", ".join(f"part.{identifier(column.name)}" for column in table.columns)


def _part(table: Table) -> str:
    return identifier("part_" + table.name)


def _write_table(table: Table, rows: str, batch: Batch, workdir: Path, connection: duckdb.DuckDBPyConnection) -> None:
    constants = ", ".join(f"{value} AS {identifier(name)}" for name, value in lineage(batch).items())
    parquet = workdir / f"{table.name}.parquet"
    copy(connection, f"SELECT *, {constants} FROM ({rows})", parquet, "FORMAT parquet, COMPRESSION zstd")
    connection.execute(f"CREATE VIEW {identifier(table.name)} AS SELECT * FROM read_parquet({literal(parquet)})")


def _latest(table: Table) -> str:
    """Return the SQL clauses that keep only the latest row of each key, by `latest_by` and then by position.

    Ranking is expensive, so a semi join first drops rows whose first `latest_by` column isn't the highest of their key.
    """
    if not table.latest_by:
        return ""
    key = identifiers(table.key)
    order = ", ".join(f"{identifier(name)} DESC NULLS LAST" for name in table.latest_by)
    same = " AND ".join(
        f"part.{identifier(name)} IS NOT DISTINCT FROM highest.{identifier(name)}" for name in table.key
    )
    first = identifier(table.latest_by[0])
    return f"""
        SEMI JOIN (
            SELECT {key}, max({first}) AS _latest
            FROM {_part(table)} ANTI JOIN superseded USING (_position)
            GROUP BY {key}
        ) AS highest
        ON {same} AND part.{first} IS NOT DISTINCT FROM highest._latest
        QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}, _position DESC) = 1
    """
