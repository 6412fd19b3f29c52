"""A record that satisfies its schema but not the SQL or the tables of the contract is one reject."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.common import failing_records, sql
from functions.common.contract import Contract, load_contract
from functions.common.errors import ContractError
from functions.common.reject_codes import CODES
from functions.transform.transform import write_parts
from functions.validate.contract_sql.casts import is_kept, type_named, widens
from functions.validate.validation import RECORDS
from tests.unit.steps import MEMORY_MB, publish, validate

STRING, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def contract_of(
    folder: Path,
    properties: Mapping[str, Any],
    columns: Mapping[str, str],
    select: str = "SELECT * FROM records",
    optional: tuple[str, ...] = (),
    more_tables: tuple[tuple[dict[str, Any], str], ...] = (),
    files: Mapping[str, str] | None = None,
    **more: Any,
) -> Contract:
    """A contract whose records have an `id`, the key of the table `t`, and some more properties and columns."""
    folder = folder / "contracts" / "d"
    folder.mkdir(parents=True)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": ["id", *(name for name in properties if name not in optional)],
        "properties": {"id": STRING, **properties},
        "examples": [{"id": "a"}],
    }
    table = {
        "name": "t",
        "key": ["id"],
        "columns": [{"name": n, "type": t} for n, t in {"id": "VARCHAR", **columns}.items()],
    }
    data = {
        "dataset": "d",
        "current_version": 1,
        "envelope": "d",
        "record_table": "t",
        "tables": [table, *(one for one, _ in more_tables)],
        **more,
    }
    (folder / "contract.json").write_text(json.dumps(data), "utf-8")
    version = more.get("current_version", 1)
    files_by_name = {f"v{version}.schema.json": json.dumps(schema), "t.sql": select, **(files or {})}
    files_by_name |= {f"{one['name']}.sql": text for one, text in more_tables}
    for name, text in files_by_name.items():
        (folder / name).write_text(text, "utf-8")
    return load_contract("d", folder.parent)


def lines(*records: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps({"id": f"{n:05}", **record}).encode() + b"\n" for n, record in enumerate(records))


CASTS: dict[str, tuple[dict[str, Any], str, list[Any], list[Any]]] = {
    # schema, type of the column, values that fit, values that don't
    "INTEGER over whole numbers": (
        WHOLE,
        "INTEGER",
        [0, -(2**31), 2**31 - 1],
        [3_000_000_000, -(2**31) - 1, 2**63 - 1],
    ),
    "INTEGER over numbers": (NUMBER, "INTEGER", [1, 2.0], [1.5, 0.1, 1e300]),
    "BIGINT over numbers": (NUMBER, "BIGINT", [1, 2.0, 1e15], [1.5, 1e19]),
    "DOUBLE over whole numbers": (WHOLE, "DOUBLE", [2**53, 2**60], [2**53 + 1]),
    "a narrower DECIMAL": ({"type": "number", "decimal": [12, 4]}, "DECIMAL(6,2)", [1.25, 9999.99], [1.255, 10000]),
    "DECIMAL over whole numbers": (WHOLE, "DECIMAL(5,2)", [999, -999], [1000]),
    "DATE over strings": (STRING, "DATE", ["2026-01-31"], ["2026-02-30", "soon", "2026-01-31 10:00", "infinity", ""]),
    "DATE over times": (
        {"type": "string", "format": "date-time"},
        "DATE",
        ["2026-01-31T00:00:00Z"],
        ["2026-01-31T10:00:00Z"],
    ),
    "TIMESTAMP over strings": (
        STRING,
        "TIMESTAMP",
        ["2026-01-31", "2026-01-31 10:00:00", "2026-01-31T10:00:00.123456Z"],
        ["soon", "2026-01-31 25:00:00", "2026-01-31T10:00:00.1234567", "epoch x", "-infinity"],
    ),
    "BOOLEAN over strings": (STRING, "BOOLEAN", ["true", "false"], ["maybe", "2"]),
    "DECIMAL over strings": (STRING, "DECIMAL(5,2)", ["199.00", "-1", "1.500"], ["1.999", "1e3", "1000", "x"]),
    "DOUBLE over strings": (STRING, "DOUBLE", ["1.5", "1e3"], ["x", "NaN", "inf"]),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_value_that_does_not_fit_its_column_rejects_its_record(name: str, tmp_path: Path) -> None:
    schema, kind, fitting, unfit = CASTS[name]
    contract = contract_of(tmp_path, {"v": schema}, {"v": kind})
    result = publish(lines(*({"v": value} for value in [*fitting, *unfit])), tmp_path, contract=contract)
    assert result.totals.rejected_by_reason == {"does_not_fit": len(unfit)}
    assert result.totals.received == result.totals.valid + len(unfit)
    assert [row["id"] for row in result.rows("t")] == [f"{number:05}" for number in range(len(fitting))]
    for reject in result.rejects():
        (error,) = reject["errors"]
        assert (error["pointer"], error["rule"]) == ("/v", "t.v")
        assert kind in error["message"]


def test_one_large_number_among_200_good_records_is_one_reject(tmp_path: Path) -> None:
    total = {"name": "sum", "record_sql": "v", "table": "t", "column": "v"}
    contract = contract_of(tmp_path, {"v": WHOLE}, {"v": "INTEGER"}, control_totals=[total])
    records = [{"v": number} for number in range(200)]
    records.insert(77, {"v": 3_000_000_000})
    result = publish(lines(*records), tmp_path, chunk_bytes=2000, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (200, {"does_not_fit": 1})
    total_sums = result.merged.control_totals["sum"]
    assert (total_sums.validated, total_sums.superseded, total_sums.published) == ("19900", "0", "19900")
    (reject,) = result.rejects()
    assert reject["record"]["v"] == 3_000_000_000


TYPES = (
    "SMALLINT",
    "INTEGER",
    "UINTEGER",
    "BIGINT",
    "HUGEINT",
    "DOUBLE",
    "DECIMAL(3,0)",
    "DECIMAL(5,2)",
    "DECIMAL(18,4)",
    "DECIMAL(38,0)",
)
VALUES = st.one_of(
    st.integers(-(2**62), 2**62),
    st.sampled_from([0, 1, 999, 1000, 2**15, 2**31, 2**32, 2**53 + 1]),
    st.decimals(-(10**13), 10**13, places=4),
)


@settings(max_examples=300)
@example("DOUBLE", "DECIMAL(18,4)", 17_592_186_044_417)  # the cast gives 17592186044416.9984
@example("DOUBLE", "HUGEINT", -18_014_398_509_481_982)  # the cast back gives another float
@given(st.sampled_from(TYPES), st.sampled_from(TYPES), VALUES)
def test_a_widening_cast_keeps_every_value_and_other_casts_are_checked_exactly(
    given_: str, wanted: str, value: Any
) -> None:
    with duckdb.connect() as connection:
        kind = type_named(connection, given_)
        values = f"SELECT TRY_CAST('{value}' AS {given_}) AS v"
        query = f"SELECT v, TRY_CAST(v AS {wanted}), {is_kept(kind, wanted, 'v')} FROM ({values})"
        had, cast, kept = connection.execute(query).fetchone() or (None, None, None)
        is_exact = had is None or (cast is not None and Decimal(cast) == Decimal(had))
        is_same = is_exact or (cast is not None and Decimal(str(cast)) == Decimal(str(had)))  # as a DOUBLE is printed
        assert is_same if kept else not is_exact
        assert is_same or not widens(kind, type_named(connection, wanted))


@pytest.mark.parametrize(("digits", "wanted"), [(2, "TINYINT"), (9, "INTEGER"), (18, "BIGINT"), (15, "DOUBLE")])
def test_a_whole_number_in_a_string_widens_to_an_integer_of_enough_digits(digits: int, wanted: str) -> None:
    """DynamoDB, for example, writes all numbers as strings, which are then DECIMAL(digits,0)."""
    with duckdb.connect() as connection:
        kind = type_named(connection, wanted)
        assert widens(type_named(connection, f"DECIMAL({digits},0)"), kind)
        assert not widens(type_named(connection, f"DECIMAL({digits + 1},0)"), kind)
        assert not widens(type_named(connection, f"DECIMAL({digits},1)"), kind)


ITEMS = {
    "type": "array",
    "items": {"type": "object", "additionalProperties": False, "properties": {"n": WHOLE, "sku": STRING}},
}
ITEM_TABLE = {
    "name": "items",
    "key": ["id", "n"],
    "columns": [{"name": "id", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}, {"name": "sku", "type": "VARCHAR"}],
}
ITEM_SQL = (
    "SELECT _position, id, item.n AS n, item.sku AS sku FROM (SELECT _position, id, unnest(items) AS item FROM records)"
)


def test_a_row_without_its_key_rejects_its_record(tmp_path: Path) -> None:
    contract = contract_of(
        tmp_path, {"items": ITEMS}, {}, "SELECT _position, id FROM records", more_tables=((ITEM_TABLE, ITEM_SQL),)
    )
    records = [{"items": [{"n": 1}, {"n": 2}]}, {"items": [{"n": 1}, {"sku": "x"}]}, {"items": []}]
    result = publish(lines(*records), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (2, {"null_key": 1})
    (reject,) = result.rejects()
    assert (reject["errors"][0]["pointer"], reject["errors"][0]["rule"]) == ("/items", "items.n")
    assert len(result.rows("items")) == 2


def test_a_key_that_a_join_leaves_null_rejects_its_record(tmp_path: Path) -> None:
    table = {
        "name": "names",
        "key": ["name"],
        "latest_by": ["id"],
        "columns": [{"name": "id", "type": "VARCHAR"}, {"name": "name", "type": "VARCHAR"}],
    }
    select = (
        "SELECT records._position, id, names.name FROM records LEFT JOIN "
        "(SELECT 'a' AS code, 'Anna' AS name) AS names ON names.code = v"
    )
    contract = contract_of(
        tmp_path, {"v": STRING}, {}, "SELECT _position, id FROM records", more_tables=((table, select),)
    )
    result = publish(lines({"v": "a"}, {"v": "b"}), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (1, {"null_key": 1})


def test_a_record_with_a_null_key_is_rejected(tmp_path: Path) -> None:
    contract = contract_of(
        tmp_path, {"v": {"type": ["string", "null"]}}, {"id": "VARCHAR"}, "SELECT _position, v AS id FROM records"
    )
    result = publish(lines({"v": "a"}, {"v": None}, {"v": "b"}), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (2, {"null_key": 1})
    assert result.rejects()[0]["errors"][0]["message"].startswith("/v must have a value")


@pytest.mark.parametrize(
    ("select", "value"),
    [
        ("SELECT _position, id, CAST(v AS INTEGER) AS v FROM records", "x"),
        ("SELECT _position, id, v::INTEGER AS v FROM (SELECT * FROM records WHERE id <> 'z')", "x"),
        ("SELECT _position, id, CAST(list_max([CAST(v AS INTEGER)]) AS INTEGER) AS v FROM records", "x"),
        ("SELECT _position, id, 1 AS v FROM records WHERE CAST(v AS INTEGER) > 0", "x"),
        ("SELECT _position, id, year(strptime(v, '%d'))::INTEGER AS v FROM records", "x"),
    ],
)
def test_a_cast_that_fails_in_the_sql_of_a_table_rejects_its_record(select: str, value: str, tmp_path: Path) -> None:
    contract = contract_of(tmp_path, {"v": STRING}, {"v": "INTEGER"}, select)
    records = [{"v": value if number in (3, 40) else "7"} for number in range(50)]
    result = publish(lines(*records), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (48, {"does_not_fit": 2})
    assert {reject["errors"][0]["rule"] for reject in result.rejects()} == {"t" if "WHERE CAST" in select else "t.v"}


@pytest.mark.parametrize(
    ("column", "where", "says"),
    [
        ("make_date(v, 1, 1)", "", "table t, column v (DATE), on the record at position {}."),
        (
            "DATE '2026-01-01'",
            " WHERE make_date(v, 1, 1) IS NOT NULL",
            "table t, in the query itself, on the record at position {}.",
        ),
    ],
)
def test_a_failure_in_transform_is_reported_with_table_column_and_position(
    column: str, where: str, says: str, tmp_path: Path
) -> None:
    select = f"SELECT _position, id, {column} AS v FROM records{where}"
    contract = contract_of(tmp_path, {"v": WHOLE}, {"v": "DATE"}, select)
    data = lines({"v": 2}, {"v": 2**40}, {"v": 3})
    validate(data, tmp_path / "x", contract=contract)
    with sql.connect(tmp_path / "x", MEMORY_MB) as connection, pytest.raises(ContractError) as raised:
        write_parts(tmp_path / "x" / RECORDS, contract, tmp_path / "x", connection)
    position = data.index(b"\n") + 1
    assert says.format(position) in str(raised.value)
    assert str(2**40) not in str(raised.value)


DERIVED = {"derived": [{"name": "twice", "sql": "v * v"}]}
TOTAL = {"control_totals": [{"name": "sum", "record_sql": "v * v", "table": "t", "column": "v"}]}
RULE = {"rules": [{"code": "too_many", "pointer": "/v", "sql": "v * v >= 0", "message": "must not be so many"}]}


@pytest.mark.parametrize(
    ("more", "code"),
    [(DERIVED, "does_not_fit"), (TOTAL, "does_not_fit"), (RULE, "too_many")],
    ids=["derived", "total", "rule"],
)
def test_sql_that_fails_on_one_record_rejects_that_record(more: dict[str, Any], code: str, tmp_path: Path) -> None:
    select = f"SELECT _position, id, {'v * v' if more is TOTAL else 'v'} AS v FROM records"
    contract = contract_of(tmp_path, {"v": WHOLE}, {"v": "BIGINT"}, select, **more)
    records = [{"v": 2**40 if number in (5, 6, 33) else number} for number in range(60)]
    result = publish(lines({"v": "x"}, *records), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (57, {code: 3, "wrong_type": 1})
    if more is TOTAL:
        assert result.merged.control_totals["sum"].published == str(
            sum(n * n for n in range(60) if n not in (5, 6, 33))
        )


@pytest.mark.parametrize(("more", "select"), [(DERIVED, "v"), ({}, "v * v")], ids=["derived", "table"])
def test_sql_that_fails_on_most_records_fails_the_file_with_the_place(
    more: dict[str, Any], select: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To find each of them would exceed the time limit of a function."""
    monkeypatch.setattr(failing_records, "MOST", 3)
    contract = contract_of(
        tmp_path, {"v": WHOLE}, {"v": "BIGINT"}, f"SELECT _position, id, {select} AS v FROM records", **more
    )
    records = [{"v": 2**40 if number > 2 else 1} for number in range(9)]
    position = sum(map(len, lines(*records).splitlines(keepends=True)[:3]))
    with pytest.raises(ContractError, match=f"more than 3 of one chunk.* at position {position}"):
        publish(lines(*records), tmp_path, contract=contract)


