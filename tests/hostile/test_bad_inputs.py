"""Every kind of bad input has its specified outcome: whole files, records, values and keys.

KINDS_OF_BAD_INPUT contains the kinds. Each row of a table below has the name of its kind.
"""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.errors import (
    CorruptGzipError,
    EmptyFileError,
    EncodingError,
    InflatedTooLargeError,
    MalformedDocumentError,
    NoValidRecordsError,
    ObjectTooLargeError,
    PipelineError,
    SourceMissingError,
    TooManyRejectsError,
    UnknownDatasetError,
    UnsupportedFormatError,
    WrongEnvelopeError,
)
from functions.starter import index as starter
from tests import harness
from tests.hostile.outcome_check import check_failed, check_published, execute
from tests.unit.orders import UNKNOWN_VERSION, Order, customer, item, lines, order

WHOLE_FILE = "whole file"
RECORD = "one record"
KEPT = "kept exactly"
KEY = "keys"

KINDS_OF_BAD_INPUT = {
    WHOLE_FILE: (
        "empty",
        "blank",
        "[]",
        "a truncated .json document",
        "a trailing .json document",
        "a broken .json document",
        "BOM",
        "UTF-16",
        "Latin-1 in a document",
        "not JSON at all",
        "wrong envelope",
        "unknown suffix",
        "unknown dataset",
        "corrupt gzip",
        "gzip bomb (cap on inflated bytes)",
        "gzip bomb (ratio)",
        "over the size cap",
        "gone before it was read",
    ),
    RECORD: (
        "a broken line",
        "a Latin-1 line",
        "NaN",
        "infinity",
        "1e400",
        "integers beyond 64 bits",
        "money beyond its bounds",
        "100,000-deep nesting",
        "lone surrogates",
        "NUL",
        "control characters",
        "wrong type",
        "missing field",
        "unknown field",
        "impossible date",
        "date without zone",
        "true for a number",
        "a total that does not add up",
        "unknown schema version",
        "a line of 100 MB",
        "duplicate keys in an object: the last counts",
        "an order_id again later in the file: the last is published",
    ),
    KEPT: (
        "commas",
        "quotes",
        "newlines",
        "emoji",
        "right-to-left text",
        "leading zeros",
        "0.1 + 0.2 money",
        "negative numbers",
        "cells that begin with =",
        "cells that begin with +",
        "cells that begin with -",
        "cells that begin with @",
        "cells that begin with tab",
        "cells that begin with CR",
        "cells that begin with LF",
        "cells that begin with a full-width form",
    ),
    KEY: ("spaces", "+", "%20", "Unicode", "../", "ends in /", "1,024 bytes"),
}

GOOD = [
    order(order_id=f"good-{number}", customer=customer(customer_id=f"C{number}", name="Zoë"), shipping_cost=number / 10)
    for number in range(12)
]
HALF = len(GOOD) // 2
BEFORE, AFTER = lines(GOOD[:HALF]), lines(GOOD[HALF:])


# --- whole files ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A file that fails as a whole."""

    of: str
    """The item of KINDS_OF_BAD_INPUT."""
    name: str
    data: bytes | Callable[[], bytes]
    error: type[PipelineError]
    says: str
    rejects: int = 0
    folder: str = "incoming/orders/"
    environment: Mapping[str, str] = field(default_factory=dict)
    gone: bool = False


ARRAY = json.dumps(GOOD, ensure_ascii=False).encode()
ENVELOPE = b'{"orders": ' + ARRAY + b"}"
ONE = json.dumps(GOOD[0], ensure_ascii=False).encode()
ZIPPED = gzip.compress(BEFORE + AFTER, mtime=0)
NO_BOM = "begins with a byte order mark"
NO_UTF_16 = "as in UTF-16"

