"""The contract's SQL, as `validate` runs it, and a check of all of it before there is any record.

Without records an error of DuckDB quotes nothing but the contract, and so can be passed on as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from functions.common.contract import POSITION, Contract
from functions.common.errors import ContractError
from functions.common.sql import identifier, open_records


def open_checked(connection: duckdb.DuckDBPyConnection, contract: Contract, valid: Path, max_record_bytes: int) -> None:
    """Make the view `records` over `valid`, which is still empty, and see that all of the contract's SQL fits it.

    Raises ContractError, which names the file.
    """
    with _naming(contract, "macros.sql"):
        open_records(connection, contract, valid, max_record_bytes)
    with _naming(contract, "contract.json: rules"):
        if contract.rules:
            connection.execute(f"EXPLAIN {broken_rules(contract)}")
    with _naming(contract, "contract.json: control_totals"):
        if contract.control_totals:
            connection.execute(f"EXPLAIN {summed_totals(contract)}")
    for table in contract.tables:
        with _naming(contract, f"{table.name}.sql"):
            columns = ", ".join(f"CAST({identifier(column.name)} AS {column.type})" for column in table.columns)
            connection.execute(f"EXPLAIN SELECT {POSITION}, {columns} FROM ({table.sql})")


def broken_rules(contract: Contract) -> str:
    """The query of the records that break a rule: position, and of each rule whether it is kept."""
    kept = [f"coalesce({rule.sql}, false)" for rule in contract.rules]
    return f"SELECT {POSITION}, {', '.join(kept)} FROM records WHERE NOT ({' AND '.join(kept)})"


def summed_totals(contract: Contract) -> str:
    """The query of the exact sum of each control total, as text; 0 where there are no records."""
    sums = ", ".join(f"CAST(coalesce(sum({total.record_sql}), 0) AS VARCHAR)" for total in contract.control_totals)
    return f"SELECT {sums} FROM records"


@contextmanager
def _naming(contract: Contract, place: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OperationalError:  # memory or disk, which is no fault of the contract
        raise
    except duckdb.Error as exc:
        fault = str(exc).partition("\n")[0]
        raise ContractError(f"contracts/{contract.dataset}/{place} cannot be used: {fault}.") from exc
