"""Adds up the counts of a batch, and checks that its tables account for every valid record.

Nothing is published unless `prove` succeeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, TypeVar

import duckdb

from functions.common.batch import Batch
from functions.common.contract import Contract, Reference, Table
from functions.common.documents.chunk_counts import ChunkCounts, DriftCount, VersionCounts
from functions.common.documents.manifest import ControlTotalSums
from functions.common.errors import ReconciliationError
from functions.common.reject_lines import MOST_FIELDS, OTHERS
from functions.common.sql import identifier

_K = TypeVar("_K")

_EXACT = Context(prec=64)
"""A decimal context for sums of DECIMAL(38, s), which the default context would silently round to 28 digits."""

_SLICE_ROWS = 1 << 18
"""The number of rows whose keys are held in memory at once: about 20 MB."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a whole file: received = valid + rejected."""

    received: int
    valid: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    records_by_version: Mapping[str, VersionCounts]
    drift: tuple[DriftCount, ...]
    control_totals: Mapping[str, Decimal]
    received_bytes: int
    """The size of all records in bytes, without surrounding white space."""
    unreadable_bytes: int
    """The number of bytes that could not be read as records. `received_bytes` includes them."""
    diagnosis: str = ""
    """That of the first chunk. Empty unless every chunk with records has one."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The counts of a merged batch, whose table files are in the work folder."""

    rows: Mapping[str, int]
    superseded: int
    """The number of superseded records, which `read_superseded` yields."""
    control_totals: Mapping[str, ControlTotalSums]


@dataclass(frozen=True, slots=True)
class _Written:
    """The contents of a merged table's file."""

    rows: int
    control_totals: Mapping[str, Decimal]
    """The sums of the control totals that the contract assigns to this table."""


def add_up(counts: Sequence[ChunkCounts], batch: Batch) -> Totals:
    """Return the sums of all chunks' counts. Raises ReconciliationError if the counts of a chunk do not balance."""
    sums: dict[str, Decimal] = {}
    for chunk, count in enumerate(counts):
        _check_balance(chunk, count, batch)
        for name, total in count.control_totals.items():
            sums[name] = _EXACT.add(sums.get(name, Decimal(0)), Decimal(total))
    by_version = [pair for count in counts for pair in count.records_by_version.items()]
    valid = _added((version, numbers.valid) for version, numbers in by_version)
    rejected = _added((version, numbers.rejected) for version, numbers in by_version)
    fields = _added(
        ((one.contract_version, one.field, one.dropped, one.in_envelope, one.kept), one.records)
        for count in counts
        for one in count.drift
    )
    named = {key for key in fields if key[1] == OTHERS} | set(list(fields)[:MOST_FIELDS])
    fields = _added((key if key in named else (key[0], OTHERS, *key[2:]), records) for key, records in fields.items())
    return Totals(
        received=sum(count.received for count in counts),
        valid=sum(count.valid for count in counts),
        rejected=sum(count.rejected for count in counts),
        rejected_by_reason=_added(pair for count in counts for pair in count.rejected_by_reason.items()),
        records_by_version={
            version: VersionCounts(valid=number, rejected=rejected[version]) for version, number in valid.items()
        },
        drift=tuple(
            DriftCount(
                contract_version=version,
                field=field,
                records=records,
                dropped=dropped,
                in_envelope=in_envelope,
                kept=kept,
            )
            for (version, field, dropped, in_envelope, kept), records in fields.items()
        ),
        control_totals=sums,
        received_bytes=sum(count.received_bytes for count in counts),
        unreadable_bytes=sum(count.unreadable_bytes for count in counts),
        diagnosis=counts[0].diagnosis if all(count.diagnosis for count in counts if count.received) else "",
    )


