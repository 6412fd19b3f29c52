"""Readings of meters, glued together in an object without a suffix."""

import json
from decimal import Decimal
from typing import Any

from tests.integration.recipes.plain import latest, milliseconds, values

JSON = {"diagnostics"}
REJECT = ("duplicate_register", "/registers must not use a code twice")


def records(data: bytes) -> list[Any]:
    return values(data)


def KEY(reading: Any) -> Any:
    return reading["meter_id"], reading["read_at"]


def with_a_bad_record(data: bytes) -> bytes:
    register = {"code": "1.8.0", "unit": "kWh", "value": 1}
    reading = {**values(data)[0], "read_at": 0, "registers": [register, register]}
    return data + json.dumps(reading, default=float).encode()


def tables(readings: list[Any]) -> dict[str, list[dict[str, Any]]]:
    meters = [
        {
            "meter_id": one["meter_id"],
            "model": one["device"]["model"],
            "firmware": one["device"].get("firmware"),
            "last_read_at": milliseconds(one["read_at"]),
        }
        for one in readings
    ]
    return {
        "readings": [
            {
                "meter_id": one["meter_id"],
                "read_at": milliseconds(one["read_at"]),
                "voltage": None if one.get("voltage") is None else float(one["voltage"]),
                "is_estimated": one["is_estimated"],
                "register_count": len(one["registers"]),
                "diagnostics": one.get("diagnostics"),
            }
            for one in readings
        ],
        "registers": [
            {
                "meter_id": one["meter_id"],
                "read_at": milliseconds(one["read_at"]),
                "code": register["code"],
                "unit": register["unit"],
                "value": Decimal(register["value"]),
            }
            for one in readings
            for register in one["registers"]
        ],
        "meters": latest(meters, "meter_id", "last_read_at"),
    }
