"""Orders for the tests: a plain one, a strategy for any valid order, and a reference model of the tables."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import orjson
from hypothesis import strategies as st

from functions.common.contract import Contract, Version, load_contract
from functions.common.record_types import record_type

Order = dict[str, Any]
CONTRACT = load_contract("orders")
V1, V2 = CONTRACT.versions[:2]
UNKNOWN_VERSION = CONTRACT.current.number + 1
KNOWN_VERSIONS = " or ".join(str(version.number) for version in CONTRACT.versions)
"""The versions of orders as messages list them: `1 or 2`."""
NORTHWIND = Path(__file__).parents[1] / "data" / "northwind_orders.jsonl"


def contract_of_records(schema: dict[str, Any], **changes: Any) -> Contract:
    """A contract with one version, this schema, and no rules, totals or tables."""
    version = Version(1, schema, record_type(schema))
    bare: Any = {"versions": (version,), "version_path": (), "derived": (), "rules": (), "control_totals": ()}
    return replace(CONTRACT, **{**bare, "tables": (), "macros": "", **changes})


_PLAIN: Order = {
    "order_id": "10248",
    "order_date": "1996-07-04T09:30:00+02:00",
    "status": "shipped",
    "currency": "EUR",
    "customer": {
        "customer_id": "VINET",
        "name": "Vins et alcools Chevalier",
        "email": None,
        "phone": "26.47.15.10",
        "address": {
            "street": "59 rue de l'Abbaye",
            "city": "Reims",
            "region": None,
            "postal_code": "51100",
            "country": "FR",
        },
    },
    "items": [
        {
            "line_number": 1,
            "product_id": "11",
            "product_name": "Queso Cabrales",
            "quantity": 12,
            "unit_price": 14.0,
            "discount": 0.0,
        },
        {
            "line_number": 2,
            "product_id": "42",
            "product_name": "Singaporean Hokkien Fried Mee",
            "quantity": 10,
            "unit_price": 9.8,
            "discount": 0.05,
        },
    ],
    "shipping_cost": 32.38,
}


def order(**changes: Any) -> Order:
    """A valid order with some fields changed. Its total is correct, unless that is changed too."""
    made = deepcopy(_PLAIN) | changes
    return {**made, "total_amount": changes.get("total_amount", float(total(made)))}


def order_2(**changes: Any) -> Order:
    """A plain order of version 2."""
    return order(**{"schema_version": 2, "tax_amount": 8.5, "discount_amount": 2, **changes})


def item(**changes: Any) -> dict[str, Any]:
    return deepcopy(_PLAIN["items"][0]) | changes


def customer(**changes: Any) -> dict[str, Any]:
    return deepcopy(_PLAIN["customer"]) | changes


def lines(records: Iterable[Order]) -> bytes:
    """JSON Lines."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


# --- the expected tables, in plain Python -----------------------------------------------------------------------------


def exact(number: float) -> Decimal:
    """The decimal value of a JSON number."""
    return Decimal(repr(number))


def line_total(line: dict[str, Any]) -> Decimal:
    amount = exact(line["quantity"]) * exact(line["unit_price"]) * (1 - exact(line["discount"]))
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def total(record: Order) -> Decimal:
    added = exact(record["shipping_cost"]) + exact(record.get("tax_amount", 0))
    return sum(map(line_total, record["items"]), added - exact(record.get("discount_amount", 0)))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def tables(records: Iterable[Order]) -> dict[str, list[dict[str, Any]]]:
    """The reference model: the rows of each table, without lineage, that these valid orders must produce."""
    last: dict[str, tuple[int, Order]] = {}
    for position, record in enumerate(records):
        last[record["order_id"]] = (position, record)
    latest: dict[str, tuple[datetime, int, dict[str, Any]]] = {}
    for position, record in last.values():
        candidate = (utc(record["order_date"]), position, record["customer"])
        known = latest.get(record["customer"]["customer_id"])
        if known is None or candidate[:2] > known[:2]:
            latest[record["customer"]["customer_id"]] = candidate
    return {
        "orders": [_order_row(last[key][1]) for key in sorted(last)],
        "customers": [_customer_row(latest[key][2], latest[key][0]) for key in sorted(latest)],
        "items": [_item_row(key, line) for key in sorted(last) for line in _by_number(last[key][1]["items"])],
    }


