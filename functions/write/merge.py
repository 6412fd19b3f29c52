"""Merges the parts of a batch into its tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from functions.common.batch import Batch
from functions.common.contract import Contract, Table
from functions.common.sql import identifier, identifiers, literal
from functions.write.account import Merged, Totals, prove

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
    Raises ReconciliationError where the result does not balance.
    """
    for table in contract.tables:
        parts = literal(workdir / f"*.{table.name}.part")
        connection.execute(
            f"CREATE VIEW {identifier('part_' + table.name)} AS SELECT * FROM read_parquet({parts}, filename = true)"
        )
    superseded = _find_superseded(contract.record_table, workdir / SUPERSEDED, connection)
    for table in contract.tables:
        _write_table(table, batch, workdir, connection)
    return prove(contract, totals, superseded, connection)


def _find_superseded(record_table: Table, path: Path, connection: duckdb.DuckDBPyConnection) -> int:
    """Make the table `superseded` of the records whose key occurs again later in the file, and list it in a file.

    Both are by chunk and position. A feed of updates may have millions; most files have none.
    """
    part, key = identifier("part_" + record_table.name), identifiers(record_table.key)
    connection.execute(
        f"""
        CREATE TABLE superseded AS
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
    copied = connection.execute(f"COPY superseded TO {literal(path)} (FORMAT csv, HEADER false)").fetchone()
    return int(copied[0]) if copied else 0


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


def _write_table(table: Table, batch: Batch, workdir: Path, connection: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(identifier(column.name) for column in table.columns)
    constants = ", ".join(f"{value} AS {identifier(name)}" for name, value in lineage(batch).items())
    parquet = literal(workdir / f"{table.name}.parquet")
    connection.execute(
        f"""
        COPY (
            SELECT *, {constants}
            FROM (
                SELECT {columns}
                FROM {identifier("part_" + table.name)} AS part
                ANTI JOIN superseded USING (_position)
                {_latest(table)}
                ORDER BY {identifiers(table.key)}
            )
        ) TO {parquet} (FORMAT parquet, COMPRESSION zstd)
        """
    )
    connection.execute(f"CREATE VIEW {identifier(table.name)} AS SELECT * FROM read_parquet({parquet})")


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
            FROM {identifier("part_" + table.name)} ANTI JOIN superseded USING (_position)
            GROUP BY {key}
        ) AS highest
        ON {same} AND part.{first} IS NOT DISTINCT FROM highest._latest
        QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}, _position DESC) = 1
    """
