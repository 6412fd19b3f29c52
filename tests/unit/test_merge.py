"""Merge the parts: which record is published, which are superseded; counts that do not add up stop the batch."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from msgspec import convert

from functions.common import sql
from functions.common.contract import LINEAGE, Column, Reference
from functions.common.documents.chunk_counts import ChunkCounts, DriftCount, VersionCounts
from functions.common.documents.manifest import ControlTotalSums
from functions.common.errors import ReconciliationError
from functions.write import reconciliation
from functions.write.merge import merge
from functions.write.reconciliation import Totals, add_up
from tests.unit.orders import CONTRACT, customer, item, lines, order, tables
from tests.unit.steps import MEMORY_MB, Staged, batch_of, publish, stage

# --- which record is published ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_bytes", [10**9, 700, 150], ids=["one chunk", "several chunks", "a chunk within a line"])
def test_the_last_record_of_a_key_is_published_and_the_others_are_listed(tmp_path: Path, chunk_bytes: int) -> None:
    records = [
        order(order_id="A", shipping_cost=1),
        order(order_id="B", shipping_cost=2),
        order(order_id="A", shipping_cost=3),
        order(order_id="C", total_amount=0),
        order(order_id="A", shipping_cost=4, items=[item(line_number=7)]),
    ]
    at = [len(lines(records[:number])) for number in range(len(records))]
    result = publish(lines(records), tmp_path, chunk_bytes)
    assert result.rows("orders") == tables([records[1], records[4]])["orders"]
    assert [(row["order_id"], row["line_number"]) for row in result.rows("items")] == [("A", 7), ("B", 1), ("B", 2)]
    assert result.merged.superseded == 2
    assert [(record.position, record.superseded_by) for record in result.superseded] == [
        (at[0], at[4]),
        (at[2], at[4]),
    ]
    rejects = result.rejects()
    assert [(reject["reason"], reject["position"]) for reject in rejects] == [
        ("total_mismatch", at[3]),
        ("superseded", at[0]),
        ("superseded", at[2]),
    ]
    assert [reject["record"] for reject in rejects[1:]] == [records[0], records[2]]
    (error,) = rejects[1]["errors"]
    assert (error["code"], error["rule"], error["pointer"]) == ("superseded", "key", "")
    assert error["message"] == (
        f"a later record in the same file, at position {at[4]}, has the same key and was published instead"
    )


@pytest.mark.parametrize(("name", "kind", "at"), [("x.jsonl", "byte", len(lines([order()]))), ("x.json", "index", 1)])
def test_superseded_records_have_positions_in_the_unit_of_their_file(
    name: str, kind: str, at: int, tmp_path: Path
) -> None:
    records = [order(order_id=order_id) for order_id in ("00001", "00002", "00002")]
    data = lines(records) if kind == "byte" else orjson.dumps(records)
    (reject,) = publish(data, tmp_path, name=name).rejects()
    assert (reject["position_kind"], reject["position"]) == (kind, at)


def test_a_later_record_that_is_rejected_supersedes_nothing(tmp_path: Path) -> None:
    result = publish(lines([order(), order(total_amount=0)]), tmp_path)
    assert (result.merged.superseded, len(result.rows("orders"))) == (0, 1)


def test_a_superseded_order_adds_no_customer(tmp_path: Path) -> None:
    records = [order(customer=customer(customer_id="gone")), order(customer=customer(customer_id="stays"))]
    assert [row["customer_id"] for row in publish(lines(records), tmp_path).rows("customers")] == ["stays"]


@pytest.mark.parametrize(
    ("dates", "winner"),
    [
        (("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), "second"),
        (("2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"), "first"),
        (("2024-01-01T12:00:00Z", "2024-01-01T12:00:00Z"), "second"),
        (("2024-01-01T12:00:00+02:00", "2024-01-01T11:00:00Z"), "second"),
        (("2024-01-01T12:00:00-02:00", "2024-01-01T13:00:00Z"), "first"),
        (("2024-01-01T12:00:00.000001Z", "2024-01-01T12:00:00Z"), "first"),
    ],
)
def test_a_customer_has_the_details_of_the_latest_order(dates: tuple[str, str], winner: str, tmp_path: Path) -> None:
    records = [
        order(order_id=name, order_date=date, customer=customer(name=name))
        for name, date in zip(("first", "second"), dates, strict=True)
    ]
    (row,) = publish(lines(records), tmp_path).rows("customers")
    assert row["name"] == winner


# --- counts that do not add up ----------------------------------------------------------------------------------------


def broken(staged: Staged) -> str:
    with pytest.raises(ReconciliationError) as caught:
        staged.merge()
    return str(caught.value)


TWO = lines([order(order_id="1"), order(order_id="2", customer=customer(customer_id="other"))])


@pytest.mark.parametrize(
    ("table", "select", "says"),
    [
        (
            "customers",
            "FROM part WHERE customer_id = 'other'",
            "Table orders: no row in customers matches 1 of its rows.",
        ),
        (
            "items",
            "SELECT * REPLACE (order_id || '?' AS order_id) FROM part",
            "Table items: no row in orders matches 4 of its rows.",
        ),
        ("items", "SELECT * REPLACE (1 AS line_number) FROM part", "(order_id, line_number) is repeated in 2 of its"),
        (
            "items",
            "SELECT * REPLACE (NULL AS line_number) FROM part WHERE order_id = '1' LIMIT 1",
            "Table items: the key (order_id, line_number) is missing in 1 of its rows",
        ),
        ("items", "FROM part UNION ALL FROM part", "is repeated in 4 of its rows"),
        ("orders", "FROM part UNION ALL FROM part", "Table orders: the key (order_id) is repeated in 2 of its rows."),
        ("items", "FROM part WHERE line_number = 1", "Control total line_total:"),
        ("orders", "SELECT * REPLACE (total_amount + 0.01 AS total_amount) FROM part", "Control total total_amount:"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(table: str, select: str, says: str, tmp_path: Path) -> None:
    staged = stage(TWO, tmp_path)
    staged.tamper(table, select)
    assert says in broken(staged)


@pytest.mark.parametrize("slice_rows", [1, 3, 100])
def test_a_reference_that_is_null_is_not_checked(
    slice_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in SQL, a row with null in one of these columns refers to nothing."""
    monkeypatch.setattr(reconciliation, "_SLICE_ROWS", slice_rows)
    staged = stage(TWO, tmp_path)
    staged.tamper("orders", "SELECT * REPLACE (CASE WHEN order_id = '1' THEN customer_id END AS customer_id) FROM part")
    staged.tamper("customers", "FROM part WHERE customer_id <> 'other'")
    assert staged.merge().rows["orders"] == 2


