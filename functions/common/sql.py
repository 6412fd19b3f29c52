"""DuckDB as the functions use it: one thread, bounded memory, nothing fetched, the contract's macros known."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import duckdb

from functions.common.contract import KEPT, TOTALS, Contract
from functions.common.errors import ContractError, ResourceLimitError

# https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
_MEMORY_SHARE = 0.6
_MOST_MEMORY_MB = 140
"""More makes nothing faster but the sorting of files over half a gigabyte, which spills to disk beyond it."""


_numbers = count()


@contextmanager
def connect(workdir: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database that spills to `workdir` and uses no more than its share of `memory_mb` MiB.

    One thread, so that the same rows give the same bytes. Extensions are neither fetched nor loaded: json,
    parquet and icu are built in. What DuckDB says of an error quotes values, so only the error's kind goes on:
    raises ResourceLimitError where memory or disk run out, ContractError where the contract's SQL fails.
    """
    try:
        with _session(workdir, memory_mb) as connection:
            yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as exc:
        raise ResourceLimitError(f"DuckDB ran out of memory or disk ({type(exc).__name__}).") from None
    except duckdb.Error as exc:
        raise ContractError(f"The contract's SQL failed on these records ({type(exc).__name__}).") from None


@contextmanager
def _session(workdir: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A new database in the process's DuckDB, gone at the end: to start a DuckDB takes longer than a small file does.

    One in which something went wrong is not used again.
    """
    name = f"work_{next(_numbers)}"
    try:
        session = _spilling_to(workdir, memory_mb).cursor()
        session.execute(f"SET TimeZone = 'UTC'; ATTACH ':memory:' AS {name}; USE {name}")
        yield session
        session.execute(f"USE memory; DETACH {name}")
        session.close()
    except BaseException:
        _instance.cache_clear()
        raise


def _spilling_to(workdir: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """The process's DuckDB, or where it has spilled elsewhere, which it can't change then, a new one."""
    spill = f"SET GLOBAL temp_directory = {literal(workdir / 'spill')}"
    try:
        _instance(memory_mb).execute(spill)
    except duckdb.NotImplementedException:
        _instance.cache_clear()
        _instance(memory_mb).execute(spill)
    return _instance(memory_mb)


@cache
def _instance(memory_mb: int) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{int(min(memory_mb * _MEMORY_SHARE, _MOST_MEMORY_MB))}MiB",
            "home_directory": tempfile.gettempdir(),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": True,
        }
    )


def make_macros(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Make what the contract's SQL calls by name."""
    if contract.macros:
        connection.execute(contract.macros)


def open_records(connection: duckdb.DuckDBPyConnection, records: Path) -> None:
    """Make the view `records`: the valid records of the Parquet file that `validate` made, typed by the schema.

    Its columns are the record's properties and `_position`, where the record stands in its file.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE VIEW records AS
        SELECT COLUMNS(name -> name NOT IN ({literal(KEPT)}, {literal(TOTALS)}))
        FROM read_parquet({literal(records)})
        WHERE {KEPT}
        """
    )


def literal(value: object) -> str:
    """`value` as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: tuple[str, ...]) -> str:
    """`names` as a comma-separated list of quoted SQL identifiers."""
    return ", ".join(identifier(name) for name in names)