FILES = [
    File("empty", "x.json", b"", EmptyFileError, "no record"),
    File("empty", "x.jsonl", b"", EmptyFileError, "no record"),
    File("empty", "x.json.gz", gzip.compress(b""), EmptyFileError, "no record"),
    File("empty", "x.jsonl.gz", b"", EmptyFileError, "no record"),
    File("blank", "x.json", b" \t\r\n \n", EmptyFileError, "no record"),
    File("blank", "x.jsonl", b"\n\n \r\n", EmptyFileError, "no record"),
    File("blank", "megabytes.json", b" " * 3_000_000 + b"\n", EmptyFileError, "no record"),
    File("[]", "x.json", b"[]", EmptyFileError, "no record"),
    File("[]", "x.json", b" [ \n ] \n", EmptyFileError, "no record"),
    File("[]", "envelope.json", b'{"orders": []}', EmptyFileError, "no record"),
    File("[]", "line.jsonl", b"[]\n", EmptyFileError, "no record"),
    File("a truncated .json document", "x.json", ARRAY[:-1], MalformedDocumentError, "ends inside its array, after 11"),
    File("a truncated .json document", "x.json", ARRAY[: len(ARRAY) // 2], MalformedDocumentError, "ends inside its"),
    File("a truncated .json document", "x.json", ENVELOPE[:-1], MalformedDocumentError, "ends inside its envelope"),
    File("a truncated .json document", "one.json", ONE[:-1], MalformedDocumentError, "not JSON from character"),
    File("a truncated .json document", "x.json.gz", gzip.compress(ARRAY[:-9]), MalformedDocumentError, "ends inside"),
    File("a trailing .json document", "x.json", ARRAY + b"x", MalformedDocumentError, "follows the end of the array"),
    File(
        "a trailing .json document", "x.json", ARRAY + ARRAY + b",]", MalformedDocumentError, "follows the end of the"
    ),
    File(
        "a trailing .json document", "x.json", ENVELOPE + b"]", MalformedDocumentError, "follows the end of the array"
    ),
    File("a trailing .json document", "one.json", ONE + b"}", TooManyRejectsError, "not_json 1", rejects=1),
    File("a trailing .json document", "comma.json", b"[" + ONE + b",]", MalformedDocumentError, "without a record, at"),
    File("a broken .json document", "x.json", ARRAY.replace(b":", b"", 1), MalformedDocumentError, "In record 0"),
    File("a broken .json document", "x.json", ARRAY.replace(b"}}", b"}]}", 1), MalformedDocumentError, "not JSON"),
    File("a broken .json document", "x.json", b"[" + ONE + b"\n" + ONE + b"]", MalformedDocumentError, "In record 0"),
    File("a broken .json document", "x.json", b'{"orders":\x0c' + ARRAY + b"}", MalformedDocumentError, "character 10"),
    File("a broken .json document", "x.json", b'{"orders" [' + ONE + b"]}", MalformedDocumentError, "from character"),
    File("BOM", "x.json", b"\xef\xbb\xbf" + ARRAY, EncodingError, NO_BOM),
    File("BOM", "x.jsonl", b"\xef\xbb\xbf" + BEFORE, EncodingError, NO_BOM),
    File("BOM", "x.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + BEFORE), EncodingError, NO_BOM),
    File("UTF-16", "x.json", ARRAY.decode().encode("utf-16"), EncodingError, NO_BOM),
    File("UTF-16", "le.json", ARRAY.decode().encode("utf-16-le"), EncodingError, NO_UTF_16),
    File("UTF-16", "be.jsonl", BEFORE.decode().encode("utf-16-be"), EncodingError, NO_UTF_16),
    File("UTF-16", "32.jsonl", BEFORE.decode().encode("utf-32-le"), EncodingError, NO_UTF_16),
    File("Latin-1 in a document", "x.json", ARRAY.decode().encode("latin-1"), EncodingError, "not UTF-8 from its byte"),
    File("Latin-1 in a document", "one.json", ONE.decode().encode("latin-1"), EncodingError, "not UTF-8 at byte"),
    File("not JSON at all", "x.json", b"order_id,status\n1,paid\n", MalformedDocumentError, "must begin with { or ["),
    File("not JSON at all", "x.json", b"<orders/>", MalformedDocumentError, "must begin with { or ["),
    File("not JSON at all", "x.json", bytes(range(256)) * 9, EncodingError, NO_UTF_16),
    File("not JSON at all", "x.jsonl", b"order_id,status\n1,paid\n", NoValidRecordsError, "not_json 2", rejects=2),
    File("not JSON at all", "x.jsonl", b"PAR1\x15\x04", UnsupportedFormatError, "is Parquet, which is not supported"),
    File("wrong envelope", "x.json", b'{"records": ' + ARRAY + b"}", WrongEnvelopeError, "neither a record of this"),
    File("wrong envelope", "x.json", b'{"orders": {"orders": []}}', WrongEnvelopeError, "must be an array of records"),
    File("wrong envelope", "x.json", b'{"orders": [], "orders": ' + ARRAY + b"}", WrongEnvelopeError, "/orders twice"),
    File("unknown suffix", "x.csv", BEFORE, UnsupportedFormatError, "does not end in .json"),
    File(
        "unknown suffix",
        "x.jsonl.zip",
        b"PK\x03\x04" + BEFORE,
        UnsupportedFormatError,
        "is zip, which is not supported",
    ),
    File("unknown suffix", "x", b"", UnsupportedFormatError, "does not end in .json"),
    File("unknown dataset", "x.json", ARRAY, UnknownDatasetError, "contracts for: orders", folder="incoming/invoices/"),
    File("unknown dataset", "x.json", ARRAY, UnknownDatasetError, "contracts for: orders", folder="incoming/"),
    File(
        "unknown dataset", "x.json", ARRAY, UnknownDatasetError, "contracts for: orders", folder="incoming/../orders/"
    ),
    File("corrupt gzip", "x.jsonl.gz", ZIPPED[:2] + BEFORE, CorruptGzipError, "corrupt after 0 decompressed bytes"),
    File("corrupt gzip", "x.json.gz", ZIPPED[:-1], CorruptGzipError, "corrupt after"),
    File("corrupt gzip", "x.jsonl.gz", ZIPPED[:50] + b"\xff" * 9 + ZIPPED[59:], CorruptGzipError, "corrupt after"),
    File("corrupt gzip", "x.jsonl.gz", ZIPPED + b"more", CorruptGzipError, "corrupt after"),
    File(
        *("gzip bomb (cap on inflated bytes)", "x.jsonl.gz", ZIPPED, InflatedTooLargeError, "more than 5000 bytes"),
        environment={"MAX_INFLATED_BYTES": "5000"},
    ),
    File(
        *("gzip bomb (cap on inflated bytes)", "x.json.gz", lambda: gzip.compress(bytes(200_000_000), 1)),
        *(EncodingError, NO_UTF_16),  # only the first bytes are inflated
    ),
    File(
        *("gzip bomb (ratio)", "x.jsonl.gz", lambda: gzip.compress(b" " * 50_000_000, 9)),
        *(InflatedTooLargeError, "the limit for its size"),
    ),
    File(
        *("gzip bomb (ratio)", "x.json.gz", lambda: gzip.compress(b"[" + b" " * 50_000_000 + b"]", 9)),
        *(InflatedTooLargeError, "the limit for its size"),
    ),
    File(
        *("over the size cap", "x.jsonl", BEFORE, ObjectTooLargeError, "max_object_bytes allows 1000"),
        environment={"MAX_OBJECT_BYTES": "1000"},
    ),
    File(
        *("over the size cap", "x.json", ARRAY, ObjectTooLargeError, "allows 1000 bytes in one chunk"),
        environment={"MAX_INFLATED_BYTES": "1000"},
    ),
    File(
        *("gone before it was read", "x.json", ARRAY, SourceMissingError, "was deleted before it was published"),
        gone=True,
    ),
    File("gone before it was read", "x.jsonl", BEFORE, SourceMissingError, "was deleted before it", gone=True),
]


@pytest.mark.parametrize("file", [pytest.param(file, id=f"{file.of}-{file.name}") for file in FILES])
def test_a_bad_file_fails_as_a_whole(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    data = file.data if isinstance(file.data, bytes) else file.data()
    with harness.buckets(monkeypatch, **file.environment):
        batch = harness.plan(harness.upload(data, file.name, file.folder))
        if file.gone:
            harness.let_missing_be_gone(monkeypatch)
            source = batch.source
            s3_utils.client().delete_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id)
        cause = check_failed(execute(batch), file.error, file.rejects)
        assert file.says in cause


# --- records ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """A record that is rejected, between valid ones that are published."""

    of: str
    """The item of KINDS_OF_BAD_INPUT."""
    record: bytes
    code: str
    pointer: str = ""


def bad(of: str, code: str, pointer: str, **changes: Any) -> Bad:
    return Bad(of, json.dumps(order(order_id="bad") | changes, ensure_ascii=False).encode(), code, pointer)


def edited(of: str, code: str, old: str, new: str, pointer: str = "") -> Bad:
    """A plain order's JSON with one part replaced."""
    plain = json.dumps(order(order_id="bad"), ensure_ascii=False)
    assert old in plain, f"{of}: found no {old} to replace"
    return Bad(of, plain.replace(old, new, 1).encode(), code, pointer)


DEEP = 100_000
NAME, COST = '"Vins et alcools Chevalier"', "32.38"

RECORDS = [
    edited("a broken line", "not_json", '"items"', '"items'),
    Bad("a broken line", ONE[:-20], "not_json"),
    Bad("a broken line", b"id,status", "not_json"),
    Bad("a broken line", b"1,paid", "not_json"),
    Bad("a broken line", b"\x0cnull", "not_json"),
    Bad("a broken line", b"\xef\xbb\xbf" + ONE, "not_json"),
    Bad("a Latin-1 line", ONE.decode().encode("latin-1"), "not_utf8"),
    Bad("a Latin-1 line", ONE.replace(b"Zo\xc3\xab", b"\xed\xa0\x80"), "not_utf8"),
    edited("NaN", "non_finite_number", COST, "NaN"),
    edited("infinity", "non_finite_number", COST, "Infinity"),
    edited("infinity", "non_finite_number", COST, "-Infinity"),
    edited("1e400", "non_finite_number", COST, "1e400"),
    edited("1e400", "non_finite_number", COST, "-1e400"),
    edited("1e400", "non_finite_number", COST, "9" * 500_000),
    edited("integers beyond 64 bits", "not_an_exact_decimal", COST, str(2**64), "/shipping_cost"),
    edited("integers beyond 64 bits", "not_an_exact_decimal", COST, str(-(2**63) - 1), "/shipping_cost"),
    edited("integers beyond 64 bits", "out_of_range", '_number": 1', f'_number": {10**30}', "/items/0/line_number"),
    edited("money beyond its bounds", "not_an_exact_decimal", COST, "1000000000000", "/shipping_cost"),
    edited("money beyond its bounds", "not_an_exact_decimal", COST, "-1e12", "/shipping_cost"),
    edited("money beyond its bounds", "not_an_exact_decimal", COST, "0.00001", "/shipping_cost"),
    edited("money beyond its bounds", "not_an_exact_decimal", COST, "123456789012.3456", "/shipping_cost"),
    edited("100,000-deep nesting", "nested_too_deeply", COST, "[" * DEEP + "]" * DEEP),
    edited("100,000-deep nesting", "nested_too_deeply", COST, '{"a":' * DEEP + "1" + "}" * DEEP),
    edited("100,000-deep nesting", "nested_too_deeply", COST, "[" * DEEP),
    edited("100,000-deep nesting", "nested_too_deeply", COST, "[" * 1_000 + "]" * 1_000),
    edited("100,000-deep nesting", "nested_too_deeply", COST, "[" * 300 + "]" * 300),
    edited("100,000-deep nesting", "nested_too_deeply", COST, "[" * 64 + "]" * 64),
    edited("100,000-deep nesting", "wrong_type", COST, "[" * 63 + "]" * 63, "/shipping_cost"),
    edited("lone surrogates", "lone_surrogate", NAME, r'"x\ud800"'),
    edited("lone surrogates", "lone_surrogate", NAME, r'"\udc00\ud800"'),
    edited("lone surrogates", "lone_surrogate", '"order_id"', r'"\udfff": 1, "order_id"'),
    edited("NUL", "bad_format", NAME, r'"x\u0000y"', "/customer/name"),
    edited("NUL", "not_json", NAME, '"x\0y"'),
    edited("NUL", "bad_format", '"bad"', r'"\u0000"', "/order_id"),
    edited("control characters", "bad_format", NAME, r'"\u0001"', "/customer/name"),
    edited("control characters", "bad_format", NAME, r'"\u001b[31m"', "/customer/name"),
    edited("control characters", "bad_format", NAME, '"\x7f"', "/customer/name"),
    edited("control characters", "not_json", NAME, '"a\tb"'),
    bad("wrong type", "wrong_type", "/customer", customer=[]),
    bad("wrong type", "wrong_type", "/shipping_cost", shipping_cost="32.38"),
    Bad("wrong type", b"null", "wrong_type"),
    Bad("wrong type", b"[1, 2]", "wrong_type"),
    edited("missing field", "missing_field", '"status": "shipped", ', "", "/status"),
    Bad("missing field", b"{}", "missing_field", "/order_id"),
    bad("unknown field", "unknown_field", "/discount_code", discount_code="X"),
    bad("unknown field", "unknown_field", "/__proto__", **{"__proto__": {"order_id": "1"}}),
    bad("unknown field", "unknown_field", "/'; DROP TABLE records; --", **{"'; DROP TABLE records; --": 1}),
    bad("impossible date", "bad_format", "/order_date", order_date="2023-02-29T00:00:00Z"),
    bad("impossible date", "bad_format", "/order_date", order_date="2023-12-31T23:59:60Z"),
    bad("impossible date", "bad_format", "/order_date", order_date="0000-00-00T00:00:00Z"),
    bad("date without zone", "bad_format", "/order_date", order_date="2023-02-28T00:00:00"),
    bad("true for a number", "wrong_type", "/shipping_cost", shipping_cost=True),
    edited("true for a number", "wrong_type", '"quantity": 12', '"quantity": true', "/items/0/quantity"),
    bad("a total that does not add up", "total_mismatch", "/total_amount", total_amount=293.49),
    bad("unknown schema version", "unknown_version", "/schema_version", schema_version=UNKNOWN_VERSION),
    bad("unknown schema version", "unknown_field", "/$schema", **{"$schema": "v2.schema.json"}),
    edited("duplicate keys in an object: the last counts", "wrong_type", '"s', '"order_id": 5, "s', "/order_id"),
]  # fmt: skip


@pytest.mark.parametrize("of", sorted({case.of for case in RECORDS}))
def test_a_bad_record_in_lines_is_rejected_and_the_rest_is_published(
    of: str, aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put all rows of a kind into one file, each on its own line between valid ones."""
    if of == "100,000-deep nesting":  # it may contain any number of records, and counts by its bytes
        monkeypatch.setenv("MAX_REJECT_RATIO", "1")
        harness.forget_clients()
    cases = [case for case in RECORDS if case.of == of]
    good = [order(order_id=str(number)) for number in range(10 * len(cases))]
    stretches = [lines(good[10 * number : 10 * (number + 1)]) for number in range(len(cases))]
    data, positions = b"", []
    for stretch, case in zip(stretches, cases, strict=True):
        data += stretch
        positions.append(len(data))
        data += case.record + b"\r\n"
    outcome = execute(harness.plan(harness.upload(data)))
    rejects = check_published(outcome, good, Counter(case.code for case in cases), tmp_path)
    for reject, case, position in zip(rejects, cases, positions, strict=True):
        check_reject(reject, case, position, "byte")
        if "record" in reject:
            assert reject["record"] == json.loads(case.record)
        elif "raw" in reject:
            assert reject["raw"] == case.record.decode() + "\r"


def check_reject(reject: Mapping[str, Any], case: Bad, position: int, kind: str) -> None:
    first = reject["errors"][0]
    assert (reject["reason"], first["code"], first["pointer"]) == (case.code, case.code, case.pointer)
    assert (reject["position"], reject["position_kind"]) == (position, kind)
    assert first["message"].startswith(case.pointer or "the record")


FAILS_A_DOCUMENT = ("not_json", "not_utf8")


def test_a_bad_record_in_a_document_is_rejected_and_the_rest_is_published(aws: None, tmp_path: Path) -> None:
    """All rows in one array. Each record that does not break the structure is one reject."""
    cases = [case for case in RECORDS if case.code not in FAILS_A_DOCUMENT and case.record.count(b"[" * 9) < DEEP // 9]
    good = [order(order_id=f"{number:04}") for number in range(12 * len(cases))]
    document = b"[" + b",".join([*(case.record for case in cases), *(line for line in lines(good).splitlines())]) + b"]"
    reasons = Counter(case.code for case in cases)
    rejects = check_published(execute(harness.plan(harness.upload(document, "x.json"))), good, reasons, tmp_path)
    for position, (case, reject) in enumerate(zip(cases, rejects, strict=True)):
        check_reject(reject, case, position, "index")


BROKEN = [case for case in RECORDS if case.code in FAILS_A_DOCUMENT]


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.of}-{n}") for n, case in enumerate(BROKEN)])
def test_broken_json_in_a_document_fails_the_file(case: Bad, aws: None) -> None:
    error = MalformedDocumentError if case.code == "not_json" else EncodingError
    batch = harness.plan(harness.upload(b"[" + ONE + b"," + case.record + b"," + ONE + b"]", "x.json"))
    check_failed(execute(batch), error)


def test_a_line_of_100_mb_is_rejected_and_the_rest_is_published(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A real line of this size, longer than the chunks of the file."""
    line = b'{"order_id": "' + b"x" * 100_000_000 + b'"}\n'
    fast = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}  # for the upload, which moto decodes slowly
    with harness.buckets(monkeypatch, MAX_OBJECT_BYTES="200000000", MAX_REJECT_RATIO="1", **fast):
        batch = harness.plan(harness.upload(BEFORE + line + AFTER), chunk_bytes=60_000_000)
        assert batch.chunk_count == 2
        (reject,) = check_published(execute(batch), GOOD, {"record_too_large": 1}, tmp_path)
        check_reject(reject, Bad("", b"", "record_too_large"), len(BEFORE), "byte")
        assert reject["truncated_from"] == len(line) - 1
        assert reject["raw"] == line[:1024].decode()


LAST_COUNTS = [
    ('{"order_id": "first", ', GOOD[0]),
    (r'{"order\u005fid": "first", "customer": null, ', GOOD[0]),
    ('{"total_amount": 1e400, "total_amount": NaN, ', None),
]


@pytest.mark.parametrize(("opening", "read"), LAST_COUNTS)
def test_the_last_of_duplicate_keys_in_an_object_counts(
    opening: str, read: Order | None, aws: None, tmp_path: Path
) -> None:
    """The last duplicate counts. Invalid JSON stays invalid even if a later duplicate replaces it."""
    record = ONE.decode().replace("{", opening, 1).encode()
    outcome = execute(harness.plan(harness.upload(record + b"\n" + lines(GOOD[1:]))))
    if read:
        check_published(outcome, GOOD, {}, tmp_path)
    else:
        check_published(outcome, GOOD[1:], {"non_finite_number": 1}, tmp_path)


@pytest.mark.parametrize("chunk_bytes", [10**6, 2_000])
def test_the_last_of_orders_with_the_same_id_is_published(chunk_bytes: int, aws: None, tmp_path: Path) -> None:
    earlier = [order(order_id="again", shipping_cost=number) for number in (1, 2)]
    last = order(order_id="again", shipping_cost=-3)
    data = lines([earlier[0], *GOOD[:HALF], earlier[1], *GOOD[HALF:], last])
    outcome = execute(harness.plan(harness.upload(data), chunk_bytes))
    rejects = check_published(outcome, [*GOOD, last], {}, tmp_path, superseded=earlier)
    assert [(reject["reason"], reject["record"]["shipping_cost"]) for reject in rejects] == [
        ("superseded", 1),
        ("superseded", 2),
    ]


# --- kept exactly -----------------------------------------------------------------------------------------------------


def filled(value: str) -> Order:
    """An order with this string in all of its free-text fields. Its ids are unique."""
    address = {"street": value, "city": value, "region": value, "postal_code": value, "country": "DE"}
    return order(
        order_id=value,
        customer={"customer_id": value, "name": value, "email": value, "phone": value, "address": address},
        items=[item(product_id=value, product_name=value)],
    )


def money(number: float) -> Order:
    return order(order_id=f"{number!r}", shipping_cost=number)


KEPT_EXACTLY: dict[str, list[Order]] = {
    "commas": [filled(","), filled("a,b;c\td")],
    "quotes": [filled('"'), filled("'"), filled('say "hi", she said'), filled("''"), filled('""')],
    "newlines": [filled("a\nb"), filled("a\r\nb"), filled("\n"), filled("a\rb"), filled("\u2028\x85")],
    "emoji": [filled("😀"), filled("👩\u200d👩\u200d👧"), filled("🇩🇪"), filled("e" + "\u0301" * 100)],
    "right-to-left text": [filled("שלום עולם"), filled("\u202eevil\u202c"), filled("مرحبا, \"x\"")],
    "leading zeros": [
        filled("007"), filled("00"), filled("-0"), filled("0x1F"),
        filled("1e5"), filled("NULL"), filled(" 1 "),
    ],
    "0.1 + 0.2 money": [money(0.1), money(0.2), money(0.3), money(9_999_999_999.9999), money(0.0001), money(-0.0)],
    "negative numbers": [money(-1), money(-0.01), money(-9_999_999_999.9999), money(-1e11)],
    "cells that begin with =": [filled("=1+1"), filled('=HYPERLINK("http://x";"y")'), filled("=")],
    "cells that begin with +": [filled("+49 30 123"), filled("+")],
    "cells that begin with -": [filled("-1"), filled("-"), filled("--")],
    "cells that begin with @": [filled("@SUM(A1)"), filled("@")],
    "cells that begin with tab": [filled("\t=1"), filled("\t")],
    "cells that begin with CR": [filled("\r=1"), filled("\r")],
    "cells that begin with LF": [filled("\n=1"), filled("\n")],
    "cells that begin with a full-width form": [filled("＝1+1"), filled("＋1"), filled("－1"), filled("＠SUM(A1)")],
}  # fmt: skip


@pytest.mark.parametrize("of", KEPT_EXACTLY)
def test_values_are_published_unchanged(of: str, aws: None, tmp_path: Path) -> None:
    """Compare every value in Parquet and in CSV, where a cell that a spreadsheet would evaluate gets an apostrophe."""
    good = KEPT_EXACTLY[of]
    outcome = execute(harness.plan(harness.upload(lines(good))))
    check_published(outcome, good, {}, tmp_path)
    cells = harness.csv_rows(outcome.batch, "customers")
    if of.startswith("cells"):
        assert all(row["name"].startswith("'") for row in cells), "a spreadsheet would evaluate these"
    for row in harness.csv_rows(outcome.batch, "orders"):
        assert "'" not in row["shipping_cost"] + row["total_amount"] + row["items_total"], "a number was changed"


# --- keys -------------------------------------------------------------------------------------------------------------

IN_FOLDER = 1_024 - len("incoming/orders/")
KEYS = {
    "spaces": [" a  b/c d .jsonl"],
    "+": ["+a+b c+.jsonl"],
    "%20": ["a%20b.jsonl", "%2520%2B%zz%.jsonl"],
    "Unicode": ["é日本😀\u202ee\u0301.jsonl", "\n\x7f\x85.jsonl"],
    "../": ["../../x.jsonl", "..", "a/../../../manifests/orders/x.jsonl", "/./x.jsonl"],
    "ends in /": ["/", "x.jsonl/", "a/b/"],
    "1,024 bytes": ["x" * (IN_FOLDER - 6) + ".jsonl", "é" * ((IN_FOLDER - 6) // 2) + ".jsonl"],
}


def started(key: str, version_id: str) -> Batch:
    """The batch that the starter plans from S3's event, which has form-encoded keys."""
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/x"
    client = boto3.client("stepfunctions")
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
    arn = client.create_state_machine(name="test", definition=definition, roleArn=role)["stateMachineArn"]
    event = json.loads((Path(__file__).parents[1] / "integration" / "events" / "s3_put.json").read_text("utf-8"))
    event["Records"][0]["s3"]["object"] |= {"key": quote_plus(key, safe="/"), "versionId": version_id}
    starter.handler(event)
    (execution,) = client.list_executions(stateMachineArn=arn)["executions"]
    return Batch.from_input(json.loads(client.describe_execution(executionArn=execution["executionArn"])["input"]))


@pytest.mark.parametrize("name", [pytest.param(name, id=f"{of}-{n}") for of in KEYS for n, name in enumerate(KEYS[of])])
def test_a_file_with_an_unusual_key_is_published(name: str, aws: None, tmp_path: Path) -> None:
    source = harness.upload(lines(GOOD), name)
    assert len(source.key.encode()) <= 1_024
    outcome = execute(started(source.key, source.version_id))
    batch = outcome.batch
    assert (batch.source.key, batch.source.version_id, batch.dataset) == (source.key, source.version_id, "orders")
    if name.endswith(".jsonl"):
        check_published(outcome, GOOD, {}, tmp_path)
    else:
        check_failed(outcome, MalformedDocumentError if name.endswith(".json") else UnsupportedFormatError)
    for key in harness.keys(""):
        assert batch.batch_id in key, "output names must have the hash of the key, never the key"
        assert key.isascii()
        assert ".." not in key


# --- no kind of bad input is missing ----------------------------------------------------------------------------------

KINDS_WITH_OWN_TEST = {
    "a line of 100 MB": test_a_line_of_100_mb_is_rejected_and_the_rest_is_published,
    "duplicate keys in an object: the last counts": test_the_last_of_duplicate_keys_in_an_object_counts,
    "an order_id again later in the file: the last is published": test_the_last_of_orders_with_the_same_id_is_published,
}


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        (WHOLE_FILE, {file.of for file in FILES}),
        (RECORD, {case.of for case in RECORDS} | set(KINDS_WITH_OWN_TEST)),
        (KEPT, set(KEPT_EXACTLY)),
        (KEY, set(KEYS)),
    ],
)
def test_every_kind_of_bad_input_has_a_test(part: str, rows: set[str]) -> None:
    assert rows == set(KINDS_OF_BAD_INPUT[part]), "each kind in KINDS_OF_BAD_INPUT needs a row, and each row a kind"
