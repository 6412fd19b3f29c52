"""Invoices as mongoexport writes them, in relaxed and in canonical Extended JSON."""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.integration.recipes.plain import latest, lines, milliseconds, utc, values

JSON = {"settings", "_extra"}
REJECT = ("total_mismatch", "/total must be the sum of every line's quantity × price")
_UNKNOWN = ("approved_by",)


def records(data: bytes) -> list[Any]:
    return values(data)


def KEY(invoice: Any) -> Any:
    return invoice["_id"]["$oid"]


def with_a_bad_record(data: bytes) -> bytes:
    invoice = {**values(data)[0], "_id": {"$oid": "0" * 24}, "total": {"$numberDecimal": "40.37"}}
    return data + lines([invoice])


def tables(invoices: list[Any]) -> dict[str, list[dict[str, Any]]]:
    customers = [
        {
            "customer_id": one["customer"]["_id"]["$oid"],
            "name": one["customer"]["name"],
            "vat_id": one["customer"].get("vat_id"),
            "last_invoice_at": _time(one["issued_at"]),
        }
        for one in invoices
        if one.get("customer")
    ]
    return {
        "invoices": [
            {
                "invoice_id": one["_id"]["$oid"],
                "number": _whole(one["number"]),
                "issued_at": _time(one["issued_at"]),
                "paid_at": _time(one["paid_at"]) if one.get("paid_at") else None,
                "customer_id": one["customer"]["_id"]["$oid"] if one.get("customer") else None,
                "currency": one["currency"],
                "total": Decimal(one["total"]["$numberDecimal"]),
                "line_count": len(one["lines"]),
                "settings": one.get("settings"),
                "_extra": {f"/{name}": one[name] for name in _UNKNOWN if name in one} or None,
            }
            for one in invoices
        ],
        "lines": [
            {
                "invoice_id": one["_id"]["$oid"],
                "line_number": number,
                "article": line["article"],
                "quantity": _whole(line["quantity"]),
                "price": Decimal(line["price"]["$numberDecimal"]),
                "amount": _amount(line),
            }
            for one in invoices
            for number, line in enumerate(one["lines"], 1)
        ],
        "customers": latest(customers, "customer_id", "last_invoice_at"),
    }


def _amount(line: Any) -> Decimal:
    amount = _whole(line["quantity"]) * Decimal(line["price"]["$numberDecimal"])
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else int(next(iter(value.values())))


def _time(value: Any) -> datetime:
    date = value["$date"]
    return utc(date) if isinstance(date, str) else milliseconds(int(date["$numberLong"]))