def test_a_repeated_key_is_reported_with_advice(tmp_path: Path) -> None:
    customers = replace(CONTRACT.tables[1], latest_by=())
    contract = replace(CONTRACT, tables=(CONTRACT.tables[0], customers, CONTRACT.tables[2]))
    staged = stage(lines([order(order_id="1"), order(order_id="2")]), tmp_path, contract=contract)
    says = broken(staged)
    assert "Table customers: the key (customer_id) is repeated in 1 of its rows. Set the table's latest_by" in says


@pytest.mark.parametrize("slice_rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("table", "select", "says"),
    [
        ("orders", "FROM part WHERE order_id <> '0'", "Table items: no row in orders matches 2 of its rows."),
        (
            "orders",
            "FROM part WHERE order_id NOT IN ('3', '6')",
            "Table items: no row in orders matches 4 of its rows.",
        ),
        ("orders", "FROM part LIMIT 0", "Table items: no row in orders matches 14 of its rows."),
        (
            "customers",
            "FROM part WHERE customer_id <> 'c2'",
            "Table orders: no row in customers matches 2 of its rows.",
        ),
        (
            "orders",
            "SELECT * REPLACE (CASE WHEN order_id <> '5' THEN customer_id ELSE 'c9' END AS customer_id) FROM part",
            "Table orders: no row in customers matches 1 of its rows.",
        ),
    ],
)
def test_references_are_checked_in_slices_of_any_size(
    table: str, select: str, says: str, slice_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "_SLICE_ROWS", slice_rows)
    records = [order(order_id=str(n), customer=customer(customer_id=f"c{n % 4}")) for n in range(7)]
    staged = stage(lines(records), tmp_path)
    assert staged.merge().rows == {"orders": 7, "customers": 4, "items": 14}
    staged.tamper(table, select)
    assert broken(staged) == says


READINGS = replace(
    CONTRACT.record_table,
    name="readings",
    columns=(Column("number", "BIGINT"), Column("half", "VARCHAR"), Column("range", "VARCHAR")),
    key=("number", "half"),
    references=(),
)


def make_part(connection: duckdb.DuckDBPyConnection, folder: Path, table: str, query: str) -> None:
    """The one part of a table."""
    sql.copy(connection, query, folder / f"00000.{table}.part", sql.STAGED)


INVOICES = replace(
    READINGS,
    name="invoices",
    columns=(Column("number", "BIGINT"), Column("half", "BIGINT")),
    key=("number", "half"),
)


