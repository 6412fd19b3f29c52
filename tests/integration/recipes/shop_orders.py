"""Order webhooks of a shop, one order per line."""

from decimal import Decimal
from typing import Any

from tests.integration.recipes.plain import latest, lines, utc, utc_or_none, values

Rows = list[dict[str, Any]]
JSON = {"note_attributes", "properties", "_extra"}
REJECT = ("not_an_exact_decimal", "/total_price must be an amount in quotes with at most 2 decimals")
_UNKNOWN = ("checkout_token", "client_details")


def records(data: bytes) -> list[Any]:
    return values(data)


def KEY(order: Any) -> Any:
    return order["id"]


def with_a_bad_record(data: bytes) -> bytes:
    *_, order = values(data)
    return data + lines([{**order, "id": 1, "total_price": "8.005"}])


def tables(orders: list[Any]) -> dict[str, Rows]:
    customers = [_customer(order["customer"]) for order in orders if order["customer"]]
    return {
        "orders": [_order(order) for order in orders],
        "line_items": [_line_item(order["id"], item) for order in orders for item in order["line_items"]],
        "tax_lines": [row for order in orders for row in _tax_lines(order)],
        "discount_codes": [
            {
                "order_id": order["id"],
                "code_number": number,
                "code": one["code"],
                "kind": one["type"],
                "amount": Decimal(one["amount"]),
            }
            for order in orders
            for number, one in enumerate(order["discount_codes"], 1)
        ],
        "customers": latest(customers, "customer_id", "updated_at"),
    }


def _order(order: Any) -> dict[str, Any]:
    ship_to = order["shipping_address"] or {}
    return {
        "order_id": order["id"],
        "order_name": order["name"],
        "customer_id": order["customer"]["id"] if order["customer"] else None,
        "email": order["email"],
        "created_at": utc(order["created_at"]),
        "updated_at": utc(order["updated_at"]),
        "cancelled_at": utc_or_none(order["cancelled_at"]),
        "currency": order["currency"],
        "financial_status": order["financial_status"],
        "fulfillment_status": order["fulfillment_status"],
        "taxes_included": order["taxes_included"],
        "subtotal": Decimal(order["subtotal_price"]),
        "discounts": Decimal(order["total_discounts"]),
        "shipping": sum((Decimal(line["price"]) for line in order["shipping_lines"]), Decimal(0)),
        "tax": Decimal(order["total_tax"]),
        "total": Decimal(order["total_price"]),
        "ship_to_city": ship_to.get("city"),
        "ship_to_zip": ship_to.get("zip"),
        "ship_to_country": ship_to.get("country_code"),
        "note_attributes": order["note_attributes"],
        "tags": order["tags"],
        "_extra": {f"/{name}": order[name] for name in _UNKNOWN if name in order} or None,
    }


def _line_item(order_id: int, item: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "line_item_id": item["id"],
        "product_id": item["product_id"],
        "sku": item["sku"],
        "title": item["title"],
        "quantity": item["quantity"],
        "unit_price": Decimal(item["price"]),
        "discount": Decimal(item["total_discount"]),
        "properties": item["properties"],
    }


def _tax_lines(order: Any) -> Rows:
    lines_of_both = [
        (line, name == "shipping_lines") for name in ("line_items", "shipping_lines") for line in order[name]
    ]
    return [
        {
            "order_id": order["id"],
            "line_id": line["id"],
            "tax_number": number,
            "is_shipping": is_shipping,
            "title": tax["title"],
            "rate": tax["rate"],
            "amount": Decimal(tax["price"]),
        }
        for line, is_shipping in lines_of_both
        for number, tax in enumerate(line["tax_lines"], 1)
    ]


def _customer(customer: Any) -> dict[str, Any]:
    address = customer["default_address"] or {}
    return {
        "customer_id": customer["id"],
        "email": customer["email"],
        "first_name": customer["first_name"],
        "last_name": customer["last_name"],
        "city": address.get("city"),
        "country": address.get("country_code"),
        "updated_at": utc(customer["updated_at"]),
    }
