"""JSON and times in plain Python, for the models of the recipes."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

_DECODER = json.JSONDecoder(parse_float=Decimal)
EPOCH = datetime(1970, 1, 1)


def values(data: bytes) -> list[Any]:
    """All JSON values in a file, with anything or nothing between them. Fractions are Decimals."""
    text, at, found = data.decode("utf-8"), 0, []
    while at < len(text):
        value, at = _DECODER.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def lines(records: list[Any]) -> bytes:
    return b"".join(json.dumps(record, default=float).encode() + b"\n" for record in records)


def utc(text: str) -> datetime:
    """A time with a zone, as UTC without one."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def utc_or_none(text: str | None) -> datetime | None:
    return None if text is None else utc(text)


def seconds(number: int) -> datetime:
    return EPOCH + timedelta(seconds=number)


def milliseconds(number: int) -> datetime:
    return EPOCH + timedelta(milliseconds=number)


def latest(rows: list[dict[str, Any]], key: str, by: str) -> list[dict[str, Any]]:
    """One row per key: the one with the highest value of a column, or the last of several."""
    best: dict[Any, dict[str, Any]] = {}
    for row in rows:
        if row[key] not in best or row[by] >= best[row[key]][by]:
            best[row[key]] = row
    return list(best.values())
