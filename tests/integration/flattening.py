"""Compares published tables with the values of the records, in plain Python that shares no code with the product.

Each column of a drafted contract names its place in the records. Every value of every record must be in the tables, and
nothing else.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

_EPOCH = datetime(1970, 1, 1)
_SECONDS = (946_684_800, 4_102_444_800)
"""The years 2000 to 2100 in seconds since 1970."""


def read_records(text: str) -> list[Any]:
    """Return the JSON values of a string, one after the other, with every digit of their numbers."""
    decoder, found, at = json.JSONDecoder(parse_float=Decimal), [], 0
    while at < len(text):
        if text[at] in " \t\r\n,":
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def records_at(pointer: str, text: str) -> list[Any]:
    """Return the records of a string whose envelopes hold them at `pointer`."""
    found = []
    for value in read_records(text):
        for step in _steps(pointer):
            value = value[step]
        found += value if isinstance(value, list) else [value]
    return found


def assert_same(contract: Path, tables: Path, records: Sequence[Any]) -> None:
    """Fail unless the tables have exactly the values of the records."""
    described = json.loads((contract / "contract.json").read_text("utf-8"))
    seen = set[str]()
    for table in described["tables"]:
        rows = _rows(tables / f"{table['name']}.parquet")
        places = {one["name"]: _place(one) for one in table["columns"]}
        seen.update(place for place in places.values() if place)
        named = {name: place for name, place in places.items() if place}
        given = Counter(tuple(_seen(row[name]) for name in named) for row in rows)
        wanted = Counter(_wanted(records, table, named))
        missing, surplus = wanted - given, given - wanted
        assert (missing, surplus) == (Counter(), Counter()), f"{table['name']}: {', '.join(named)}"
    extras = _extras(described, tables)
    for number, record in enumerate(records):
        for place in _leaves(record):
            assert _is_covered(place, seen, extras), f"record {number} has a value at {place} that is in no table"


def _place(column: Mapping[str, str]) -> str:
    found = re.fullmatch(r"From (/.*)\.", column.get("description", ""), re.DOTALL)
    return found[1] if found else ""


def _rows(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        relation = connection.execute(f"SELECT * FROM read_parquet('{path}')")
        names = [one[0] for one in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def _steps(place: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in place.split("/")[1:]]


def _wanted(records: Sequence[Any], table: Mapping[str, Any], named: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    arrays = [_steps(place)[: _last_star(_steps(place)) + 1] for place in named.values() if "*" in _steps(place)]
    longest = max(arrays, key=len, default=[])
    rows = []
    for record in records:
        for bound in _elements(record, longest, ()):
            rows.append(tuple(_value(record, _steps(place), bound) for place in named.values()))
    if table.get("latest_by"):
        rows = _latest(rows, table, [*named])
    yield from (tuple(map(_sent, row)) for row in rows)


def _last_star(steps: Sequence[str]) -> int:
    return max(number for number, step in enumerate(steps) if step == "*")


def _elements(value: Any, steps: Sequence[str], bound: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the indexes of every element of a nested array."""
    if not steps:
        yield bound
    elif steps[0] == "*":
        for number, element in enumerate(value if isinstance(value, list) else []):
            yield from _elements(element, steps[1:], (*bound, number))
    elif isinstance(value, dict) and steps[0] in value:
        yield from _elements(value[steps[0]], steps[1:], bound)


def _value(value: Any, steps: Sequence[str], bound: Sequence[int]) -> Any:
    indexes = iter(bound)
    for step in steps:
        if step == "*":
            value = value[next(indexes)] if isinstance(value, list) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _latest(rows: Sequence[tuple[Any, ...]], table: Mapping[str, Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    key, order = names.index(table["key"][0]), names.index(table["latest_by"][0])
    newest: dict[Any, tuple[Any, ...]] = {}
    for row in rows:
        if row[key] is not None and (row[key] not in newest or _sent(row[order]) >= _sent(newest[row[key]][order])):
            newest[row[key]] = row
    return [*newest.values()]


def _sent(value: Any) -> str:
    """Return a value of a record in a form that can be compared."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and _SECONDS[0] <= value <= _SECONDS[1]:
        return _number(Decimal(value * 1000))  # it may be published as a time
    if isinstance(value, int | Decimal):
        return _number(Decimal(value))
    if isinstance(value, str):
        return _text(value)
    return _canonical(value)


def _seen(value: Any) -> str:
    """Return a value of a table in the same form."""
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return _number(Decimal(repr(value)))
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _canonical(json.loads(value, parse_float=Decimal))
        except ValueError:
            return _text(value)
    return _sent(value)


def _number(value: Decimal) -> str:
    return f"number {Decimal(repr(float(value))).normalize():f}"


def _text(value: str) -> str:
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) and len(value) < 30:
        return _number(Decimal(value))
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)", value):
        try:
            return _time(datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None))
        except ValueError:
            return value
    if len(value) > 1 and value[0] == value[-1] == '"':  # a string in a JSON column
        return _text(json.loads(value))
    return value


def _time(value: datetime) -> str:
    """Return a time as milliseconds since 1970, as some records have it."""
    return _number(Decimal((value - _EPOCH) // timedelta(microseconds=1)) / 1000)


def _canonical(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [*map(_plain, value)]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _number(Decimal(value))
    return value


def _leaves(value: Any, place: str = "") -> Iterator[str]:
    """Yield the place of every value in a record that is neither null nor empty."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, f"{place}/*")
    elif value is not None and value not in ({}, []):
        yield place


def _is_covered(place: str, seen: set[str], extras: set[str]) -> bool:
    steps = place.split("/")
    above = {"/".join(steps[:number]) for number in range(2, len(steps) + 1)}
    return bool(above & (seen | extras))


def _extras(described: Mapping[str, Any], tables: Path) -> set[str]:
    path = tables / f"{described['record_table']}.parquet"
    found = [row.get("_extra") for row in _rows(path)]
    return {re.sub(r"/[0-9]+(?=/|$)", "/*", place) for one in found if one for place in json.loads(one)}
