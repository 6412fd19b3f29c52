"""The contract's SQL, as `validate` runs it, and a check of all of it before there is any record.

Without records an error of DuckDB quotes nothing but the contract, and so can be passed on as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from functions.common.contract import KEPT, POSITION, SENT, Contract
from functions.common.errors import ContractError
from functions.common.record_types import sent_type
from functions.common.sql import identifier, literal, make_macros, open_records
from functions.validate.predicates import fits, predicate_of

_ROW_GROUP = 20_480
"""Rows that DuckDB holds before it writes them: 20 MB of common records."""


def open_checked(connection: duckdb.DuckDBPyConnection, contract: Contract, lines: Path, max_record_bytes: int) -> None:
    """Make the view `records` over `lines`, which is still empty, and see that all of the contract's SQL fits it.

    `lines` are made by `functions.common.records.valid_line`. Raises ContractError, which names the file.
    """
    with _naming(contract, "macros.sql"):
        make_macros(connection, contract)
    with _naming(contract, f"v{contract.version}.schema.json"):
        open_lines(connection, contract, lines, max_record_bytes)
    with _naming(contract, "contract.json: rules"):
        if contract.rules:
            connection.execute(f"EXPLAIN SELECT {', '.join(_verdicts(contract))} FROM records")
    with _naming(contract, "contract.json: control_totals"):
        if contract.control_totals:
            connection.execute(f"EXPLAIN {summed_totals(contract)}")
    for table in contract.tables:
        with _naming(contract, f"{table.name}.sql"):
            columns = ", ".join(f"CAST({identifier(column.name)} AS {column.type})" for column in table.columns)
            connection.execute(f"EXPLAIN SELECT {POSITION}, {columns} FROM ({table.sql})")


def open_lines(connection: duckdb.DuckDBPyConnection, contract: Contract, lines: Path, max_record_bytes: int) -> None:
    """Views over `lines`: `sent` has each record as JSON has it, and `records` beside that what it is read as.

    In `sent_exactly` decimals are texts, of which more digits are read exactly than of floats, but more slowly.
    """
    _view_lines(connection, "sent", lines, sent_type(contract.schema), max_record_bytes)
    _view_lines(connection, "sent_exactly", lines, sent_type(contract.schema, decimals="VARCHAR"), max_record_bytes)
    connection.execute(
        f"""
        CREATE VIEW records AS
        SELECT {POSITION}, {SENT}, read_as.*
        FROM (SELECT {POSITION}, {SENT}, TRY_CAST({SENT} AS {contract.record_type}) AS read_as FROM sent)
        """
    )


def _view_lines(
    connection: duckdb.DuckDBPyConnection, name: str, lines: Path, record_type: str, max_record_bytes: int
) -> None:
    connection.execute(
        f"""
        CREATE VIEW {name} AS
        SELECT {POSITION}, record AS {SENT}
        FROM read_json(
            {literal(lines)},
            format = 'newline_delimited',
            columns = {{{POSITION}: 'BIGINT', record: {literal(record_type)}}},
            maximum_object_size = {2 * max_record_bytes + 1024}
        )
        """
    )


def keep(connection: duckdb.DuckDBPyConnection, contract: Contract, predicate: str, records: Path) -> None:
    """Write the Parquet file `records`, where each record says whether it is kept, and make the view `records` over it.

    It is kept where the `predicate` over the record as it was sent is true, and every rule. A rule that gives NULL
    is broken; one is only asked where the predicate is true.
    """
    kept = f"CASE WHEN {predicate} THEN {' AND '.join(['true', *_verdicts(contract)])} ELSE false END"
    connection.execute(
        f"""
        COPY (SELECT * EXCLUDE ({SENT}), {kept} AS {KEPT} FROM records)
        TO {literal(records)} (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {_ROW_GROUP})
        """
    )
    open_records(connection, records)


def not_kept(contract: Contract, records: Path) -> str:
    """The query of the records that are not kept, in the order of the file: position, and of each rule its verdict.

    A verdict is NULL where the rule's SQL fails, as it may on a record that breaks the schema.
    """
    columns = ", ".join([POSITION, *(f"TRY({verdict})" for verdict in _verdicts(contract))])
    return f"SELECT {columns} FROM read_parquet({literal(records)}) WHERE NOT {KEPT}"


def keep_also(connection: duckdb.DuckDBPyConnection, contract: Contract, cleared: Path, records: Path) -> None:
    """Keep the records at the positions that stand in the file `cleared`, one a line, with every digit that they have.

    Raises ContractError where the schema lets pass what the record's columns can't hold.
    """
    connection.execute(
        f"CREATE TABLE cleared AS FROM read_csv({literal(cleared)}, header = false, columns = {{{POSITION}: 'BIGINT'}})"
    )
    fitting = predicate_of(contract.schema, fits)
    those = f"sent_exactly SEMI JOIN cleared USING ({POSITION})"
    row = connection.execute(f"SELECT min({POSITION}) FROM {those} WHERE NOT coalesce({fitting}, false)").fetchone()
    if row and row[0] is not None:
        raise ContractError(
            f"contracts/{contract.dataset}/v{contract.version}.schema.json lets pass a time that there is not, or a "
            f"number that its column can't hold: the record at position {row[0]} has one."
        )
    more = records.with_suffix(".more")
    connection.execute(
        f"""
        COPY (
            FROM read_parquet({literal(records)}) ANTI JOIN cleared USING ({POSITION})
            UNION ALL
            SELECT {POSITION}, read_as.*, true
            FROM (SELECT {POSITION}, TRY_CAST({SENT} AS {contract.record_type}) AS read_as FROM sent_exactly)
            SEMI JOIN cleared USING ({POSITION})
            ORDER BY {POSITION}
        )
        TO {literal(more)} (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {_ROW_GROUP})
        """
    )
    more.replace(records)


def _verdicts(contract: Contract) -> list[str]:
    return [f"coalesce({rule.sql}, false)" for rule in contract.rules]


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
