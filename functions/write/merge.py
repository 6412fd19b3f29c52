"""Merges the parts of a batch into its tables."""

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
    """Write `<table>.parquet` into `workdir`, and make a view of it, from the parts `<chunk>.<table>.part` there.

    Of records with one key the last in the file is kept; of rows with one key the latest by the contract's
    `latest_by`. Rows are sorted by key, so that the same records give the same bytes however the file was cut.
    Many producers send their records in the order of the key: then nothing is sorted, and memory does not grow.
    Raises ReconciliationError where the result does not balance.
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
        rows = _sorted_rows(table) if n_rows is None else _rows_as_they_come(table, n_rows)
        _write_table(table, rows, batch, workdir, connection)
    return prove(contract, totals, superseded, connection)


def _rows_in_order(table: Table, connection: duckdb.DuckDBPyConnection) -> int | None:
    """How many rows a table's parts have, if these come sorted by key and no key comes twice; None if not."""
    ascends = ""
    for column in map(identifier, reversed(table.key)):
        before = f"lag({column}) OVER ()"
        by_the_rest = f" OR ({column} = {before} AND {ascends})" if ascends else ""
        ascends = f"({column} > {before}{by_the_rest})"
    counts = "count(*), count(*) FILTER (WHERE ascends)"
    row = connection.execute(f"SELECT {counts} FROM (SELECT {ascends} AS ascends FROM {_part(table)})").fetchone()
    n_rows, n_ascending = row or (0, 0)
    return n_rows if n_ascending >= n_rows - 1 else None  # before the first row is none


def _find_superseded(record_table: Table, connection: duckdb.DuckDBPyConnection) -> None:
    """Fill the table `superseded` with the records whose key occurs again later in the file, by chunk and position.

    A feed of updates may have millions; most files have none.
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
    """The superseded records that `merge` found, by chunk and position."""
    with (workdir / SUPERSEDED).open(encoding="ascii") as lines:
        for line in lines:
            yield Superseded(*map(int, line.split(",")))


def lineage(batch: Batch) -> dict[str, str]:
    """Of each column of LINEAGE the SQL constant that stands in every row."""
    return {
        "batch_id": literal(batch.batch_id),
        "ingested_at": f"CAST({literal(batch.ingested_at)} AS TIMESTAMP)",
    }


def _sorted_rows(table: Table) -> str:
    """The query of the rows that are published, sorted by key."""
    return f"""
        SELECT {_columns(table)}
        FROM {_part(table)} AS part
        ANTI JOIN superseded USING (_position)
        {_latest(table)}
        ORDER BY {identifiers(table.key)}
    """


def _rows_as_they_come(table: Table, n_rows: int) -> str:
    """The query of the same rows where there is nothing to sort, and none to leave out.

    The numbers beside them are not read. Joined to them, which come in full vectors, the rows do too, whatever parts
    they come from; without, the row groups would end elsewhere in another cut of the file.
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
    """What keeps of the rows of one key the latest, by `latest_by`, then by position.

    To rank rows is dear, so first all go whose first `latest_by` is not the highest of their key.
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