def _by_number(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda line: int(line["line_number"]))


def _order_row(record: Order) -> dict[str, Any]:
    return {
        "order_id": record["order_id"],
        "order_date": utc(record["order_date"]),
        "status": record["status"],
        "currency": record["currency"].upper(),
        "customer_id": record["customer"]["customer_id"],
        "item_count": len(record["items"]),
        "items_total": sum(map(line_total, record["items"])),
        "shipping_cost": exact(record["shipping_cost"]),
        "total_amount": exact(record["total_amount"]),
        "tax_amount": exact(record.get("tax_amount", 0)),
        "discount_amount": exact(record.get("discount_amount", 0)),
    }


def _customer_row(person: dict[str, Any], last_order_date: datetime) -> dict[str, Any]:
    fields = ("customer_id", "name", "email", "phone")
    address = ("street", "city", "region", "postal_code", "country")
    return {
        **{name: person.get(name) for name in fields},
        **{name: person["address"].get(name) for name in address},
        "last_order_date": last_order_date,
        "loyalty_tier": person.get("loyalty_tier"),
    }


def _item_row(order_id: str, line: dict[str, Any]) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "line_number": int(line["line_number"]),
        "product_id": line["product_id"],
        "product_name": line["product_name"],
        **{name: exact(line[name]) for name in ("quantity", "unit_price", "discount")},
        "line_total": line_total(line),
    }


# --- valid orders of all kinds ----------------------------------------------------------------------------------------

ODD_STRINGS = (
    *(
        "=1+1",
        "+49 30",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "\nx",
        " =1",
        "'",
        "''",
        '"',
        'say "hi"',
        "a,b",
        "a;b",
        "a\nb",
        "a\r\nb",
    ),
    *("NULL", "null", "None", "NaN", "007", "1e5", "true", "\\", "\\N", "\\u0041", "%00", "{}", "[]", "<b>", "${x}"),
    *(
        "日本",
        "😀",
        "👩\u200d👩\u200d👧",
        "\u202bשלום\u202c",
        "E\u0301",
        "\u00c9",
        "\ufeffx",
        "\u2028",
        "\x85",
        "\uffff",
        "  x  ",
    ),
)
_characters = st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"])
strings = st.sampled_from(("", *ODD_STRINGS)) | st.text(_characters, max_size=20)
names = st.sampled_from(ODD_STRINGS) | st.text(_characters, min_size=1, max_size=20)
nullable = st.none() | strings


def _allowed(part: str) -> st.SearchStrategy[str]:
    values: list[str] = V1.schema["$defs"][part]["enum"]
    return st.sampled_from(values)


