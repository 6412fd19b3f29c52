"""An export of a DynamoDB table: gzipped lines, whose attributes name their types."""

import gzip
import json
from datetime import date
from decimal import Decimal
from typing import Any

from tests.integration.recipes.plain import seconds, values

JSON = {"channel", "_extra"}
REJECT = ("not_an_exact_decimal", "/Item/total/N")
_UNKNOWN = ("loyalty",)


def records(data: bytes) -> list[Any]:
    return [line["Item"] for line in values(gzip.decompress(data))]


def KEY(item: Any) -> Any:
    return item["house_id"]["S"], item["booking_id"]["S"]


def with_a_bad_record(data: bytes) -> bytes:
    item = {**records(data)[0], "booking_id": {"S": "bad"}, "total": {"N": "1.2E+2"}}
    return data + gzip.compress(json.dumps({"Item": item}).encode() + b"\n")


def tables(items: list[Any]) -> dict[str, list[dict[str, Any]]]:
    keyed = [({"house_id": item["house_id"]["S"], "booking_id": item["booking_id"]["S"]}, item) for item in items]
    return {
        "bookings": [
            {
                **key,
                "booked_at": seconds(int(item["booked_at"]["N"])),
                "arrival": date.fromisoformat(item["arrival"]["S"]),
                "departure": date.fromisoformat(item["departure"]["S"]),
                "guest_count": int(item["guest_count"]["N"]),
                "total": Decimal(item["total"]["N"]),
                "has_breakfast": item.get("has_breakfast", {}).get("BOOL"),
                "note": item.get("note", {}).get("S"),
                "channel_name": item["channel"]["M"]["name"].get("S") if "channel" in item else None,
                "channel": item.get("channel"),
                "_extra": {f"/Item/{name}": item[name] for name in _UNKNOWN if name in item} or None,
            }
            for key, item in keyed
        ],
        "guests": [
            {
                **key,
                "guest_number": number,
                "name": guest["M"]["name"]["S"],
                "age": int(guest["M"]["age"]["N"]) if "age" in guest["M"] else None,
            }
            for key, item in keyed
            for number, guest in enumerate(item["guests"]["L"], 1)
        ],
        "charges": [
            {
                **key,
                "charge_number": number,
                "title": charge["M"]["title"]["S"],
                "amount": Decimal(charge["M"]["amount"]["N"]),
            }
            for key, item in keyed
            for number, charge in enumerate(item.get("charges", {"L": []})["L"], 1)
        ],
        "tags": [{**key, "tag": tag} for key, item in keyed for tag in item.get("tags", {"SS": []})["SS"]],
    }
