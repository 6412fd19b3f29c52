"""Property tests over whole orders, with hypothesis. Each runs the steps many times, so they are not unit tests."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.integration.test_schema_agreement import mutated_orders, places, reference
from tests.unit.orders import CLOSE_CALLS, CONTRACT, Order, customer, item, lines, order, strings, tables, valid_orders
from tests.unit.steps import publish
from tests.unit.test_fast_decoder import kept
from tests.unit.test_merge import cell, read_csv
from tests.unit.test_transform import published

pytestmark = pytest.mark.slow


@settings(max_examples=25)
@given(st.lists(valid_orders(), min_size=1, max_size=6))
@example([order(items=[item(quantity=1, unit_price=0.125, discount=0)])])  # half a cent is rounded up
@example([order(items=[item(quantity=0.333, unit_price=99_999_999_999.9999, discount=0.0001)])])
@example([order(items=[item(quantity=999_999_999.999, unit_price=0.0001, discount=1)], shipping_cost=-0.0)])
@example([order(order_id="1", order_date=date) for date in ("2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z")])
@example([order(order_id=name, customer=customer(name=name)) for name in ("first", "second of the same moment")])
def test_tables_agree_with_the_reference_model(records: list[Order]) -> None:
    result, found = published(records)
    assert result.totals.rejected_by_reason == {}
    assert found == tables(records)


@settings(max_examples=8)
@given(st.lists(valid_orders(), min_size=2, max_size=6), st.integers(2, 4))
def test_a_file_in_many_chunks_gives_the_same_bytes_as_in_one(records: list[Order], chunks: int) -> None:
    data = lines([*records, records[0] | {"status": "paid"}])
    chunk_bytes = -(-len(data) // chunks)
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as cut:
        in_one = publish(data, Path(whole)).files()
        in_many = publish(data, Path(cut), chunk_bytes).files()
    assert {name for name in in_one if in_one[name] != in_many[name]} == set()


@settings(max_examples=10)
@given(st.lists(st.tuples(valid_orders(), st.booleans()), max_size=12))
def test_any_mix_agrees_with_the_reference_model(drawn: list[tuple[Order, bool]]) -> None:
    records = []
    for record, is_newer in drawn:
        newer = {"schema_version": 2, "tax_amount": 1.25, "discount_amount": 0.5} if is_newer else {}
        added = Decimal("0.75") if is_newer else 0
        records.append({**record, **newer, "total_amount": float(Decimal(repr(record["total_amount"])) + added)})
    assert published(records)[1] == tables(records)


@settings(max_examples=25)
@given(st.lists(mutated_orders(), min_size=1, max_size=40))
def test_only_the_valid_orders_of_any_mix_are_kept(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any]
) -> None:
    found = kept(lines(records), tmp_path_factory.mktemp("any"))
    assert found == [number for number, record in enumerate(records) if reference().is_valid(record)]


def test_only_the_valid_records_of_all_close_calls_are_kept(tmp_path: Path) -> None:
    records = []
    for number in range(len(list(places(order())))):
        for value in CLOSE_CALLS:
            record = order()
            holder, step = list(places(record))[number]
            holder[step] = value
            records.append(orjson.loads(json.dumps(record)))
    found = kept(b"".join(json.dumps(record).encode() + b"\n" for record in records), tmp_path)
    expected = [number for number, record in enumerate(records) if reference().is_valid(record)]
    assert {*found} - {*expected} == set(), "accepted, but not valid"
    assert {*expected} - {*found} == set(), "valid, but not accepted"


@settings(max_examples=12)
@given(st.lists(st.tuples(strings, st.none() | strings), min_size=1, max_size=30))
def test_strings_are_escaped_in_csv_and_unchanged_in_parquet(pairs: list[tuple[str, str | None]]) -> None:
    records = [
        order(order_id=str(n), customer=customer(customer_id=f"{n:03}", name=name or "x", phone=phone))
        for n, (name, phone) in enumerate(pairs)
    ]
    with tempfile.TemporaryDirectory() as folder:
        result = publish(lines(records), Path(folder))
        from_csv, from_parquet = read_csv(result.csv("customers")), result.rows("customers")
    assert [(row["name"], row["phone"]) for row in from_parquet] == [(name or "x", phone) for name, phone in pairs]
    assert [(row["name"], row["phone"]) for row in from_csv] == [
        (cell(name or "x"), cell(phone)) for name, phone in pairs
    ]


@settings(max_examples=8)
@given(st.lists(valid_orders(), min_size=1, max_size=4))
def test_csv_and_parquet_have_the_same_values(records: list[dict[str, Any]]) -> None:
    def as_text(value: Any) -> str:
        if isinstance(value, str):
            return cell(value)
        if hasattr(value, "isoformat"):
            return f"{value.isoformat(timespec='microseconds')}Z"
        return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)

    with tempfile.TemporaryDirectory() as folder:
        result = publish(lines(records), Path(folder))
        for table in CONTRACT.tables:
            expected = [{name: as_text(value) for name, value in row.items()} for row in result.rows(table.name)]
            found = [
                {name: value for name, value in row.items() if name not in ("batch_id", "ingested_at")}
                for row in read_csv(result.csv(table.name))
            ]
            assert found == expected
