"""Runs DuckDB for the functions: one thread, limited memory, no downloads, and the contract's macros."""

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
_ENOUGH_MB = 140
"""The memory limit in MiB below which DuckDB is slower. More memory helps only to sort or group more data."""


STAGED = "FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 20480, WRITE_BLOOM_FILTER false"
"""The options for Parquet files in staging. DuckDB holds a whole row group in memory, which is 20 MB of typical
records. Bloom filters are off because they help only with lookups of single values."""

_SPILL_LIMIT = "max_temp_directory_size"
"""The setting that DuckDB's error names when there is no disk space for temporary files."""

_numbers = count()


@contextmanager
def connect(workdir: Path, memory_mb: int, data_bytes: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that spills to `workdir` and uses at most 60% of `memory_mb` MiB.

    The memory limit starts at about `data_bytes`, the size of the data to sort or group, because DuckDB fails with
    much less. Only `copy` may use the whole share.

    One thread makes the output deterministic. Extensions are neither downloaded nor loaded; json, parquet and icu are
    built in. DuckDB's messages quote values, so errors contain only the type of its exception. Raises
    ResourceLimitError if memory or disk run out, and ContractError if the contract's SQL fails.
    """
    try:
        share_mb = int(memory_mb * _MEMORY_SHARE)
        with _session(workdir, min(share_mb, max(_ENOUGH_MB, data_bytes >> 20)), share_mb) as connection:
            yield connection
    except duckdb.OutOfMemoryException as exc:
        if _SPILL_LIMIT in str(exc):
            kind = type(exc).__name__
            raise ResourceLimitError(f"DuckDB ran out of disk space for temporary files ({kind}).") from None
        raise ResourceLimitError(f"DuckDB ran out of memory ({type(exc).__name__}).", is_memory=True) from None
    except duckdb.IOException as exc:
        raise ResourceLimitError(f"DuckDB ran out of disk space ({type(exc).__name__}).") from None
    except duckdb.Error as exc:
        raise ContractError(f"The contract's SQL failed on these records ({type(exc).__name__}).") from None


@contextmanager
def _session(workdir: Path, limit_mb: int, share_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach a new database to the process's DuckDB instance, and detach it at the end.

    The instance is reused because its start takes longer than processing a small file. After an error, it is replaced.
    """
    name = f"work_{next(_numbers)}"
    try:
        session = _spilling_to(workdir).cursor()
        session.execute(
            f"""
            SET GLOBAL memory_limit = '{limit_mb}MiB';
            SET VARIABLE memory_share = '{share_mb}MiB';
            SET TimeZone = 'UTC';
            ATTACH ':memory:' AS {name};
            USE {name}
            """
        )
        yield session
        session.execute(f"USE memory; DETACH {name}")
        session.close()
    except BaseException:
        _instance.cache_clear()
        raise


def _spilling_to(workdir: Path) -> duckdb.DuckDBPyConnection:
    """Return the process's DuckDB instance with the spill folder in `workdir`.

    An instance that has already spilled can't change its folder, so it is replaced.
    """
    spill = f"SET GLOBAL temp_directory = {literal(workdir / 'spill')}"
    try:
        _instance().execute(spill)
    except duckdb.NotImplementedException:
        _instance.cache_clear()
        _instance().execute(spill)
    return _instance()


@cache
def _instance() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "threads": 1,
            "home_directory": tempfile.gettempdir(),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_external_file_cache": False,  # would use up the memory limit for the Parquet files that are read
            "preserve_insertion_order": True,
        }
    )


def copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path, options: str) -> int:
    """Write the result of a query to a file with the given COPY options, and return the number of rows.

    DuckDB holds a whole Parquet row group in memory, and rows may be large. If the memory limit is too low, the query
    runs again with the function's whole share of memory.
    """
    statement = f"COPY ({query}) TO {literal(path)} ({options})"
    try:
        row = connection.execute(statement).fetchone()
    except duckdb.OutOfMemoryException:
        connection.execute("SET GLOBAL memory_limit = getvariable('memory_share')")
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def make_macros(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Create the macros that the contract's SQL uses."""
    if contract.macros:
        connection.execute(contract.macros)


def open_records(connection: duckdb.DuckDBPyConnection, records: Path, condition: str = "true") -> None:
    """Create the view `records` of the valid records in the Parquet file that `validate` wrote, typed by the schema.

    It contains only records for which `condition` is true. Its columns are the record's properties and `_position`, the
    position of the record in its file.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE VIEW records AS
        SELECT COLUMNS(name -> name NOT IN ({literal(KEPT)}, {literal(TOTALS)}))
        FROM read_parquet({literal(records)})
        WHERE {KEPT} AND {condition}
        """
    )


def literal(value: object) -> str:
    """Return `value` as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: tuple[str, ...]) -> str:
    """Return `names` as a comma-separated list of quoted SQL identifiers."""
    return ", ".join(identifier(name) for name in names)
