"""Merges the parts of a batch into its tables, and proves that the books balance before anything is published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from functions.common.batch import Batch
from functions.common.contract import Contract, Table
from functions.common.errors import ReconciliationError
from functions.common.records import MOST_FIELDS, OTHERS
from functions.common.sql import identifier, identifiers, literal

SUPERSEDED = "superseded.csv"

_K = TypeVar("_K")

_EXACT = Context(prec=64)
"""The default context rounds to 28 digits, silently; a sum of DECIMAL(38, s) has up to 38."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The account of a whole file: received = valid + rejected."""

    received: int
    valid: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    records_by_version: Mapping[str, Mapping[str, int]]
    """Of each version of the contract how many records are `valid` and `rejected`."""
    drift: Sequence[Mapping[str, Any]]
    """How many records had which field that the contract does not know."""
    control_totals: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Superseded:
    """A record whose key occurs again later in the file."""

    chunk: int
    position: int
    superseded_by: int


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch publishes: the files of its tables in the work folder, and its account."""

    rows: Mapping[str, int]
    superseded: int
    """How many records are superseded; `read_superseded` reads which."""
    control_totals: Mapping[str, Mapping[str, str]]
    """Of each control total the sums `validated`, `superseded` and `published`."""


def add_up(counts: Sequence[Mapping[str, Any]], batch: Batch) -> Totals:
    """The account of all chunks together. Raises ReconciliationError where a chunk's own does not balance."""
    sums: dict[str, Decimal] = {}
    for chunk, count in enumerate(counts):
        _check_balance(chunk, count, batch)
        for name, total in count["control_totals"].items():
            sums[name] = _EXACT.add(sums.get(name, Decimal(0)), Decimal(total))
    by_version = _added(
        ((version, what), number)
        for count in counts
        for version, numbers in count["records_by_version"].items()
        for what, number in numbers.items()
    )
    fields = _added(
        ((one["contract_version"], one["field"], one["dropped"]), one["records"])
        for count in counts
        for one in count["drift"]
    )
    told = {key for key in fields if key[1] == OTHERS} | set(list(fields)[:MOST_FIELDS])
    fields = _added((key if key in told else (key[0], OTHERS, key[2]), records) for key, records in fields.items())
    return Totals(
        received=sum(count["received"] for count in counts),
        valid=sum(count["valid"] for count in counts),
        rejected=sum(count["rejected"] for count in counts),
        rejected_by_reason=_added(pair for count in counts for pair in count["rejected_by_reason"].items()),
        records_by_version={
            version: {what: by_version[version, what] for what in ("valid", "rejected")}
            for version in sorted({version for version, _ in by_version})
        },
        drift=[
            {"contract_version": version, "field": field, "records": records, "dropped": dropped}
            for (version, field, dropped), records in fields.items()
        ],
        control_totals=sums,
    )


def _check_balance(chunk: int, count: Mapping[str, Any], batch: Batch) -> None:
    if count["chunk_bytes"] != batch.chunk_bytes:
        raise ReconciliationError(f"Chunk {chunk} was cut by another plan; two runs of this batch overlap.")
    if "records_by_version" not in count:
        raise ReconciliationError(f"Chunk {chunk} was counted by an earlier release: run the batch again.")
    if count["received"] != count["valid"] + count["rejected"]:
        sides = f"received {count['received']}, valid {count['valid']}, rejected {count['rejected']}"
        raise ReconciliationError(f"Chunk {chunk}: received is not valid + rejected ({sides}).")
    for what in ("valid", "rejected"):
        if sum(numbers[what] for numbers in count["records_by_version"].values()) != count[what]:
            raise ReconciliationError(f"Chunk {chunk}: the {what} records of all versions are not {count[what]}.")


def _added(pairs: Iterable[tuple[_K, int]]) -> dict[_K, int]:
    """The sum of the numbers of each key, in the order of the keys."""
    sums: dict[_K, int] = {}
    for key, number in pairs:
        sums[key] = sums.get(key, 0) + number
    return dict(sorted(sums.items()))


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
    rows = {table.name: _write_table(table, batch, workdir, connection) for table in contract.tables}
    _check_keys(contract, connection)
    _check_references(contract, connection)
    if totals.valid != rows[contract.record_table.name] + superseded:
        raise ReconciliationError(
            f"valid {totals.valid} is not published {rows[contract.record_table.name]} + superseded {superseded}."
        )
    return Merged(rows, superseded, _control_totals(contract, totals, connection))


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
    connection.execute(f"COPY superseded TO {literal(path)} (FORMAT csv, HEADER false)")
    return int(_one(connection, "SELECT count(*) FROM superseded"))


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


def _write_table(table: Table, batch: Batch, workdir: Path, connection: duckdb.DuckDBPyConnection) -> int:
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
    return int(_one(connection, f"SELECT count(*) FROM {identifier(table.name)}"))


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


def _check_keys(contract: Contract, connection: duckdb.DuckDBPyConnection) -> None:
    """See that each row has a key, and no other the same: sorted by it, those would stand side by side."""
    for table in contract.tables:
        names = [identifier(name) for name in table.key]
        repeats = " AND ".join(f"{name} = lag({name}) OVER ()" for name in names)
        has_none = " OR ".join(f"{name} IS NULL" for name in names)
        rows = f"SELECT {repeats} AS repeats, {has_none} AS has_none FROM {identifier(table.name)}"
        counts = "[count(*) FILTER (WHERE repeats), count(*) FILTER (WHERE has_none)]"
        twice, keyless = _one(connection, f"SELECT {counts} FROM ({rows})")
        if twice:
            raise ReconciliationError(f"Table {table.name}: {twice} rows repeat the key ({', '.join(table.key)}).")
        if keyless:
            raise ReconciliationError(f"Table {table.name}: {keyless} rows have no key ({', '.join(table.key)}).")


def _check_references(contract: Contract, connection: duckdb.DuckDBPyConnection) -> None:
    keys = {table.name: table.key for table in contract.tables}
    for table in contract.tables:
        for reference in table.references:
            pairs = zip(reference.columns, keys[reference.table], strict=True)
            match = " AND ".join(f"child.{identifier(own)} = parent.{identifier(key)}" for own, key in pairs)
            child, parent = identifier(table.name), identifier(reference.table)
            orphans = _one(connection, f"SELECT count(*) FROM {child} AS child ANTI JOIN {parent} AS parent ON {match}")
            if orphans:
                raise ReconciliationError(f"Table {table.name}: {orphans} rows have no row in {reference.table}.")


def _control_totals(
    contract: Contract, totals: Totals, connection: duckdb.DuckDBPyConnection
) -> dict[str, dict[str, str]]:
    result = {}
    for total in contract.control_totals:
        column = identifier(total.column)
        lost = f"{identifier('part_' + total.table)} SEMI JOIN superseded USING (_position)"
        superseded = Decimal(_one(connection, f"SELECT coalesce(sum({column}), 0) FROM {lost}"))
        published = Decimal(_one(connection, f"SELECT coalesce(sum({column}), 0) FROM {identifier(total.table)}"))
        validated = totals.control_totals.get(total.name, Decimal(0))
        if _EXACT.subtract(validated, superseded) != published:
            raise ReconciliationError(f"Control total {total.name}: validated − superseded is not published.")
        result[total.name] = {
            "validated": _plain(validated),
            "superseded": _plain(superseded),
            "published": _plain(published),
        }
    return result


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None  # every query here is an aggregate without GROUP BY
    return row[0]


def _plain(number: Decimal) -> str:
    """An exact decimal without exponent and without trailing zeros behind its point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
