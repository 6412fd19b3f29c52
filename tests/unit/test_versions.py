"""Records of several versions in one file: each has the schema of its version, and all have the current tables."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from msgspec import convert

from functions.common.contract import Contract, Version
from functions.common.documents.chunk_counts import ChunkCounts
from functions.common.errors import ContractError
from functions.common.record_types import record_type
from functions.write.reconciliation import add_up
from tests.unit.orders import CONTRACT, UNKNOWN_VERSION, Order, customer, lines, order, order_2, tables
from tests.unit.steps import batch_of, publish, serialised, validate


def published(records: list[Order], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, without the lineage."""
    result = publish(lines(records), folder)
    rows = {}
    for table in CONTRACT.tables:
        columns = ", ".join(column.name for column in table.columns)
        relation = duckdb.sql(f"SELECT {columns} FROM read_parquet('{result.folder}/{table.name}.parquet')")
        rows[table.name] = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    return rows


MIXED = [
    order(order_id="1"),
    order_2(order_id="2", currency="eur"),
    order(order_id="3", schema_version=1),
    order_2(order_id="4", customer=customer(customer_id="C", loyalty_tier="gold"), tax_amount=0.0001),
]


def test_records_of_several_versions_in_a_file_are_published_in_the_current_tables(tmp_path: Path) -> None:
    found = published(MIXED, tmp_path)
    assert found == tables(MIXED)
    rows = [(row["order_id"], row["currency"], row["tax_amount"], row["discount_amount"]) for row in found["orders"]]
    assert rows == [
        ("1", "EUR", Decimal(0), Decimal(0)),
        ("2", "EUR", Decimal("8.5"), Decimal(2)),
        ("3", "EUR", Decimal(0), Decimal(0)),
        ("4", "EUR", Decimal("0.0001"), Decimal(2)),
    ]
    assert [row["loyalty_tier"] for row in found["customers"]] == ["gold", None]


def test_a_record_is_validated_by_the_schema_of_its_version(tmp_path: Path) -> None:
    records = [
        order(currency="eur"),  # version 2 introduced small letters
        order(tax_amount=8.5),
        order(customer=customer(loyalty_tier="gold")),
        order_2(currency="Eur"),
        {name: value for name, value in order_2().items() if name != "tax_amount"},
        order_2(total_amount=1),
        order(total_amount=1),
        order_2(discount_amount=-1),
    ]
    counts = validate(lines(records), tmp_path)
    rejects = [orjson.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert [(one["contract_version"], one["reason"], one["errors"][0]["pointer"]) for one in rejects] == [
        (1, "not_an_allowed_value", "/currency"),
        (1, "unknown_field", "/tax_amount"),
        (1, "unknown_field", "/customer/loyalty_tier"),
        (2, "not_an_allowed_value", "/currency"),
        (2, "missing_field", "/tax_amount"),
        (2, "total_mismatch", "/total_amount"),
        (1, "total_mismatch", "/total_amount"),
        (2, "out_of_range", "/discount_amount"),
    ]
    assert counts["records_by_version"] == {"1": {"valid": 0, "rejected": 4}, "2": {"valid": 0, "rejected": 4}}


def test_records_are_counted_by_version(tmp_path: Path) -> None:
    data = (
        lines([*MIXED, order(schema_version=UNKNOWN_VERSION), order(schema_version=True), order(status="lost")])
        + b"nonsense\n"
    )
    counts = validate(data, tmp_path)
    assert counts["records_by_version"] == {
        "1": {"valid": 2, "rejected": 1},
        "2": {"valid": 2, "rejected": 0},
        "unknown": {"valid": 0, "rejected": 3},
    }
    assert counts["rejected_by_reason"] == {"unknown_version": 2, "not_an_allowed_value": 1, "not_json": 1}


def test_a_later_version_supersedes_an_earlier_one(tmp_path: Path) -> None:
    result = publish(lines([order(), order_2(), order(order_id="other"), order()]), tmp_path)
    assert result.merged.superseded == 2
    superseded = [orjson.loads(line) for line in (result.folder / "rejects.jsonl").read_bytes().splitlines()]
    assert [(one["reason"], one["contract_version"]) for one in superseded] == [("superseded", 1), ("superseded", 2)]
    totals = result.merged.control_totals["total_amount"]
    assert Decimal(totals.validated) - Decimal(totals.superseded) == Decimal(totals.published)


# --- contracts with several versions ----------------------------------------------------------------------------------


def nested_version(number: int, **more: Any) -> dict[str, Any]:
    """A schema whose records have their version in a nested object."""
    named = {"type": "integer", "const": number}
    meta = {"type": "object", "additionalProperties": False, "required": ["v"], "properties": {"v": named}}
    properties = {"meta": meta, **more}
    return {"type": "object", "additionalProperties": False, "required": [*properties], "properties": properties}


def contract_of(*schemas: dict[str, Any], upcasts: tuple[str, ...]) -> Contract:
    versions = [
        Version(number, schema, record_type(schema), upcast)
        for number, (schema, upcast) in enumerate(zip(schemas, [*upcasts, ""], strict=True), 1)
    ]
    bare: Any = {"tables": (), "macros": "", "derived": (), "rules": (), "control_totals": ()}
    return replace(CONTRACT, **bare, versions=tuple(versions), version_path=("meta", "v"), default_version=1)


A_TEXT, A_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}, {"type": "integer"}
THREE = contract_of(
    nested_version(1, x=A_TEXT),
    nested_version(2, x=A_NUMBER),
    nested_version(3, x=A_NUMBER, y=A_NUMBER),
    upcasts=(
        "SELECT * REPLACE (CAST(x AS BIGINT) AS x) FROM records -- a comment at the end",
        "-- and one in front\nSELECT *, x * 2 AS y FROM records",
    ),
)


