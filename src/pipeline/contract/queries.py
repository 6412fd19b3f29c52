"""Checks that a contract's SQL runs, returns the declared columns, and is deterministic. Needs no records."""

import json
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from functions.common.contract import EXTRA, FITS, POSITION, Contract, Table, Version
from functions.common.contract_checks import COLUMN_TYPE
from functions.common.sql import identifier, make_macros
from pipeline.contract.fault import Fault, line_at

_LINE = re.compile(r"\n\nLINE (\d+):")
_EXACT = re.compile(r"(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w+INT)$|DECIMAL\((\d+),(\d+)\)$")
_CURRENT_TIME = frozenset({"current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"})

_SAME_BYTES = "Remove the call: the same file must always give the same bytes."


def query_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Yield the faults in the macros, upcasts, rules and control totals, and in the SELECTs of the tables."""
    with database() as connection:
        try:
            make_macros(connection, contract)
        except duckdb.Error as exc:
            yield _sql_fault(folder / "macros.sql", exc)
            return
        yield from _changing_macros(folder, connection)
        for older, newer in zip(contract.versions, contract.versions[1:], strict=False):
            yield from _of_upcast(folder, connection, older, newer)
        try:
            view_records(connection, contract.current, contract)
        except duckdb.Error as exc:
            path = folder / "contract.json"
            yield Fault(path, line_at(path, "/derived"), f"a derived column fails: {_short(exc)}", "Correct its SQL.")
            return
        yield from _of_expressions(folder, connection, contract)
        for table in contract.tables:
            yield from _of_table(folder, connection, table)


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database that downloads no extensions."""
    with closing(duckdb.connect(config={"autoinstall_known_extensions": False})) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def view_records(connection: duckdb.DuckDBPyConnection, version: Version, contract: Contract | None = None) -> None:
    """Create an empty view `records` with the columns that a version's SQL can use."""
    columns = [f"CAST(NULL AS BIGINT) AS {POSITION}"]
    columns += [f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in version.columns.items()]
    if contract and contract.keeps_unknown:
        columns.append(f"CAST(NULL AS {EXTRA.type}) AS {EXTRA.name}")
    derived = [f"{one.sql} AS {identifier(one.name)}" for one in contract.derived] if contract else [f"true AS {FITS}"]
    query = f"SELECT {', '.join(['*', *derived])} FROM (SELECT {', '.join(columns)}) LIMIT 0"
    connection.execute(f"CREATE OR REPLACE VIEW records AS {query}")


def _of_upcast(folder: Path, connection: duckdb.DuckDBPyConnection, older: Version, newer: Version) -> Iterator[Fault]:
    path = folder / f"v{older.number}_to_v{newer.number}.sql"
    view_records(connection, older)
    try:
        given = described(connection, older.upcast)
    except duckdb.Error as exc:
        yield _sql_fault(path, exc)
        return
    yield from _changing(path, connection, older.upcast)
    wanted = {POSITION: "BIGINT", FITS: "BOOLEAN", **newer.columns}
    yield from _missing(
        path, wanted.keys() - given.keys(), "Begin the query with SELECT *, which keeps the unchanged columns."
    )
    for name in sorted(given.keys() - wanted.keys()):
        says = f"returns a column {name}, which version {newer.number} does not have"
        yield Fault(path, 1, says, f"Remove the column: * EXCLUDE ({name}).")
    relation = connection.sql(older.upcast)
    types = dict(zip(relation.columns, relation.types, strict=True))
    for name in newer.columns.keys() & types.keys():
        target = connection.sql(f"SELECT CAST(NULL AS {newer.columns[name]})").types[0]
        for place, fault in _lossy(types[name], target, name):
            yield Fault(path, 1, f"{place} {fault}", "Convert such values with a CAST or an expression.")


def _of_table(folder: Path, connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Fault]:
    path = folder / f"{table.name}.sql"
    try:
        given = described(connection, table.sql)
    except duckdb.Error as exc:
        yield _sql_fault(path, exc)
        return
    yield from _changing(path, connection, table.sql)
    wanted = {POSITION: "BIGINT", **{column.name: column.type for column in table.columns if column is not EXTRA}}
    yield from _missing(path, wanted.keys() - given.keys(), "Return the column, or remove it from contract.json.")
    for name in sorted(given.keys() - wanted.keys() - {EXTRA.name}):
        yield Fault(
            path, 1, f"returns a column {name}, which contract.json does not declare", "Declare or remove the column."
        )
    for name in wanted.keys() & given.keys():
        if not _can_be(given[name], wanted[name]):
            says = f"returns {name} as {given[name]}, but contract.json declares {wanted[name]}"
            advice = f"Convert the column in the SQL. CAST(… AS {wanted[name]}) AS {name} may round."
            if COLUMN_TYPE.fullmatch(given[name]):
                advice = (
                    f"Declare {given[name]}, or convert it in the SQL. CAST(… AS {wanted[name]}) AS {name} may round."
                )
            yield Fault(path, 1, says, advice)


