"""The advice of each message works. Each bad input fails or loses a record; after the change that its message advises,
the same input is published as a whole."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from functions.common.config import settings
from functions.common.errors import PipelineError
from tests import harness
from tests.unit.orders import order

RECORDS = [order(order_id=str(number)) for number in range(12)]
LINES = [orjson.dumps(record) for record in RECORDS]
JSON_LINES = b"\n".join(LINES)
ARRAY = b"[" + b",\n".join(LINES) + b"]"
V2 = {"schema_version": 2, "tax_amount": 0, "discount_amount": 0}

File = tuple[str, bytes]


@pytest.fixture(autouse=True)
def _buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with harness.buckets(monkeypatch, MAX_REJECT_RATIO="0.5", MAX_RECORD_BYTES="20000", MAX_OBJECT_BYTES="60000"):
        yield


def whole_and_published(file: File) -> bool:
    """Whether every record of a file is published."""
    name, data = file
    try:
        batch = harness.run(data, name)
    except PipelineError:
        return False
    counts: dict[str, int] = harness.manifest(batch)["counts"]
    return counts["received"] == counts["published"] > 0


def rename(name: str) -> Callable[[File], File]:
    return lambda file: (name, file[1])


def replace(old: bytes, new: bytes) -> Callable[[File], File]:
    return lambda file: (file[0], file[1].replace(old, new))


def utf8(encoding: str) -> Callable[[File], File]:
    return lambda file: (file[0], file[1].decode(encoding).encode())


def with_member(pointer: str, value: Any) -> bytes:
    """The lines, the first of them with another value at a place."""
    changed = order(order_id="0")
    *path, last = pointer.split("/")[1:]
    holder: Any = changed
    for step in path:
        holder = holder[int(step) if isinstance(holder, list) else step]
    holder[last] = value
    return b"\n".join([orjson.dumps(changed), *LINES[1:]])


FILES: dict[str, tuple[File, str, Callable[[File], File]]] = {
    "gzipped twice": (
        ("x.jsonl.gz", gzip.compress(gzip.compress(JSON_LINES))),
        "compressed twice",
        lambda file: (file[0], gzip.decompress(file[1])),
    ),
    "zlib under .gz": (
        ("x.jsonl.gz", zlib.compress(JSON_LINES)),
        "is zlib (deflate)",
        lambda file: (file[0], gzip.compress(zlib.decompress(file[1]))),
    ),
    "a name without a suffix": (("orders-stream-1-2026", JSON_LINES), "name does not end in", rename("x.jsonl")),
    "carriage returns": (("x.jsonl", b"\r".join(LINES)), "line feed", replace(b"\r", b"\n")),
    "a byte order mark": (("x.json", b"\xef\xbb\xbf" + ARRAY), "byte order mark", utf8("utf-8-sig")),
    "UTF-16": (("x.json", ARRAY.decode().encode("utf-16")), "byte order mark", utf8("utf-16")),
    "Latin-1 in an array": (
        ("x.json", ARRAY.replace(b"Vins", "Väns".encode("latin-1"))),
        "not UTF-8",
        utf8("latin-1"),
    ),
    "a string as a document": (("x.json", b'"x"'), "a string", lambda _: ("x.json", ARRAY)),
    "a number as a document": (("x.json", b" 1\n"), "a number", lambda _: ("x.json", ARRAY)),
    "true as a document": (("x.json", b"true"), "true or false", lambda _: ("x.json", ARRAY)),
    "null as a document": (("x.json", b"null"), "null", lambda _: ("x.json", ARRAY)),
    "too large a file": (
        ("x.jsonl", JSON_LINES + b" " * 60_000),
        "max_object_bytes",
        lambda file: (file[0], file[1][:20_000].strip()),
    ),
    "one object of many records": (
        ("x.json", b'{"more": [' + b",".join(LINES * 4) + b"]}"),
        "is one object of more than 20000 bytes",
        lambda file: ("x.json", b'{"orders": [' + b",".join(LINES) + b"]}"),
    ),
}


@pytest.mark.parametrize(("file", "says", "advised"), FILES.values(), ids=FILES)
def test_a_file_is_published_after_what_its_error_advises(
    file: File, says: str, advised: Callable[[File], File]
) -> None:
    with pytest.raises(PipelineError) as raised:
        harness.run(file[1], file[0])
    assert says in str(raised.value)
    assert whole_and_published(advised(file))


def test_json_lines_lose_only_the_broken_line_under_each_name() -> None:
    data = b'{"order_id": "A-99", "tot\n' + JSON_LINES
    for name in ("x.json", "x.jsonl"):
        counts = harness.manifest(harness.run(data, name))["counts"]
        assert (counts["rejected"], counts["published"]) == (1, 12)


def test_a_gzip_bomb_is_published_after_it_is_sent_uncompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = JSON_LINES + b"\n" * 30_000
    monkeypatch.setenv("MAX_INFLATION_RATIO", "3")
    settings.cache_clear()
    with pytest.raises(PipelineError, match="max_inflation_ratio"):
        harness.run(gzip.compress(data), "x.jsonl.gz")
    assert whole_and_published(("x.jsonl", data))


RECORDS_ON_LINES: dict[str, tuple[bytes, str, str, Callable[[File], File]]] = {
    "NaN where null is forbidden": (
        with_member("/shipping_cost", 32.38).replace(b"32.38", b"NaN", 1),
        "non_finite_number",
        "where the contract allows null",
        replace(b"NaN", b"32.38"),
    ),
    "NaN where null is allowed": (
        with_member("/customer/email", None).replace(b'"email":null', b'"email":NaN', 1),
        "non_finite_number",
        "or null",
        replace(b"NaN", b"null"),
    ),
    "a number beyond 64 bits": (
        with_member("/shipping_cost", 32.38).replace(b"32.38", b"1e400", 1),
        "non_finite_number",
        "write a finite number",
        replace(b"1e400", b"32.38"),
    ),
    "a byte order mark inside": (
        b"\n\xef\xbb\xbf".join(LINES[:2]) + b"\n" + b"\n".join(LINES[2:]),
        "not_json",
        "byte order mark",
        replace(b"\xef\xbb\xbf", b""),
    ),
    "Ctrl-Z": (JSON_LINES.replace(b"\n", b"\n\x1a\n", 1), "not_json", "Ctrl-Z", replace(b"\x1a\n", b"")),
    "Latin-1": (JSON_LINES.replace(b"Vins", b"V\xe4ns", 1), "not_utf8", "as UTF-8", utf8("latin-1")),
    "half of a surrogate pair": (
        JSON_LINES.replace(b"Vins", b"\\ud83d", 1),
        "lone_surrogate",
        "both halves",
        replace(b"\\ud83d", b"\\ud83d\\ude00"),
    ),
    "a version that is not whole": (
        with_member("/schema_version", 1.5),
        "unknown_version",
        "1 or 2; found a number that is not whole",
        replace(b"1.5", b"1.0"),
    ),
    "a field of the next version": (
        with_member("/tax_amount", 0),
        "unknown_field",
        "it is a field of version 2; a record names its version in /schema_version",
        lambda file: (file[0], file[1].replace(b'"tax_amount":0', orjson.dumps(V2)[1:-1], 1)),
    ),
    "a misspelt field": (
        JSON_LINES.replace(b'"shipping_cost"', b'"shiping_cost"', 1),
        "missing_field",
        "did you mean shipping_cost?",
        replace(b'"shiping_cost"', b'"shipping_cost"'),
    ),
    "an unknown field that is much like one that is there": (
        with_member("/total_amounts", 1),
        "unknown_field",
        "did you mean total_amount? The record already has that field, so remove one of them",
        replace(b',"total_amounts":1', b""),
    ),
    "more digits than are kept": (
        with_member("/shipping_cost", 32.38).replace(b"32.38", b"32.38001", 1),
        "not_an_exact_decimal",
        "at most 4 decimals and 15 digits",
        replace(b"32.38001", b"32.38"),
    ),
    "a whole number with decimals": (
        with_member("/items/0/line_number", 1.5),
        "wrong_type",
        "must be a whole number",
        replace(b"1.5", b"3.0"),
    ),
}


@pytest.mark.parametrize(("data", "code", "says", "advised"), RECORDS_ON_LINES.values(), ids=RECORDS_ON_LINES)
def test_a_record_is_published_after_what_its_reject_advises(
    data: bytes, code: str, says: str, advised: Callable[[File], File]
) -> None:
    (reject,) = harness.rejects(harness.run(data, "x.jsonl"))[:1]
    assert reject["reason"] == code
    assert any(says in error["message"] for error in reject["errors"]), reject["errors"]
    assert whole_and_published(advised(("x.jsonl", data)))