def test_upcasts_run_in_order_for_any_place_of_the_version(tmp_path: Path) -> None:
    records = [{"meta": {"v": 1}, "x": "7"}, {"meta": {"v": 3}, "x": 1, "y": 1}, {"meta": {"v": 2}, "x": 5}]
    counts = validate(lines([*records, {"meta": {"v": 4}, "x": 5}, {"x": 5}]), tmp_path, contract=THREE)
    assert (counts["valid"], counts["rejected_by_reason"]) == (3, {"unknown_version": 1, "missing_field": 1})
    with duckdb.connect() as connection:
        query = f"SELECT x, y FROM read_parquet('{tmp_path}/records.parquet') ORDER BY _position"
        assert connection.execute(query).fetchall() == [(7, 14), (1, 1), (5, 10)]


def test_a_record_that_violates_its_schema_is_not_upcast(tmp_path: Path) -> None:
    records = [{"meta": {"v": 1}, "x": text} for text in ("many", "7", "")]
    counts = validate(lines(records), tmp_path, contract=THREE)
    assert (counts["valid"], counts["rejected_by_reason"]) == (1, {"bad_format": 2})


@pytest.mark.parametrize(
    ("upcast", "says"),
    [
        ("SELECT x FROM records", 'v1_to_v2.sql cannot be used: Binder Error: Referenced column "_position" not found'),
        ("SELEKT", "v1_to_v2.sql cannot be used: Parser Error"),
        ("SELECT * EXCLUDE (x) FROM records", 'does not have a column named "x"'),
    ],
)
def test_an_unusable_upcast_is_reported_when_the_contract_is_loaded(upcast: str, says: str, tmp_path: Path) -> None:
    contract = contract_of(nested_version(1, x=A_TEXT), nested_version(2, x=A_NUMBER), upcasts=(upcast,))
    with pytest.raises(ContractError) as caught:
        validate(b"", tmp_path, contract=contract)
    assert says in str(caught.value)


# --- unknown fields ---------------------------------------------------------------------------------------------------

STRANGE = [
    order(coupon="WELCOME", channel="web"),
    order_2(items=[{**order()["items"][0], "sku": n} for n in range(3)][:1], customer=customer(vip=True)),
    order(),
    order_2(coupon=1, status="lost"),
]