def _of_expressions(folder: Path, connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[Fault]:
    """Yield the faults in the SQL of contract.json, which runs on the view `records`."""
    path = folder / "contract.json"
    expressions = {f"/derived/{n}/sql": one.sql for n, one in enumerate(contract.derived)}
    expressions |= {f"/rules/{n}/sql": one.sql for n, one in enumerate(contract.rules)}
    expressions |= {f"/control_totals/{n}/record_sql": one.record_sql for n, one in enumerate(contract.control_totals)}
    for pointer, sql in expressions.items():
        query, line = f"SELECT {sql} AS given FROM records", line_at(path, pointer)
        try:
            given = described(connection, query)["given"]
        except duckdb.Error as exc:
            yield Fault(path, line, _short(exc), "Correct the SQL.")
            continue
        for fault in _changing(path, connection, query):
            yield Fault(path, line, fault.says, fault.advice)
        if pointer.startswith("/rules") and given != "BOOLEAN":
            yield Fault(path, line, f"the rule returns {given}", "Write a predicate that is true for a valid record.")
        if pointer.startswith("/control_totals") and not _EXACT.match(given):
            says = f"the control total sums values of type {given}, which is not exact"
            yield Fault(path, line, says, "Sum decimals or integers.")


def _can_be(given: str, declared: str) -> bool:
    """Return whether a column can be cast without losing decimals. The range may be smaller."""
    if given == declared or (given, declared) in (
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
        ("FLOAT", "DOUBLE"),
        ('"NULL"', declared),
    ):
        return True
    have, want = _EXACT.match(given), _EXACT.match(declared)
    return bool(have and want) and int(have[3] or 0) <= int(want[3] or 0)  # type: ignore[index]


def _lossy(given: Any, wanted: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield the places where a cast between two types loses data, each with the end of a sentence about it."""
    if str(given) == '"NULL"':
        return
    if {given.id, wanted.id} == {"struct"}:
        have, want = dict(given.children), dict(wanted.children)
        for name in want.keys() - have.keys():
            yield f"{place}.{name}", "is missing"
        for name in have.keys() - want.keys():
            yield f"{place}.{name}", "is returned, but the next version does not have it"
        for name in have.keys() & want.keys():
            yield from _lossy(have[name], want[name], f"{place}.{name}")
    elif {given.id, wanted.id} == {"list"}:
        yield from _lossy(given.children[0][1], wanted.children[0][1], f"{place}[]")
    elif not _can_be(str(given), str(wanted)):
        yield place, f"is {given}, but {wanted} in the next version"


def described(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    """Return the types of a SELECT's columns by name. Raises duckdb.Error if the query can't run."""
    if len(connection.extract_statements(sql)) != 1:
        raise duckdb.BinderException("The query must be a single SELECT.")
    columns: dict[str, str] = {}
    for name, kind, *_ in connection.execute(f"DESCRIBE {sql}").fetchall():
        if name in columns:
            raise duckdb.BinderException(f"The query returns the column {name} twice.")
        columns[name] = kind
    return columns


def _missing(path: Path, names: Any, advice: str) -> Iterator[Fault]:
    for name in sorted(names):
        yield Fault(path, 1, f"does not return the column {name}", advice)


# --- SQL that is not deterministic ------------------------------------------------------------------------------------


def _changing_macros(folder: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    path = folder / "macros.sql"
    own = "macro_definition IS NOT NULL AND NOT internal"
    query = f"SELECT function_name, macro_definition FROM duckdb_functions() WHERE {own}"
    for name, definition in connection.execute(query).fetchall():
        for fault in _changing(path, connection, f"SELECT {definition}"):
            yield Fault(path, _line_of(path.read_text("utf-8"), name), fault.says, fault.advice)


def _changing(path: Path, connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[Fault]:
    """Yield calls of functions whose result differs by run or by day."""
    (serialised,) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ("{}",)
    for name, offset in _names(json.loads(serialised), _changing_functions()):
        line = sql.encode()[:offset].count(b"\n") + 1
        yield Fault(path, line, f"calls {name}, whose result differs in each run", _SAME_BYTES)


@cache
def _changing_functions() -> frozenset[str]:
    """Return the DuckDB functions with changing results. The result is cached, because listing functions is slow."""
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    with duckdb.connect() as connection:
        return frozenset(name for (name,) in connection.execute(query).fetchall()) - {"error"}


def _names(node: Any, functions: Container[str]) -> Iterator[tuple[str, int]]:
    """Yield calls of the given functions, and keywords for the current time, with their offsets in the query."""
    if isinstance(node, Mapping):
        name, columns = str(node.get("function_name", "")).lower(), node.get("column_names") or []
        is_current_time = len(columns) == 1 and str(columns[0]).lower() in _CURRENT_TIME
        is_age = name == "age" and len(node.get("children", [])) == 1  # relative to today
        if name in functions or is_current_time or is_age:
            yield name or str(columns[0]).lower(), int(node.get("query_location") or 0)
        for inner in node.values():
            yield from _names(inner, functions)
    elif isinstance(node, list):
        for inner in node:
            yield from _names(inner, functions)


def _line_of(text: str, name: str) -> int:
    return text[: max(text.find(name), 0)].count("\n") + 1


# --- errors of DuckDB -------------------------------------------------------------------------------------------------


def _sql_fault(path: Path, error: duckdb.Error) -> Fault:
    line = _LINE.search(str(error))
    return Fault(path, int(line[1]) if line else 1, _short(error), "Correct the SQL.")


def _short(error: duckdb.Error) -> str:
    return " ".join(_LINE.split(str(error))[0].split())