@pytest.mark.parametrize("own_type", ["BIGINT", "VARCHAR"], ids=["of one type", "of two types"])
@pytest.mark.parametrize("step", [1, 3, 40])
def test_a_reference_may_have_several_columns_of_any_name(
    step: int, own_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first column of the key has each value `step` times, so slices end within some values."""
    monkeypatch.setattr(reconciliation, "_SLICE_ROWS", 7)
    columns = (Column("line", "BIGINT"), Column("number", own_type), Column("half", "BIGINT"))
    parents = (Reference(("number", "half"), "invoices"),)
    children = replace(READINGS, name="lines", columns=columns, key=("line",), references=parents)
    rows = f"SELECT range AS _position, range AS line, range // {step} AS number, range % {step} AS half"
    with sql.connect(tmp_path, MEMORY_MB) as connection:
        make_part(connection, tmp_path, "invoices", f"{rows} FROM range(50) WHERE range NOT IN (0, 13, 14, 49)")
        make_part(connection, tmp_path, "lines", f"{rows} FROM range(55)")
        contract = replace(CONTRACT, record_table=INVOICES, tables=(INVOICES, children), control_totals=())
        with pytest.raises(ReconciliationError, match="Table lines: no row in invoices matches 9 of its rows"):
            merge(batch_of(b""), contract, Totals(46, 46, 0, {}, {}, (), {}, 0, 0), tmp_path, connection)


def test_a_lost_order_is_detected(tmp_path: Path) -> None:
    staged = stage(TWO, tmp_path)
    for table in ("orders", "customers", "items"):
        staged.tamper(table, "FROM part WHERE _position = 0")
    assert broken(staged) == "valid 2 does not equal published 1 + superseded 0."


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"valid": 3}, "valid 3 does not equal published 2 + superseded 0"),
        ({"control_totals": {"total_amount": Decimal("587.49")}}, "Control total total_amount: validated"),
        ({"control_totals": {}}, "Control total total_amount: validated"),
    ],
)
def test_counts_that_differ_from_the_rows_are_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    staged = stage(TWO, tmp_path)
    staged.totals = replace(staged.totals, **change)
    assert says in broken(staged)


def test_control_totals_include_superseded_records(tmp_path: Path) -> None:
    records = [order(shipping_cost=amount) for amount in (0.1, 0.2, 1000)]
    assert publish(lines(records), tmp_path).merged.control_totals == {
        "total_amount": ControlTotalSums(validated="1783.6", superseded="522.5", published="1261.1"),
        "line_total": ControlTotalSums(validated="783.3", superseded="522.2", published="261.1"),
    }


def test_a_key_may_have_several_columns(tmp_path: Path) -> None:
    orders, customers, _ = CONTRACT.tables
    orders = replace(orders, key=("order_id", "currency"))
    totals = CONTRACT.control_totals[:1]
    contract = replace(CONTRACT, record_table=orders, tables=(orders, customers), control_totals=totals)
    result = publish(lines([order(currency=code) for code in ("USD", "EUR", "USD")]), tmp_path, contract=contract)
    assert [row["currency"] for row in result.rows("orders")] == ["EUR", "USD"]
    assert [record.position for record in result.superseded] == [0]


# --- the counts of all chunks -----------------------------------------------------------------------------------------


GONE = object()


def chunk_counts(**changes: Any) -> ChunkCounts:
    """The counts of a chunk with some members changed, or removed if they are GONE."""
    members = {
        "chunk": 0,
        "position_kind": "byte",
        "chunk_bytes": 10**9,
        "received": 3,
        "valid": 2,
        "rejected": 1,
        "rejected_by_reason": {"not_json": 1},
        "records_by_version": {"1": {"valid": 2, "rejected": 0}, "unknown": {"valid": 0, "rejected": 1}},
        "drift": [],
        "control_totals": {"total": "1.10"},
        "received_bytes": 300,
        "unreadable_bytes": 20,
        **changes,
    }
    return convert({name: value for name, value in members.items() if value is not GONE}, ChunkCounts)


def test_the_counts_of_chunks_are_added_up() -> None:
    second = chunk_counts(
        received=2,
        valid=0,
        rejected=2,
        rejected_by_reason={"not_json": 1, "missing_field": 1},
        records_by_version={"2": {"valid": 0, "rejected": 1}, "1": {"valid": 0, "rejected": 1}},
        drift=[{"contract_version": 2, "field": "/x", "records": 1, "dropped": False}],
        control_totals={"total": "99999999999999999999999999999999999.9999"},  # 39 digits: the default context has 28
    )
    totals = add_up([chunk_counts(), second], batch_of(b""))
    assert (totals.received, totals.valid, totals.rejected) == (5, 2, 3)
    assert list(totals.rejected_by_reason.items()) == [("missing_field", 1), ("not_json", 2)]
    assert totals.control_totals == {"total": Decimal("100000000000000000000000000000000001.0999")}
    assert (totals.received_bytes, totals.unreadable_bytes) == (600, 40)
    assert totals.records_by_version == {
        "1": VersionCounts(valid=2, rejected=1),
        "2": VersionCounts(valid=0, rejected=1),
        "unknown": VersionCounts(valid=0, rejected=1),
    }
    assert totals.drift == (DriftCount(contract_version=2, field="/x", records=1, dropped=False),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"received": 4}, r"Chunk 1: received does not equal valid \+ rejected \(received 4, valid 2, rejected 1\)"),
        ({"rejected": 2}, r"Chunk 1: received does not equal valid \+ rejected"),
        (
            {"records_by_version": {"1": {"valid": 1, "rejected": 1}}},
            "Chunk 1: the valid records by version do not add up to 2",
        ),
        ({"received_bytes": GONE}, "Chunk 1 was counted by an earlier release: run the batch again"),
        ({"records_by_version": GONE}, "Chunk 1 was counted by an earlier release: run the batch again"),
        ({"chunk_bytes": 5}, "Chunk 1 was split by a different plan: two runs of this batch overlap"),
    ],
)
def test_a_chunk_whose_counts_do_not_add_up_is_reported(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ReconciliationError, match=says):
        add_up([chunk_counts(), chunk_counts(**change)], batch_of(b""))


# --- what is written --------------------------------------------------------------------------------------------------


def test_every_row_has_its_batch_and_time(tmp_path: Path) -> None:
    result = publish(TWO, tmp_path)
    for table in CONTRACT.tables:
        relation = duckdb.sql(f"SELECT * FROM read_parquet('{result.folder}/{table.name}.parquet')")
        declared = [(column.name, column.type) for column in (*table.columns, *LINEAGE)]
        assert list(zip(relation.columns, map(str, relation.types), strict=True)) == declared
        lineage = relation.project("batch_id, CAST(ingested_at AS VARCHAR)").distinct().fetchall()
        assert lineage == [(result.staged.batch.batch_id, "2026-01-02 03:04:05")]


def test_rows_are_sorted_by_key_from_any_order(tmp_path: Path) -> None:
    records = [order(order_id=name, customer=customer(customer_id=name)) for name in ("b", "10", "9", "B", "é", "a")]
    result = publish(lines(records), tmp_path)
    by_key: dict[str, Callable[[dict[str, Any]], Any]] = {
        "orders": lambda row: row["order_id"],
        "customers": lambda row: row["customer_id"],
        "items": lambda row: (row["order_id"], row["line_number"]),
    }
    for table, key in by_key.items():
        rows = result.rows(table)
        assert rows == sorted(rows, key=key) != []


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    data = lines([order(order_id=name) for name in "cabca"]) + b"broken\n"
    assert publish(data, tmp_path / "1").files() == publish(data, tmp_path / "2").files()


# --- CSV --------------------------------------------------------------------------------------------------------------


def cell(value: str | None) -> str:
    """A string as a CSV cell."""
    return f"'{value}" if value and value[0] in "=+-@\t\r\n\0＝＋－＠" else value or ""


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_cells_are_quoted_and_safe_for_spreadsheets(tmp_path: Path) -> None:
    hostile = customer(
        customer_id="007", name='=HYPERLINK("http://x"),1', email="", phone=None, address={
            "street": "+1\r\nline 2", "city": "@München 😀", "region": "-", "postal_code": "\tx", "country": "DE"
        },
    )  # fmt: skip
    record = order(order_id="-5", customer=hostile, shipping_cost=-7.5, order_date="2024-01-01T00:00:00.5+01:00")
    result = publish(lines([record]), tmp_path)
    batch = result.staged.batch.batch_id
    assert result.csv("customers") == (
        "customer_id,name,email,phone,street,city,region,postal_code,country,last_order_date,loyalty_tier,batch_id,ingested_at\n"
        '007,"\'=HYPERLINK(""http://x""),1","",,"\'+1\r\nline 2",\'@München 😀,\'-,\'\tx,DE,'
        f"2023-12-31T23:00:00.500000Z,,{batch},2026-01-02T03:04:05.000000Z\n"
    )
    assert "\n'-5,2023-12-31T23:00:00.500000Z,shipped,EUR,007,2,261.1000,-7.5000,253.6000," in result.csv("orders")
    assert result.rows("customers")[0]["name"] == '=HYPERLINK("http://x"),1'
    assert result.rows("orders")[0]["shipping_cost"] == Decimal("-7.5")