def _check_balance(chunk: int, count: ChunkCounts, batch: Batch) -> None:
    if count.chunk_bytes != batch.chunk_bytes:
        raise ReconciliationError(f"Chunk {chunk} was split by a different plan: two runs of this batch overlap.")
    if count.received and not (count.records_by_version and count.received_bytes):
        raise ReconciliationError(f"Chunk {chunk} was counted by an earlier release: run the batch again.")
    if count.received != count.valid + count.rejected:
        sides = f"received {count.received}, valid {count.valid}, rejected {count.rejected}"
        raise ReconciliationError(f"Chunk {chunk}: received does not equal valid + rejected ({sides}).")
    versions = count.records_by_version.values()
    for what, number, of_versions in (
        ("valid", count.valid, sum(one.valid for one in versions)),
        ("rejected", count.rejected, sum(one.rejected for one in versions)),
    ):
        if of_versions != number:
            raise ReconciliationError(f"Chunk {chunk}: the {what} records by version do not add up to {number}.")


def _added(pairs: Iterable[tuple[_K, int]]) -> dict[_K, int]:
    """Return the sum of the numbers for each key, sorted by key."""
    sums: dict[_K, int] = {}
    for key, number in pairs:
        sums[key] = sums.get(key, 0) + number
    return dict(sorted(sums.items()))


def prove(contract: Contract, totals: Totals, superseded: int, connection: duckdb.DuckDBPyConnection) -> Merged:
    """Check the merged tables: keys, references, valid = published + superseded, and control totals.

    Reads the views that `merge` created. If records are superseded, also reads the parts. Raises ReconciliationError if
    a check fails.
    """
    written = {table.name: _check_keys(table, contract, connection) for table in contract.tables}
    _check_references(contract, written, connection)
    published = written[contract.record_table.name].rows
    if totals.valid != published + superseded:
        raise ReconciliationError(
            f"valid {totals.valid} does not equal published {published} + superseded {superseded}."
        )
    lost = _superseded_totals(contract, connection) if superseded else {}
    rows = {name: one.rows for name, one in written.items()}
    return Merged(rows, superseded, _control_totals(contract, totals, lost, written))


def _check_keys(table: Table, contract: Contract, connection: duckdb.DuckDBPyConnection) -> _Written:
    """Check that each row has a unique key, count the rows and add up the control totals, in one pass over the file.

    Rows are sorted by key, so equal keys are adjacent.
    """
    key = [identifier(name) for name in table.key]
    repeats = " AND ".join(f"{name} = lag({name}) OVER ()" for name in key)
    has_none = " OR ".join(f"{name} IS NULL" for name in key)
    rows = f"SELECT *, {repeats} AS _repeats, {has_none} AS _has_none"
    counts = "count(*), count(*) FILTER (WHERE _repeats), count(*) FILTER (WHERE _has_none)"
    totals = [total for total in contract.control_totals if total.table == table.name]
    sums = [f"coalesce(sum({identifier(total.column)}), 0)" for total in totals]
    number, twice, keyless, *added_up = _one(
        connection, f"SELECT ({', '.join([counts, *sums])}) FROM ({rows} FROM {identifier(table.name)})"
    )
    if twice:
        raise ReconciliationError(_repeated(table, twice, contract))
    if keyless:
        names = ", ".join(table.key)
        raise ReconciliationError(f"Table {table.name}: the key ({names}) is missing in {keyless} of its rows.")
    return _Written(number, {total.name: Decimal(sum_) for total, sum_ in zip(totals, added_up, strict=True)})


def _repeated(table: Table, rows: int, contract: Contract) -> str:
    """Return the message for repeated keys, with advice on what to change in the contract."""
    says = f"Table {table.name}: the key ({', '.join(table.key)}) is repeated in {rows} of its rows."
    if table.latest_by:
        return says
    if table is contract.record_table:
        return f"{says} Its SELECT must return one row per record, because it is the contract's record_table."
    return (
        f"{says} Set the table's latest_by to the columns that decide which of these rows to keep, or add a column to "
        f"its key that distinguishes them."
    )


def _check_references(
    contract: Contract, written: Mapping[str, _Written], connection: duckdb.DuckDBPyConnection
) -> None:
    tables = {table.name: table for table in contract.tables}
    for table in contract.tables:
        for reference in table.references:
            parent = tables[reference.table]
            orphans = _orphans(table, reference, parent, written[parent.name].rows, connection)
            if orphans:
                raise ReconciliationError(f"Table {table.name}: no row in {parent.name} matches {orphans} of its rows.")


