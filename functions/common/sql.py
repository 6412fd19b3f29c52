"""DuckDB as the functions use it: one thread, bounded memory, nothing fetched, the contract's macros known."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from functions.common.contract import KEPT, TOTALS, Contract
from functions.common.errors import ContractError, ResourceLimitError

# https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
_MEMORY_SHARE = 0.6


@contextmanager
def connect(workdir: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database that spills to `workdir` and may use its share of `memory_mb` MiB.

    One thread, so that the same rows give the same bytes. Extensions are neither fetched nor loaded: json,
    parquet and icu are built in. What DuckDB says of an error quotes values, so only the error's kind goes on:
    raises ResourceLimitError where memory or disk run out, ContractError where the contract's SQL fails.
    """
    try:
        with _open(workdir, memory_mb) as connection:
            yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as exc:
        raise ResourceLimitError(f"DuckDB ran out of memory or disk ({type(exc).__name__}).") from None
    except duckdb.Error as exc:
        raise ContractError(f"The contract's SQL failed on these records ({type(exc).__name__}).") from None


def _open(workdir: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{int(memory_mb * _MEMORY_SHARE)}MiB",
            "temp_directory": str(workdir / "spill"),
            "home_directory": str(workdir),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": True,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


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