def test_columns_may_have_the_names_that_the_queries_use_for_rows(tmp_path: Path) -> None:
    names = ("given", "kept", "unfit", "records")
    select = f"SELECT _position, id, {', '.join(names)}, CAST(v AS INTEGER) AS v FROM records"
    contract = contract_of(
        tmp_path,
        {**dict.fromkeys(names, STRING), "v": STRING},
        {**dict.fromkeys(names, "VARCHAR"), "v": "INTEGER"},
        select,
    )
    result = publish(lines(*({**dict.fromkeys(names, "x"), "v": v} for v in ("1", "x"))), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (1, {"does_not_fit": 1})


def test_a_control_total_that_is_too_large_is_reported(tmp_path: Path) -> None:
    total = {"name": "all_of_it", "record_sql": "v", "table": "t", "column": "v"}
    schema = {"type": "number", "decimal": [38, 0]}
    contract = contract_of(tmp_path, {"v": schema}, {"v": "DECIMAL(38,0)"}, control_totals=[total])
    data = b"".join(b'{"id": "%d", "v": 9%s}\n' % (number, b"0" * 37) for number in range(2))
    with pytest.raises(ContractError, match="control total all_of_it has more than 38 digits"):
        publish(data, tmp_path, contract=contract)


def test_bounds_beyond_64_bits_are_ignored(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, {"v": {**WHOLE, "minimum": -1e30, "exclusiveMaximum": 1e30}}, {"v": "BIGINT"})
    data = lines({"v": 1}) + b'{"id": "x", "v": 1180591620717411303424}\n'
    result = publish(data, tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (1, {"out_of_range": 1})


def test_a_time_that_fits_no_column_rejects_its_record(tmp_path: Path) -> None:
    time = {"type": "string", "format": "date-time"}
    contract = contract_of(tmp_path, {"v": time}, {"v": "TIMESTAMP"})
    times = ["2016-12-31T23:59:60Z", "2016-12-31t23:59:59z", "2016-12-31T23:59:59Z"]
    result = publish(lines(*({"v": text} for text in times)), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (1, {"does_not_fit": 2})
    for reject in result.rejects():
        assert "uppercase T and Z" in reject["errors"][0]["message"]
        assert "no leap second" in reject["errors"][0]["message"]


@pytest.mark.parametrize(
    ("upcast", "schema", "old"),
    [
        ("SELECT * REPLACE (CAST(v AS BIGINT) AS v) FROM records", STRING, ["1", "x", "2"]),
        ("SELECT * FROM records", NUMBER, [1, 1.5, 2]),
    ],
    ids=["fails", "rounds"],
)
def test_an_upcast_that_fails_on_a_record_or_rounds_its_value_rejects_that_record(
    upcast: str, schema: dict[str, Any], old: list[Any], tmp_path: Path
) -> None:
    version = {"type": "integer", "const": 1}
    first = {"type": "object", "properties": {"id": STRING, "v": schema, "version": version}, "required": ["id", "v"]}
    contract = contract_of(
        tmp_path,
        {"v": WHOLE, "version": {"type": "integer", "const": 2}},
        {"v": "BIGINT"},
        "SELECT _position, id, v FROM records",
        files={"v1.schema.json": json.dumps(first), "v1_to_v2.sql": upcast},
        current_version=2,
        record_version={"pointer": "/version", "default": 1},
        versions=[{"version": 1, "description": "x"}, {"version": 2, "description": "x"}],
    )
    records = [*({"v": value} for value in old), {"v": 7, "version": 2}]
    result = publish(lines(*records), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (3, {"does_not_fit": 1})
    assert [row["v"] for row in result.rows("t")] == [1, 2, 7]


def test_every_reject_code_is_documented() -> None:
    assert {"does_not_fit", "null_key"} <= CODES.keys()
