"""Samples of different shapes, from which contracts are drafted. The data is invented."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

_START = datetime(2026, 1, 1, tzinfo=UTC)
_EPOCH_SECONDS = 1_767_225_600


def _time(number: int) -> str:
    return (_START + timedelta(seconds=97 * number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(records: Sequence[Any]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _flat() -> str:
    return _lines(
        [
            {
                "id": number,
                "name": f"n{number}",
                "price": number / 4,
                "active": number % 2 == 0,
                "on": f"2026-01-{1 + number % 28:02}",
                "note": None if number % 3 else "x",
            }
            for number in range(150)
        ]
    )


def _orders() -> str:
    customer = [{"customer_id": f"c{one}", "name": f"N{one}", "city": "X"} for one in range(7)]
    return _lines(
        [
            {
                "order_id": f"o{number}",
                "placed_at": _time(number),
                "customer": customer[number % 7] if number % 5 else None,
                "items": [{"sku": f"s{one}", "qty": one, "price": 0.25 * one} for one in range(number % 4)],
            }
            for number in range(120)
        ]
    )


def _three_levels() -> str:
    parts = [{"p": 1}, {"p": 2}]
    return json.dumps(
        [
            {
                "invoice": f"i{number}",
                "lines": [
                    {"n": line, "taxes": [{"code": code, "rate": 0.19, "parts": parts} for code in "ab"[: line % 3]]}
                    for line in range(3)
                ],
            }
            for number in range(20)
        ]
    )


def _scalars_in_arrays() -> str:
    random = Random(1)
    return _lines(
        [
            {
                "user_id": number,
                "tags": ["a", "b", "c"][: number % 4],
                "scores": [random.randint(0, 9) for _ in range(number % 5)],
                "flags": [True, None][: number % 3],
            }
            for number in range(30)
        ]
    )


def _arrays_of_arrays() -> str:
    return _lines([{"id": number, "matrix": [[1, 2], [3, 4]], "shape": [[[1.5, 2.5]]]} for number in range(10)])


def _maps() -> str:
    random = Random(2)
    return _lines(
        [
            {
                "sku": f"p{number}",
                "prices": {"EUR": 1.5, "USD": 2.25} if number % 2 else {"GBP": 3},
                "attributes": {f"k{random.randint(0, 200)}": number},
                "labels": {"app.kubernetes.io/name": "x"},
            }
            for number in range(60)
        ]
    )


def _events() -> str:
    click = {"type": "click", "x": 1, "y": 2}
    purchase = {"type": "purchase", "amount": "12.50", "sku": "s"}
    return _lines(
        [{"event_id": number, "at": _time(number), **(click if number % 3 else purchase)} for number in range(90)]
    )


def _decimal_strings() -> str:
    return _lines(
        [
            {"id": number, "total": f"{number * 3}.50", "version": f"1.{number}", "zip": f"0{number:04}"}
            for number in range(40)
        ]
    )


def _epoch_times() -> str:
    return _lines(
        [
            {
                "device_id": f"d{number % 4}",
                "ts": 1000 * (_EPOCH_SECONDS + number),
                "created": _EPOCH_SECONDS + number,
                "temperature": 20 + number / 8,
            }
            for number in range(80)
        ]
    )


def _paged() -> str:
    data = [{"id": f"x{number}", "value": number} for number in range(40)]
    return json.dumps({"page": 1, "total": 40, "next": "x", "data": data})


def _glued() -> str:
    return "".join(json.dumps({"id": number, "value": f"z{number}"}) for number in range(30))


def _single() -> str:
    server = {"host": "h", "ports": [80, 443]}
    database = {"url": "u", "pool": {"min": 1, "max": 5}}
    return json.dumps({"id": "A1", "server": server, "db": database, "features": {"a": True}}, indent=2)


def _hundred_fields() -> str:
    def value(field: int, number: int) -> Any:
        return (field * number, f"v{number}", number / 4)[field % 3]

    return _lines([{f"field_{field}": value(field, number) for field in range(100)} for number in range(25)])


def _github() -> str:
    author = {"email": "a@example.com", "name": "A"}
    issue = {"labels": [{"id": 1, "name": "bug"}], "assignee": None, "user": {"id": 3, "login": "z"}}

    def payload(number: int) -> dict[str, Any]:
        commit = {"sha": f"{number:040x}", "author": author, "message": "m", "distinct": True}
        return (
            {"push_id": number, "size": 1, "commits": [commit]},
            {"action": "started"},
            {"action": "opened", "issue": {"id": number, "number": number, **issue}},
        )[number % 3]

    return json.dumps(
        [
            {
                "id": str(4000 + number),
                "type": ("PushEvent", "WatchEvent", "IssuesEvent")[number % 3],
                "actor": {"id": number % 5, "login": f"u{number % 5}", "avatar_url": f"https://a/{number % 5}"},
                "repo": {"id": 100 + number % 6, "name": f"r/{number % 6}", "url": f"https://x/{number % 6}"},
                "payload": payload(number),
                "public": True,
                "created_at": _time(number),
            }
            for number in range(60)
        ]
    )


def _weather() -> str:
    hourly = {"time": ["2026-01-01T00:00", "2026-01-01T01:00"], "temperature_2m": [1.5, None], "code": [1, 2]}
    return json.dumps(
        [{"latitude": 52.52, "longitude": 13.419998, "station": f"s{number}", "hourly": hourly} for number in range(12)]
    )


def _geo() -> str:
    def geometry(number: int) -> dict[str, Any]:
        if number % 2:
            return {"type": "Point", "coordinates": [13.4 + number, 52.5]}
        return {"type": "Polygon", "coordinates": [[[1.5, 2], [3, 4]]]}

    features = [
        {"type": "Feature", "id": one, "geometry": geometry(one), "properties": {"name": f"p{one}", "population": one}}
        for one in range(20)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def _cloudtrail() -> str:
    identity = {"type": "IAMUser", "accountId": "123456789012", "userName": "bob"}
    return json.dumps(
        {
            "Records": [
                {
                    "eventVersion": "1.08",
                    "userIdentity": identity,
                    "eventTime": _time(number),
                    "requestParameters": {"bucketName": "b"} if number % 2 else None,
                    "responseElements": None,
                    "eventID": str(UUID(int=number + 10)),
                    "resources": [{"ARN": "arn:x", "type": "T"}],
                }
                for number in range(30)
            ]
        }
    )


def _invoices() -> str:
    shares = [{"cost_center": "c", "share": 0.5}, {"cost_center": "d", "share": 0.5}]
    return json.dumps(
        {
            "invoices": [
                {
                    "number": f"INV{number}",
                    "customer": {"vat": "DE1", "address": {"city": "B"}},
                    "lines": [{"position": line, "amount": 10.5, "shares": shares} for line in (1, 2)],
                    "total": 21.0,
                }
                for number in range(25)
            ]
        }
    )


def _telemetry() -> str:
    return _lines(
        [
            {
                "deviceId": f"dev-{number % 3}",
                "timestamp": 1000 * _EPOCH_SECONDS + 60_000 * number,
                "readings": {"temp": 20.123456 + number, "hum": 40},
                "battery": 3.7,
            }
            for number in range(100)
        ]
    )


def _users() -> str:
    addresses = [{"street": "s", "zip": "1"}]
    return _lines(
        [
            {
                "_id": {"$oid": f"{number:024x}"},
                "email": f"u{number}@example.com",
                "profile": {"firstName": "A", "addresses": addresses},
                "tags": ["x"] * (number % 3),
                "lastLogin": _time(number) if number % 2 else None,
            }
            for number in range(40)
        ]
    )


def _kubernetes() -> str:
    containers = [{"name": "c", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "b"}]}]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "List",
            "metadata": {"resourceVersion": ""},
            "items": [
                {
                    "kind": "Pod",
                    "metadata": {
                        "name": f"p{number}",
                        "uid": str(UUID(int=number)),
                        "labels": {"app": "x", "pod-template-hash": f"{number}"},
                        "annotations": {"a.b/c": "d"},
                    },
                    "spec": {"containers": containers, "ports": [{"targetPort": 80 if number % 2 else "http"}]},
                    "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
                }
                for number in range(15)
            ],
        }
    )


def _catalogue() -> str:
    return json.dumps(
        [
            {
                "SKU": f"S{number}",
                "Title": {"de": "x", "en": "y"},
                "Prices": {"EUR": "1.00", "USD": "1.10"},
                "Variants": [{"Color": "red", "Stock": {"DE01": 1, "DE02": 2}}],
            }
            for number in range(20)
        ]
    )


def _odd_names() -> str:
    odd = {"unit.price": 1.5, "größe": 3, "UPPER": "a", "2024": 5, "": "empty", "select": 1, "date": "2026-01-01"}
    odd |= {"order": {"values": [1, 2, 3, 4, 5], "end": "x"}, "a-b": 1, "a_b": 2, "records": {"x": 1}, "at": 3}
    odd |= {"_position": 9, "filename": "f", "batch_id": "b", 'quote"d': 1, "日本": 2, "emoji 🙂": 3, "a/b~c": 4}
    return _lines([{"Order ID": number, **odd} for number in range(12)])


def _names_that_differ_in_case() -> str:
    return _lines([{"id": number, "ID": f"x{number}", "sub": {"a": 1, "A": 2}} for number in range(12)])


def _numbers() -> str:
    return (
        '{"id": 1, "huge": 123456789012345678901234567890, "u": 18446744073709551615, "e": 1.5e10, "p": 0.123456789}\n'
        '{"id": 2, "huge": 5, "u": 3, "e": 2E-3, "p": 2}\n'
        '{"id": 3, "huge": -7, "u": 0, "e": 0.5, "p": 1e3}\n'
    )


def _mixed_types() -> str:
    values = (1, "a", None, {"k": 1}, [1], True, 1.25)
    return _lines(
        [
            {"id": number, "v": values[number % 7], "w": (1, 2.5)[number % 2], "o": {"z": 1} if number % 2 else "s"}
            for number in range(28)
        ]
    )


def _without_a_key() -> str:
    return _lines([{"temp": 20.5, "humidity": number % 3} for number in range(20)])


def _pretty_printed() -> str:
    return "\n".join(json.dumps({"id": number, "a": {"b": [{"c": 1}]}}, indent=2) for number in range(10))


def _objects_in_objects() -> str:
    def visit(number: int) -> dict[str, Any]:
        company = {"company_id": number % 2, "name": f"C{number % 2}", "since": "2020-01-01"}
        person = {"id": number % 6, "name": f"N{number % 6}", "company": company, "joined": _time(number % 6)}
        return {"visit_id": number, "person": person, "at": _time(number)}

    return _lines([visit(number) for number in range(60)])


def _time_within_an_object() -> str:
    return _lines(
        [
            {"visit_id": number, "person": {"id": number % 6, "name": "N", "city": "X", "joined": _time(number % 6)}}
            for number in range(60)
        ]
    )


def _stripe() -> str:
    charges = [
        {
            "id": f"ch_{number}",
            "amount": 100 + number,
            "created": _EPOCH_SECONDS + number,
            "metadata": {},
            "refunds": {"data": [], "has_more": False},
        }
        for number in range(6)
    ]
    return json.dumps({"object": "list", "data": charges, "has_more": False, "url": "/v1"})


def _elasticsearch() -> str:
    hits = [{"_index": "i", "_id": f"d{one}", "_score": 1.0, "_source": {"title": "t", "n": one}} for one in range(3)]
    total = {"value": 3}
    return json.dumps({"took": 3, "_shards": {"total": 1}, "hits": {"total": total, "max_score": 1.0, "hits": hits}})


SAMPLES: Mapping[str, str] = {
    "flat.jsonl": _flat(),
    "orders.jsonl": _orders(),
    "three_levels.json": _three_levels(),
    "scalars_in_arrays.jsonl": _scalars_in_arrays(),
    "arrays_of_arrays.jsonl": _arrays_of_arrays(),
    "maps.jsonl": _maps(),
    "events.jsonl": _events(),
    "decimal_strings.jsonl": _decimal_strings(),
    "epoch_times.jsonl": _epoch_times(),
    "paged.json": _paged(),
    "glued.json": _glued(),
    "single.json": _single(),
    "hundred_fields.jsonl": _hundred_fields(),
    "github.json": _github(),
    "weather.json": _weather(),
    "geo.json": _geo(),
    "cloudtrail.json": _cloudtrail(),
    "invoices.json": _invoices(),
    "telemetry.jsonl": _telemetry(),
    "users.jsonl": _users(),
    "kubernetes.json": _kubernetes(),
    "catalogue.json": _catalogue(),
    "odd_names.jsonl": _odd_names(),
    "case.jsonl": _names_that_differ_in_case(),
    "numbers.jsonl": _numbers(),
    "mixed_types.jsonl": _mixed_types(),
    "without_a_key.jsonl": _without_a_key(),
    "pretty_printed.json": _pretty_printed(),
    "objects_in_objects.jsonl": _objects_in_objects(),
    "time_within_an_object.jsonl": _time_within_an_object(),
    "stripe.json": _stripe(),
    "elasticsearch.json": _elasticsearch(),
}
"""The content of each sample, by the name of its file."""
