"""A list of charges: pretty-printed pages, one after the other, as a script saves the responses of an API."""

import json
from decimal import Decimal
from typing import Any

from tests.integration.recipes.plain import seconds, values

JSON = {"metadata"}
REJECT = ("refunded_too_much", "/amount_refunded must not be above amount_captured")
_DECIMALS = {"eur": 2, "usd": 2, "jpy": 0, "vnd": 0, "kwd": 3}


def records(data: bytes) -> list[Any]:
    return [charge for page in values(data) for charge in page["data"]]


def KEY(charge: Any) -> Any:
    return charge["id"]


def with_a_bad_record(data: bytes) -> bytes:
    charge = {**records(data)[-1], "id": "ch_bad", "amount_captured": 600}
    page = {"object": "list", "data": [charge], "has_more": False, "url": "/v1/charges"}
    return data + json.dumps(page, indent=2, default=float).encode()


def tables(charges: list[Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        "charges": [_charge(charge) for charge in charges],
        "refunds": [
            {
                "refund_id": refund["id"],
                "charge_id": charge["id"],
                "created_at": seconds(refund["created"]),
                "amount_minor": refund["amount"],
                "amount": _main(refund["amount"], charge),
                "reason": refund["reason"],
                "status": refund["status"],
            }
            for charge in charges
            for refund in charge["refunds"]["data"]
        ],
    }


def _main(minor: int, charge: Any) -> Decimal:
    return Decimal(minor).scaleb(-_DECIMALS[charge["currency"]])


def _charge(charge: Any) -> dict[str, Any]:
    details = charge["payment_method_details"] or {}
    method = details.get(details.get("type"), {})
    return {
        "charge_id": charge["id"],
        "created_at": seconds(charge["created"]),
        "currency": charge["currency"].upper(),
        "amount_minor": charge["amount"],
        "amount": _main(charge["amount"], charge),
        "amount_captured": _main(charge["amount_captured"], charge),
        "amount_refunded": _main(charge["amount_refunded"], charge),
        "status": charge["status"],
        "customer_id": charge["customer"],
        "invoice_id": charge["invoice"],
        "failure_code": charge["failure_code"],
        "risk_level": (charge["outcome"] or {}).get("risk_level"),
        "method": details.get("type"),
        "card_brand": method.get("brand"),
        "last4": method.get("last4"),
        "metadata": charge["metadata"],
    }
