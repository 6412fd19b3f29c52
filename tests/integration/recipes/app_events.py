"""Events of an app, whose members depend on their kind."""

from decimal import Decimal
from typing import Any

from tests.integration.recipes.plain import lines, utc, values

JSON = {"filters", "value", "_extra"}
REJECT = ("missing_field", "/result_count")
_UNKNOWN = ("experiment",)


def records(data: bytes) -> list[Any]:
    return values(data)


def KEY(event: Any) -> Any:
    return event["event_id"]


def with_a_bad_record(data: bytes) -> bytes:
    search = next(one for one in values(data) if one["kind"] == "searched")
    del search["result_count"]
    return data + lines([{**search, "event_id": "00000000-0000-0000-0000-000000000000", "filters": {}}])


def tables(events: list[Any]) -> dict[str, list[dict[str, Any]]]:
    def of_kind(kind: str) -> list[tuple[dict[str, str], Any]]:
        return [({"event_id": one["event_id"]}, one) for one in events if one["kind"] == kind]

    return {
        "events": [
            {
                "event_id": one["event_id"],
                "kind": one["kind"],
                "happened_at": utc(one["happened_at"]),
                "user_id": one["user_id"],
                "platform": one["device"]["platform"],
                "app_version": one["device"]["app_version"],
                "_extra": {f"/{name}": one[name] for name in _UNKNOWN if name in one} or None,
            }
            for one in events
        ],
        "screen_views": [
            {**key, "screen": one["screen"], "seconds": None if one["seconds"] is None else float(one["seconds"])}
            for key, one in of_kind("screen_viewed")
        ],
        "searches": [
            {**key, "query": one["query"], "result_count": one["result_count"], "filters": one.get("filters")}
            for key, one in of_kind("searched")
        ],
        "purchases": [
            {**key, "order_id": one["order_id"], "currency": one["currency"], "amount": one["amount"]}
            for key, one in of_kind("purchased")
        ],
        "purchased_products": [
            {
                **key,
                "product_number": number,
                "sku": product["sku"],
                "quantity": product["quantity"],
                "price": Decimal(product["price"]),
                "amount": Decimal(product["price"] * product["quantity"]),
            }
            for key, one in of_kind("purchased")
            for number, product in enumerate(one["products"], 1)
        ],
        "setting_changes": [
            {
                **key,
                "setting": one["setting"],
                "value": one["value"],
                "switched_on": one["value"] if isinstance(one["value"], bool) else None,
            }
            for key, one in of_kind("setting_changed")
        ],
    }