def _orphans(
    child: Table, reference: Reference, parent: Table, parent_rows: int, connection: duckdb.DuckDBPyConnection
) -> int:
    """Return the number of rows of `child` that refer to a row that `parent` lacks. Ignores references with a null.

    A join holds the keys of `parent` in memory, so a large table is checked in slices by the first column of its key.
    If `child` is also sorted by the reference, as order items are, each slice reads only a part of both files.
    """
    pairs = zip(map(identifier, reference.columns), map(identifier, parent.key), strict=True)
    match = " AND ".join(f"child.{own} = parent.{key}" for own, key in pairs)
    refers = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in reference.columns)
    children, parents = f"(FROM {identifier(child.name)} WHERE {refers})", identifier(parent.name)
    if parent_rows < _SLICE_ROWS or not _are_of_one_type(child, reference, parent):
        return _without_match(children, parents, match, connection)
    own, key = identifier(reference.columns[0]), identifier(parent.key[0])
    numbered = f"SELECT {key} AS bound, row_number() OVER () AS number FROM {parents}"
    bounds = f"SELECT DISTINCT bound FROM ({numbered}) WHERE number % {_SLICE_ROWS} = 0"
    connection.execute(f"SET VARIABLE bounds = (SELECT list(bound ORDER BY bound) FROM ({bounds}))")
    n_bounds = int(_one(connection, "SELECT len(getvariable('bounds'))"))
    orphans = 0
    for number in range(n_bounds + 1):
        some_children = f"(FROM {children} WHERE {_in_slice(own, number, n_bounds)})"
        their_parents = f"(FROM {parents} WHERE {_in_slice(key, number, n_bounds)})"
        orphans += _without_match(some_children, their_parents, match, connection)
    return orphans


def _are_of_one_type(child: Table, reference: Reference, parent: Table) -> bool:
    """Return whether the first columns of a reference and of the key have the same type, and therefore sort alike."""
    own = next(column.type for column in child.columns if column.name == reference.columns[0])
    return own == next(column.type for column in parent.columns if column.name == parent.key[0])


def _in_slice(column: str, number: int, n_bounds: int) -> str:
    """Return the SQL condition that selects slice `number`, from the bound with that number up to the next bound."""
    conditions = [f"{column} >= getvariable('bounds')[{number}]"] if number else []  # SQL counts from 1
    if number < n_bounds:
        conditions.append(f"{column} < getvariable('bounds')[{number + 1}]")
    return " AND ".join(conditions)


def _without_match(children: str, parents: str, match: str, connection: duckdb.DuckDBPyConnection) -> int:
    query = f"SELECT count(*) FROM {children} AS child ANTI JOIN {parents} AS parent ON {match}"
    return int(_one(connection, query))


def _superseded_totals(contract: Contract, connection: duckdb.DuckDBPyConnection) -> dict[str, Decimal]:
    """Return the amount that superseded records contribute to each control total."""
    sums = {}
    for total in contract.control_totals:
        rows = f"{identifier('part_' + total.table)} SEMI JOIN superseded USING (_position)"
        sums[total.name] = Decimal(_one(connection, f"SELECT coalesce(sum({identifier(total.column)}), 0) FROM {rows}"))
    return sums


def _control_totals(
    contract: Contract, totals: Totals, superseded: Mapping[str, Decimal], written: Mapping[str, _Written]
) -> dict[str, ControlTotalSums]:
    result = {}
    for total in contract.control_totals:
        validated, lost = (sums.get(total.name, Decimal(0)) for sums in (totals.control_totals, superseded))
        published = written[total.table].control_totals[total.name]
        if _EXACT.subtract(validated, lost) != published:
            raise ReconciliationError(f"Control total {total.name}: validated − superseded does not equal published.")
        result[total.name] = ControlTotalSums(
            validated=_plain(validated), superseded=_plain(lost), published=_plain(published)
        )
    return result


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None  # every query here is an aggregate without GROUP BY
    return row[0]


def _plain(number: Decimal) -> str:
    """Format a decimal exactly, without an exponent or trailing zeros after the decimal point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
