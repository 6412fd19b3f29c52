"""Finds the records on which a contract's SQL fails, by binary search over their positions."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb

from functions.common.contract import POSITION, Column, Table
from functions.common.errors import ContractError
from functions.common.sql import identifier, open_records

REFUSED = (duckdb.Error, UnicodeDecodeError)
"""The exceptions that DuckDB raises for a failing record. UnicodeDecodeError means its message cuts a character."""

Within = Callable[[int, int], str]
"""Returns a query over the records between two positions, inclusive."""


MOST = 2000
"""The maximum number of failing records per chunk. Each takes about 10 ms. More indicate a mistake in the SQL."""


def failing_positions(
    connection: duckdb.DuckDBPyConnection, records: Within, query: Within, what: str
) -> Iterator[int]:
    """Yield the positions of the records on which `query` fails, in order.

    A failure that occurs only for several records together has no position. Raises ContractError, with `what` in its
    message, if the query fails on more than MOST records. Raises DuckDB's errors about memory and disk.
    """
    first = None
    for number, position in enumerate(_failing(connection, records, query, 0, 2**62)):
        first = position if first is None else first
        if number == MOST:
            raise ContractError(
                f"The contract's SQL failed on these records (more than {MOST} of one chunk): {what}, first on the "
                f"record at position {first}. Use TRY_CAST or CASE for such values, or let the schema reject them."
            )
        yield position


def _failing(
    connection: duckdb.DuckDBPyConnection, records: Within, query: Within, first: int, last: int
) -> Iterator[int]:
    if not fails(connection, query(first, last)):
        return
    extremes = f"SELECT min({POSITION}), max({POSITION}) FROM ({records(first, last)})"
    low, high = connection.execute(extremes).fetchone() or (None, None)
    if low is None:
        return
    if low == high:
        yield low
        return
    middle = (low + high) // 2
    yield from _failing(connection, records, query, low, middle)
    yield from _failing(connection, records, query, middle + 1, high)


def fails(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Return whether a query fails on the data that it reads. The query should return few rows, which are discarded."""
    try:
        connection.execute(query).fetchall()
    except duckdb.OperationalError:
        raise
    except REFUSED:
        return True
    return False


def failing_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, records: Path, *, cast: bool = False
) -> Iterator[tuple[int, Column | None]]:
    """Yield the position of each valid record in `records` for which a table's SELECT fails, with the failing column.

    The column is None if no single column makes the query fail. With `cast`, a value that can't be cast to its column's
    type counts as a failure. Replaces the view `records`.
    """

    def within(first: int, last: int) -> str:
        open_records(connection, records, f"{POSITION} BETWEEN {first} AND {last}")
        return f"SELECT {POSITION} FROM records"

    def computed(columns: Sequence[Column], first: int, last: int) -> str:
        within(first, last)
        values = [f"CAST({identifier(c.name)} AS {c.type})" if cast else identifier(c.name) for c in columns]
        return f"SELECT max(hash({', '.join(values)})) FROM ({table.rows_sql})"

    what, likely = f"table {table.name}", list(table.columns)
    for position in failing_positions(connection, within, lambda *ends: computed(table.columns, *ends), what):
        found = None
        if not fails(connection, computed([Column(POSITION, "BIGINT")], position, position)):
            found = next((one for one in likely if fails(connection, computed([one], position, position))), None)
            likely.sort(key=lambda one: one is not found)  # the next record often fails for the same reason
        yield position, found
