"""Finds the records on which a contract's SQL fails, by running it on ever fewer of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb

from functions.common.contract import POSITION, Column, Table
from functions.common.errors import ContractError
from functions.common.sql import identifier, open_records

REFUSED = (duckdb.Error, UnicodeDecodeError)
"""What DuckDB raises that refuses a record: the second where its message quotes one up to the middle of a character."""

Within = Callable[[int, int], str]
"""A query of records, or of what is made of them, whose positions are within two others."""


MOST = 2000
"""How many records of a chunk are found one by one, at some 10 ms each. More are a mistake in the SQL."""


def failing_positions(
    connection: duckdb.DuckDBPyConnection, records: Within, query: Within, what: str
) -> Iterator[int]:
    """The positions of the records on which `query` fails, in order; nothing where it fails only on several together.

    An error of memory or disk says nothing about a record and is raised. Raises ContractError, which says `what` fails,
    where it does so on more than MOST records.
    """
    first = None
    for number, position in enumerate(_failing(connection, records, query, 0, 2**62)):
        first = position if first is None else first
        if number == MOST:
            raise ContractError(
                f"The contract's SQL failed on these records (more than {MOST} of one chunk): {what}, the first record "
                f"at position {first}. Write TRY_CAST or CASE for such values, or let the schema reject them."
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
    """Whether a query that is run for its last row only fails on what it reads."""
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
    """The kept records in `records` for which a table's SELECT fails, by position, each with the column that does.

    It is None where no column of its own fails, but the rows themselves. With `cast`, also those whose values can't be
    cast to the types of the columns. Changes the view `records`.
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
