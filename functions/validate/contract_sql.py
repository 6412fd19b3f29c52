"""The contract's SQL, as `validate` runs it, and a check of all of it before there is any record.

Without records an error of DuckDB quotes nothing but the contract, and so can be passed on as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

import duckdb

from functions.common.contract import KEPT, POSITION, SENT, TOTALS, Contract
from functions.common.errors import ContractError
from functions.common.record_types import sent_type
from functions.common.sql import identifier, literal, make_macros
from functions.validate.predicates import fits, predicate_of

_STAGED = "FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 20480"
"""DuckDB holds a row group before it writes it: 20 MB of common records."""

_FAST, _EXACT = "sent", "sent_exactly"
"""The views of what was sent: decimals are floats, or texts, of which more digits are read exactly, but more slowly."""


def open_checked(connection: duckdb.DuckDBPyConnection, contract: Contract, lines: Path, max_record_bytes: int) -> None:
    """Make the view `records` over `lines`, which is still empty, and see that all of the contract's SQL fits it.

    `lines` are `functions.validate.screen.Line`s. Raises ContractError, which names the file. A contract
    that was seen to fit is not looked at again in this process.
    """
    with _naming(contract, "macros.sql"):
        make_macros(connection, contract)
    with _naming(contract, f"v{contract.version}.schema.json"):
        for name, decimals in ((_FAST, "DOUBLE"), (_EXACT, "VARCHAR")):
            _view_lines(connection, name, lines, sent_type(contract.schema, decimals), max_record_bytes)
    with _naming(contract, "contract.json: derived"):
        _view_records(connection, contract, _FAST, "records")
    if contract not in _checked:
        _check(connection, contract)
        _checked.add(contract)


_checked: WeakSet[Contract] = WeakSet()


def _check(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    with _naming(contract, "contract.json: rules"):
        connection.execute(f"EXPLAIN SELECT {_verdict_list(contract)} FROM records")
    with _naming(contract, "contract.json: control_totals"):
        sums = ", ".join(["count(*)", *(f"sum({total.record_sql})" for total in contract.control_totals)])
        connection.execute(f"EXPLAIN SELECT {sums} FROM records")
    for table in contract.tables:
        with _naming(contract, f"{table.name}.sql"):
            columns = ", ".join(f"CAST({identifier(column.name)} AS {column.type})" for column in table.columns)
            connection.execute(f"EXPLAIN SELECT {POSITION}, {columns} FROM ({table.sql})")


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


def _view_records(
    connection: duckdb.DuckDBPyConnection, contract: Contract, lines: str, name: str, derivation: str = "{}"
) -> None:
    """The view `name` over the view `lines`: what each record was sent as and is read as, and what is derived of it.

    `derivation` is put around the SQL of each derived column.
    """
    derived = [f"{derivation.format(one.sql)} AS {identifier(one.name)}" for one in contract.derived]
    connection.execute(
        f"""
        CREATE OR REPLACE VIEW {name} AS
        SELECT {", ".join(["*", *derived])}
        FROM (
            SELECT {POSITION}, {SENT}, read_as.*
            FROM (SELECT {POSITION}, {SENT}, TRY_CAST({SENT} AS {contract.record_type}) AS read_as FROM {lines})
        )
        """
    )


def keep(connection: duckdb.DuckDBPyConnection, contract: Contract, predicate: str, records: Path) -> None:
    """Write the Parquet file `records`: what each record is read as, whether it is kept, what it adds to the totals.

    It is kept where the `predicate` over the record as it was sent is true, and every rule; NULL says that the
    predicate is not true.
    """
    try:
        _write_records(connection, contract, predicate, records)
    except duckdb.OperationalError:  # memory or disk
        raise
    except duckdb.Error:  # perhaps nothing can be derived of a record that breaks the schema
        _view_records(connection, contract, _FAST, "records", f"CASE WHEN {_braced(predicate)} THEN {{}} END")
        _write_records(connection, contract, predicate, records)


def _write_records(connection: duckdb.DuckDBPyConnection, contract: Contract, predicate: str, records: Path) -> None:
    connection.execute(
        f"""
        COPY (
            SELECT
                * EXCLUDE ({SENT}),
                CASE WHEN {predicate} THEN {_all_rules(contract)} END AS {KEPT},
                CASE WHEN {predicate} THEN {_totals(contract)} END AS {TOTALS}
            FROM records
        )
        TO {literal(records)} ({_STAGED})
        """
    )


def not_kept(contract: Contract, records: Path) -> str:
    """The query of the records that are not kept, in the order of the file: position, and the verdict of each rule.

    NULL instead of the verdicts says that no rule was asked, since the predicate is not true.
    """
    staged = f"read_parquet({literal(records)})"
    return f"""
        SELECT {POSITION}, {_verdict_list(contract)} AS verdicts FROM {staged} WHERE NOT {KEPT}
        UNION ALL
        SELECT {POSITION}, NULL FROM {staged} WHERE {KEPT} IS NULL
        ORDER BY {POSITION}
    """


def keep_cleared(connection: duckdb.DuckDBPyConnection, contract: Contract, cleared: Path, records: Path) -> str:
    """Read the records at the positions in the file `cleared` anew, with every digit; keep those that keep the rules.

    The answer is the query of those that don't, as `not_kept` answers it. Raises ContractError where the schema lets
    pass what the record's columns can't hold.
    """
    connection.execute(
        f"""
        CREATE TABLE cleared AS
        FROM {_EXACT}
        SEMI JOIN read_csv({literal(cleared)}, header = false, columns = {{{POSITION}: 'BIGINT'}}) USING ({POSITION})
        """
    )
    fitting = predicate_of(contract.schema, fits)
    row = connection.execute(f"SELECT min({POSITION}) FROM cleared WHERE NOT coalesce({fitting}, false)").fetchone()
    if row and row[0] is not None:
        raise ContractError(
            f"contracts/{contract.dataset}/v{contract.version}.schema.json lets pass a time that there is not, or a "
            f"number that its column can't hold: the record at position {row[0]} has one."
        )
    _view_records(connection, contract, "cleared", "cleared_records")
    more = records.with_suffix(".more")
    connection.execute(
        f"""
        COPY (
            FROM read_parquet({literal(records)}) ANTI JOIN cleared USING ({POSITION})
            UNION ALL
            SELECT * EXCLUDE ({SENT}), {_all_rules(contract)}, {_totals(contract)} FROM cleared_records
            ORDER BY {POSITION}
        )
        TO {literal(more)} ({_STAGED})
        """
    )
    more.replace(records)
    return f"""
        SELECT {POSITION}, {_verdict_list(contract)}
        FROM read_parquet({literal(records)}) SEMI JOIN cleared USING ({POSITION})
        WHERE NOT {KEPT}
        ORDER BY {POSITION}
    """


def _all_rules(contract: Contract) -> str:
    """An SQL expression that is true where a record keeps every rule, else false; a rule that gives NULL is broken."""
    return " AND ".join(["true", *_verdicts(contract)])


def _verdict_list(contract: Contract) -> str:
    return f"CAST([{', '.join(_verdicts(contract))}] AS BOOLEAN[])"


def _verdicts(contract: Contract) -> list[str]:
    return [f"coalesce({rule.sql}, false)" for rule in contract.rules]


def _braced(sql: str) -> str:
    """`sql` as a part of a format."""
    return sql.replace("{", "{{").replace("}", "}}")


def _totals(contract: Contract) -> str:
    """What a record adds to each control total, as a struct; NULL where there are none."""
    members = ", ".join(f"{identifier(total.name)}: {total.record_sql}" for total in contract.control_totals)
    return f"{{{members}}}" if members else "NULL"


def summed_totals(contract: Contract, records: Path) -> str:
    """The query of the exact sum of each control total, as text; 0 where there are no records."""
    names = [identifier(total.name) for total in contract.control_totals]
    sums = ", ".join(f"CAST(coalesce(sum({TOTALS}.{name}), 0) AS VARCHAR)" for name in names)
    return f"SELECT {sums} FROM read_parquet({literal(records)}) WHERE {KEPT}"


@contextmanager
def _naming(contract: Contract, place: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OperationalError:  # memory or disk, which is no fault of the contract
        raise
    except duckdb.Error as exc:
        fault = str(exc).partition("\n")[0]
        raise ContractError(f"contracts/{contract.dataset}/{place} cannot be used: {fault}.") from exc
