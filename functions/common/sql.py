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
_ENOUGH_MB = 140
"""With more, nothing gets faster but what sorts or groups more than that; and hardly any rows need more."""


STAGED = "FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 20480, WRITE_BLOOM_FILTER false"
"""How Parquet is written to staging. DuckDB holds a row group before it writes it: 20 MB of common records. Nobody
looks there for single values, which is what Bloom filters are for."""

_SPILL_LIMIT = "max_temp_directory_size"
"""The setting that DuckDB names where there is no room to spill: by default, most of what the disk has free."""

_numbers = count()


@contextmanager
def connect(workdir: Path, memory_mb: int, data_bytes: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database that spills to `workdir` and uses no more than its share of `memory_mb` MiB.

    It uses about as much as there is data to sort or to group, `data_bytes`: with far less DuckDB can't do either.
    Only `copy` may use the whole share.

    One thread, so that the same rows give the same bytes. Extensions are neither fetched nor loaded: json,
    parquet and icu are built in. What DuckDB says of an error quotes values, so only the error's kind goes on:
    raises ResourceLimitError where memory or disk run out, ContractError where the contract's SQL fails.
    """
    try:
        share_mb = int(memory_mb * _MEMORY_SHARE)
        with _session(workdir, min(share_mb, max(_ENOUGH_MB, data_bytes >> 20)), share_mb) as connection:
            yield connection
    except duckdb.OutOfMemoryException as exc:
        if _SPILL_LIMIT in str(exc):
            raise ResourceLimitError(f"DuckDB ran out of disk for temporary files ({type(exc).__name__}).") from None
        raise ResourceLimitError(f"DuckDB ran out of memory ({type(exc).__name__}).", is_memory=True) from None
    except duckdb.IOException as exc:
        raise ResourceLimitError(f"DuckDB ran out of disk ({type(exc).__name__}).") from None
    except duckdb.Error as exc:
        raise ContractError(f"The contract's SQL failed on these records ({type(exc).__name__}).") from None


@contextmanager
def _session(workdir: Path, limit_mb: int, share_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A new database in the process's DuckDB, gone at the end: to start a DuckDB takes longer than a small file does.

    One in which something went wrong is not used again.
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
    """The process's DuckDB, or where it has spilled elsewhere, which it can't change then, a new one."""
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
            "enable_external_file_cache": False,  # it would fill the memory limit with the Parquet files that are read
            "preserve_insertion_order": True,
        }
    )


def copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path, options: str) -> int:
    """Write what a query gives to a file; answers the number of rows. `options` are those of COPY.

    DuckDB holds a row group of Parquet before it writes it, and rows may be large: where the memory that it has been
    given does not do, this is done once more with all of its share.
    """
    statement = f"COPY ({query}) TO {literal(path)} ({options})"
    try:
        row = connection.execute(statement).fetchone()
    except duckdb.OutOfMemoryException:
        connection.execute("SET GLOBAL memory_limit = getvariable('memory_share')")
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def make_macros(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Make what the contract's SQL calls by name."""
    if contract.macros:
        connection.execute(contract.macros)


def open_records(connection: duckdb.DuckDBPyConnection, records: Path, condition: str = "true") -> None:
    """Make the view `records`: the valid records of the Parquet file that `validate` made, typed by the schema.

    Only those are in it for which `condition` is true. Its columns are the record's properties and `_position`, where
    the record stands in its file.
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
    """`value` as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: tuple[str, ...]) -> str:
    """`names` as a comma-separated list of quoted SQL identifiers."""
    return ", ".join(identifier(name) for name in names)