def numbers(low: int, high: int, scale: int) -> st.SearchStrategy[float]:
    """JSON numbers of `low` to `high` units of 10^-scale: floats, or integers if they are whole."""
    unit = 10**scale

    def number(units: int, whole: bool) -> float:
        return units // unit if whole and units % unit == 0 else units / unit

    units = st.integers(low, high)
    if -(-low // unit) <= high // unit:
        units |= st.integers(-(-low // unit), high // unit).map(lambda value: value * unit)
    return st.builds(number, units, st.booleans())


@st.composite
def timestamps(draw: st.DrawFn) -> str:
    moment = draw(st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)))
    digits = draw(st.integers(0, 6))
    fraction = f".{moment.microsecond:06}"[: digits + 1] if digits else ""
    minutes = draw(st.sampled_from([0, 60, -300, 330, 345, 1439, -1439]))
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    zone = f"{sign}{hours:02}:{rest:02}" if minutes or draw(st.booleans()) else draw(st.sampled_from(["Z", "-00:00"]))
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


@st.composite
def items(draw: st.DrawFn, line_number: float) -> dict[str, Any]:
    price = draw(numbers(0, 200_000, 4) | numbers(0, 10**15 - 1, 4))
    most = min(10**12 - 1, int(10**13 / max(price, 1)))  # in thousandths, so the total of a line is below 10^10
    return {
        "line_number": line_number,
        "product_id": draw(names),
        "product_name": draw(names),
        "quantity": draw(numbers(1, min(50_000, most), 3) | numbers(1, most, 3)),
        "unit_price": price,
        "discount": draw(numbers(0, 10_000, 4) | st.sampled_from([0, 0.0, 0.05, 0.15, 1])),
    }


@st.composite
def addresses(draw: st.DrawFn) -> dict[str, Any]:
    optional = draw(st.fixed_dictionaries({}, optional={"region": nullable, "postal_code": nullable}))
    return {"street": draw(strings), "city": draw(strings), "country": draw(_allowed("country")), **optional}


@st.composite
def valid_orders(draw: st.DrawFn) -> Order:
    """Any valid order. Ids repeat often, so orders are superseded and customers occur more than once."""
    numbers_of_lines = draw(st.lists(st.integers(1, 1_000_000), min_size=1, max_size=4, unique=True))
    optional = draw(st.fixed_dictionaries({}, optional={"email": nullable, "phone": nullable}))
    made: Order = {
        "order_id": draw(st.sampled_from(["1", "2", "é", "e\u0301"]) | names),
        "order_date": draw(timestamps() | st.just("2024-02-29T12:00:00Z")),
        "status": draw(st.sampled_from(V1.schema["properties"]["status"]["enum"])),
        "currency": draw(_allowed("currency")),
        "customer": {
            "customer_id": draw(st.sampled_from(["A", "B", "a"]) | names),
            "name": draw(names),
            **optional,
            "address": draw(addresses()),
        },
        "items": [draw(items(draw(st.sampled_from([number, float(number)])))) for number in numbers_of_lines],
        "shipping_cost": draw(numbers(-(10**6), 10**6, 4) | numbers(-(10**14), 10**14, 4)),
    }
    return {**made, "total_amount": float(total(made))}


# --- values at the edge of what a schema accepts -------------------------------------------------------------------

CLOSE_CALLS = (
    # dates
    *("2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
    *("2024-01-01T00:00:00+23:59", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00-00:00", "2024-01-01t00:00:00z"),
    *("2024-01-01T23:59:60Z", "2024-12-31T23:59:60Z", "2024-06-31T12:00:00Z", "2024-00-10T12:00:00Z"),
    *("2024-01-01T00:00:00.1234567Z", "2024-01-01T00:00:00.Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00Z"),
    *("2024-01-01T00:00:00Z\n", "\n2024-01-01T00:00:00Z", "2024-01-01T00:00:00٠Z", "0000-01-01T00:00:00Z"),
    # strings
    *("", "a\n", "\n", "\r", "\t", "\0", "\x0b", "\x1f", "\x7f", "\x80", "\x85", "\u2028", "\ufeff", "\uffff", "😀"),
    *("x" * 128, "x" * 129, "😀" * 128, "😀" * 129, "EUR", "eur", "EUR\n", "DE", "shipped", "shipped "),
    # numbers
    *(0, -0.0, 1, 1.0, 1.5, True, False, 10**6, 10**6 + 1, 10**6 + 0.5, -1, 19.99, 0.1 + 0.2, 1e-5, 0.0001, 0.00005),
    *(10**9, 10**9 - 1, 999_999_999.999, 999_999_999.9999, 10**12, 10**12 - 1, 99_999_999_999.9999),
    *(
        999_999_999_999.9999,
        123_456_789_012.123,
        1e11,
        1e12,
        1e15,
        1e16,
        1e300,
        2**63,
        2**64,
        10**30,
        -(10**12),
        5e-324,
    ),
    *(None, [], {}, [[]], [{}], [None]),
)
