"""What schema and SQL prove about a table's columns holds for every record."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from functions.common.contract import Contract
from functions.validate.contract_sql.column_origins import Origin, can_fail, column_origins
from tests.unit.test_unfit_records import contract_of

PART = {
    "type": "object",
    "additionalProperties": False,
    "required": ["n"],
    "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}, "m": {"type": "integer"}},
}
PROPERTIES: dict[str, Any] = {
    "must": {"type": "string"},
    "may": {"type": "string"},
    "null": {"type": ["string", "null"]},
    "part": PART,
    "maybe": PART,
    "parts": {"type": "array", "items": PART},
    "others": {"type": "array", "items": {**PART, "type": ["object", "null"]}},
}
RECORDS: list[dict[str, Any]] = [
    {"id": "1", "must": "a", "null": None, "part": {"n": 1}, "parts": [], "others": []},
    {"id": "2", "must": "b", "may": "c", "null": "d", "part": {"n": 9, "m": 5}, "parts": [{"n": 2}], "others": [None]},
    {"id": "3", "must": "", "null": "", "part": {"n": 3}, "parts": [{"n": 1}, {"n": 9}], "others": [{"n": 1}]},
    {"id": "4", "must": "", "null": "", "part": {"n": 3}, "maybe": {"n": 4}, "parts": [], "others": [{"n": 1}]},
]  # fmt: skip

SELECTS = {
    # the expression and origin of `k`, whether it is proven never null, and its bounds
    "must AS k FROM records": (True, None),
    "records.must AS k FROM records": (True, None),
    "r.must AS k FROM records AS r": (True, None),
    "MUST AS k FROM Records WHERE must > ''": (True, None),
    "may AS k FROM records": (False, None),
    '"null" AS k FROM records': (False, None),
    "part.n AS k FROM records": (True, (1, 9)),
    "part.m AS k FROM records": (False, (-(2**63), 2**63 - 1)),
    "must AS k FROM (WITH records AS (SELECT *, NULL AS must FROM range(1)) SELECT 1 AS _position, '1' AS id, must "
    "FROM records)": (False, None),
    "maybe.n AS k FROM records": (False, (1, 9)),
    "coalesce(may, 'x') AS k FROM records": (True, None),
    "coalesce(may, maybe.n::VARCHAR) AS k FROM records": (False, None),
    "CAST(part.n AS INTEGER) AS k FROM records": (True, (1, 9)),
    "TRY_CAST(must AS INTEGER) AS k FROM records": (False, None),
    "len(parts) AS k FROM records": (True, (0, 2**31 - 1)),
    "p.n AS k FROM (SELECT _position, id, unnest(parts) AS p FROM records)": (True, (1, 9)),
    "p.n AS k FROM (SELECT _position, id, unnest(others) AS p FROM records)": (False, (1, 9)),
    "p.n AS k FROM (SELECT _position, id, unnest(parts) AS p, unnest(others) AS o FROM records)": (False, None),
    "k FROM (SELECT _position, id, unnest(parts) AS p, generate_subscripts(parts, 1) AS k FROM records)": (
        True,
        (1, 2**31 - 1),
    ),
    "k FROM (SELECT _position, id, unnest(parts) AS p, generate_subscripts(others, 1) AS k FROM records)": (
        False,
        None,
    ),
    "p.n AS k FROM records, (SELECT unnest([1, 2]) AS x), (SELECT NULL AS p)": (False, None),
    "CASE WHEN may IS NULL THEN must END AS k FROM records": (False, None),
    "r.must AS k FROM (SELECT 1 AS x) LEFT JOIN records AS r ON r.part.n = 5": (False, None),
    "must AS k FROM records UNION ALL SELECT 0, '', NULL FROM records": (False, None),
    "must AS k FROM (SELECT * REPLACE (may AS must) FROM records)": (False, None),
    "must AS k FROM (SELECT * EXCLUDE (may) FROM records)": (True, None),
    "max(must) AS k FROM records WHERE id = '' GROUP BY ALL": (False, None),
    "lag(must) OVER () AS k FROM records": (False, None),
    "parts[1].n AS k FROM records": (False, None),
    "part.n + 1 AS k FROM records": (False, None),
    "7 AS k FROM records": (True, (7, 7)),
    "NULL AS k FROM records": (False, None),
    "must AS k FROM (VALUES (1, '2', NULL)) AS records(_position, id, must)": (False, None),
}


def contract_with(select: str, folder: Path) -> Contract:
    return contract_of(folder, PROPERTIES, {"k": "VARCHAR"}, select, optional=("may", "maybe"))


@pytest.mark.parametrize("select", SELECTS)
def test_proven_properties_of_a_column_hold_for_every_record(select: str, tmp_path: Path) -> None:
    is_never_null, bounds = SELECTS[select]
    position, key = ("min(_position) AS _position", "min(id) AS id") if "max(" in select else ("_position", "id")
    sql = f"SELECT {position}, {key}, {select}"
    contract = contract_with(sql, tmp_path)
    kinds = ", ".join(f'"{name}" {kind}' for name, kind in contract.current.columns.items())
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE records (_position BIGINT, {kinds})")
        for number, record in enumerate(RECORDS):
            text = json.dumps({"_position": number, **record}).replace("'", "''")
            structure = json.dumps({"_position": "BIGINT", **contract.current.columns})
            connection.execute(
                f"INSERT INTO records BY NAME SELECT r.* FROM (SELECT from_json('{text}', '{structure}') AS r)"
            )
        origin = column_origins(connection, contract)["t"].get("k", Origin())
        values = [value for (value,) in connection.execute(f"SELECT k FROM ({sql})").fetchall()]
    assert (not origin.nullable, origin.bounds) == (is_never_null, bounds)
    if not origin.nullable:
        assert None not in values
    if origin.bounds:
        assert all(value is None or origin.bounds[0] <= value <= origin.bounds[1] for value in values)


@pytest.mark.parametrize(
    ("sql", "fails"),
    [
        ("SELECT CAST(a AS INTEGER) FROM records", True),
        ("SELECT 1 FROM records WHERE a::DATE > b", True),
        ("SELECT a + 1 FROM records", True),
        ("SELECT strptime(a, '%Y') FROM records", True),
        ("SELECT TRY_CAST(a AS INTEGER), CAST(b AS VARCHAR), CAST(NULL AS DATE), upper(c) FROM records", False),
    ],
)
def test_a_select_that_can_fail_is_found(sql: str, fails: bool) -> None:
    with duckdb.connect() as connection:
        assert can_fail(connection, sql) is fails