def test_unknown_fields_are_dropped_and_counted_if_the_setting_says_so(tmp_path: Path) -> None:
    counts = validate(lines(STRANGE), tmp_path, unknown_fields="drop")
    assert (counts["valid"], counts["rejected_by_reason"]) == (3, {"not_an_allowed_value": 1})
    found = {(one["contract_version"], one["field"]): one["records"] for one in counts["drift"]}
    assert found == {
        (1, "/channel"): 1,
        (1, "/coupon"): 1,
        (2, "/coupon"): 1,
        (2, "/customer/vip"): 1,
        (2, "/items/*/sku"): 1,
    }
    kept = [(one["field"], one["dropped"]) for one in counts["drift"] if not one["dropped"]]
    assert kept == [("/coupon", False)], "the record is rejected"
    passed = b"".join(record for _, record in serialised(tmp_path))
    assert passed
    assert not any(name in passed for name in (b"coupon", b"channel", b"sku", b"vip"))
    (reject,) = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    assert orjson.loads(reject)["record"]["coupon"] == 1, "a reject contains the original record"


@pytest.mark.parametrize(
    "record",
    [
        {name: value for name, value in order_2().items() if name != "schema_version"},
        {**{name: value for name, value in order_2().items() if name != "schema_version"}, "shema_version": 2},
        order(shema_version=1),
        order(customer=customer(loyalty_tier="gold")),
    ],
    ids=["no version", "a misspelt version", "nothing but a misspelt version", "a field of a later version"],
)
def test_a_field_of_another_version_is_not_dropped(record: Order, tmp_path: Path) -> None:
    counts = validate(lines([record]), tmp_path, unknown_fields="drop")
    assert counts["rejected_by_reason"] == {"unknown_field": 1}


def test_a_field_with_the_name_of_the_version_counts_only_at_the_place_of_the_version(tmp_path: Path) -> None:
    counts = validate(lines([order(customer=customer(shema_version=1))]), tmp_path, unknown_fields="drop")
    assert (counts["valid"], [one["field"] for one in counts["drift"]]) == (1, ["/customer/shema_version"])


def test_unknown_fields_are_counted_if_they_are_rejected_too(tmp_path: Path) -> None:
    counts = validate(lines(STRANGE), tmp_path)
    assert counts["rejected_by_reason"] == {"unknown_field": 3}
    assert {one["field"]: one["dropped"] for one in counts["drift"]} == dict.fromkeys(
        ("/channel", "/coupon", "/customer/vip", "/items/*/sku"), False
    )


def test_the_number_of_unknown_fields_in_a_manifest_is_limited(tmp_path: Path) -> None:
    counts = validate(lines(order(**{f"field_{n}": 1}) for n in range(300)), tmp_path, unknown_fields="drop")
    assert counts["valid"] == 300
    assert len(counts["drift"]) == 101
    assert sum(one["records"] for one in counts["drift"]) == 300
    assert counts["drift"][0] == {"contract_version": 1, "field": "", "records": 200, "dropped": True}


def test_the_limit_of_unknown_fields_is_the_same_for_many_chunks(tmp_path: Path) -> None:
    drift = [
        [{"contract_version": 1, "field": f"/x{n}", "records": 1, "dropped": True} for n in range(start, start + 100)]
        for start in (0, 50, 100)
    ]
    none: dict[str, Any] = {"received": 0, "valid": 0, "rejected": 0, "rejected_by_reason": {}, "control_totals": {}}
    none |= {"chunk": 0, "chunk_bytes": 10**9, "position_kind": "byte"}
    counts = [convert({**none, "drift": found}, ChunkCounts) for found in drift]
    totals = add_up(counts, batch_of(b""))
    assert len(totals.drift) == 101
    assert sum(one.records for one in totals.drift) == 300


@pytest.mark.parametrize("name", ["anna@example.com", "Anna Müller", "4711", "", "a/b", "x" * 65, "\u202e"])
def test_an_unknown_field_that_does_not_look_like_a_name_is_not_reported_by_name(name: str, tmp_path: Path) -> None:
    """The name may be a value, which must not be in the manifest."""
    counts = validate(lines([order(**{name: 1}), order(customer=customer(**{name: 1}))]), tmp_path)
    assert counts["drift"] == [{"contract_version": 1, "field": "", "records": 2, "dropped": False}]
