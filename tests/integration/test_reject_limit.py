"""The reject limit holds for records, and for the bytes of what could not be read as records."""

import gzip
import json
from collections.abc import Iterator

import orjson
import pytest

from functions.common.errors import NoValidRecordsError, PipelineError, TooManyRejectsError
from functions.write import reject_limit
from functions.write.reconciliation import Totals
from tests import harness
from tests.unit.orders import order

GOOD = [orjson.dumps(order(order_id=str(number))) for number in range(12)]
CAP = int(harness.ENVIRONMENT["MAX_RECORD_BYTES"])
LONG = b"x" * 300_000


@pytest.fixture(autouse=True)
def _buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with harness.buckets(monkeypatch):
        yield


BROKEN = GOOD[0].replace(b'"order_id"', b'"order_id', 1)
UNREADABLE = {
    "not JSON": BROKEN * 2000,
    "larger than max_record_bytes": BROKEN * (CAP // len(BROKEN) + 1),
    "not UTF-8": b'{"x": "\xff' + LONG + b'"}',
    "garbage after NaN": b"NaN" + LONG,
}


@pytest.mark.parametrize("line", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_an_unreadable_line_counts_by_its_bytes(line: bytes, name: str) -> None:
    data = b"\n".join([*GOOD, line])
    with pytest.raises(TooManyRejectsError) as raised:
        harness.run(gzip.compress(data, 1) if name.endswith(".gz") else data, name)
    total = len(data) - len(GOOD)
    assert f"{len(line)} of {total} bytes" in str(raised.value)
    assert f"a share of {len(line) / total:.4g}" in str(raised.value)


READABLE = {
    "an unknown field": orjson.dumps(order(order_id="x", more="y" * 300_000)),
    "a wrong type": orjson.dumps([1, 2, 3] * 100_000),
    "nested too deeply": orjson.dumps({"x": json.loads("[" * 100 + "]" * 100), "y": "z" * 300_000}),
    "nested too deeply for a parser": b'{"x":' * 50_000 + b'"}{\\"]["' + b"}" * 50_000,
    "a broken rule": orjson.dumps(
        order(customer={**order()["customer"], "name": "y" * 300_000}, order_id="x", total_amount=1)
    ),
    "not a number": b'{"x": NaN, "y": "' + LONG + b'"}',
    "half of a surrogate pair": b'{"x": "\\ud800' + LONG + b'"}',
}


@pytest.mark.parametrize("line", READABLE.values(), ids=READABLE)
def test_a_large_value_that_is_rejected_is_one_record(line: bytes) -> None:
    batch = harness.run(b"\n".join([*GOOD, line]))
    manifest = harness.manifest(batch)
    assert (manifest["counts"]["published"], manifest["counts"]["rejected"]) == (12, 1)
    assert manifest["bytes"] == {"received": sum(map(len, GOOD)) + len(line), "unreadable": 0}


BLANK = b" " * CAP


@pytest.mark.parametrize(
    "data",
    [
        b"\n".join([BLANK, *GOOD, *[BLANK + b"\t\r"] * 3, BROKEN * 3]),
        b"\n".join([*(line + b" " * 50_000 + b"\r" for line in GOOD), b"  " + BROKEN * 3]),
    ],
    ids=["blank lines", "white space around records"],
)
def test_whitespace_is_not_a_record_and_is_not_counted(data: bytes) -> None:
    with pytest.raises(TooManyRejectsError, match=f"{len(BROKEN * 3)} of {sum(map(len, [*GOOD, BROKEN * 3]))} bytes"):
        harness.run(data)


def test_an_element_of_an_array_that_is_too_large_counts_by_its_bytes() -> None:
    too_large = b'{"x": "' + b"y" * CAP + b'"}'
    data = b'{"orders": [' + b",\n  ".join([*GOOD, too_large]) + b"]}"
    with pytest.raises(TooManyRejectsError, match=f"{len(too_large)} of {sum(map(len, [*GOOD, too_large]))} bytes"):
        harness.run(data, "x.json")


def test_bytes_and_records_add_up_over_chunks() -> None:
    lines = [*GOOD * 10, BROKEN * 4]
    batch = harness.run(b"\n".join(lines), chunk_bytes=4096)
    assert batch.chunk_count > 5
    manifest = harness.manifest(batch)
    assert manifest["bytes"] == {"received": sum(map(len, lines)), "unreadable": len(BROKEN * 4)}
    assert manifest["counts"]["rejected"] == 2, "two broken records look like one string after the other"


def test_a_file_without_one_readable_record_has_no_valid_records() -> None:
    with pytest.raises(NoValidRecordsError):
        harness.run(BROKEN)


@pytest.mark.parametrize(
    ("unreadable", "received", "ratio", "fails"),
    [(0, 100, 0.0, False), (1, 10**9, 0.0, True), (29, 100, 0.29, False), (30, 100, 0.29, True), (99, 100, 1.0, False)],
)
def test_unreadable_bytes_are_accepted_up_to_the_limit(
    unreadable: int, received: int, ratio: float, fails: bool
) -> None:
    totals = Totals(10**12, 10**12, 0, {}, {}, (), {}, received, unreadable)
    refusal: PipelineError | None = reject_limit.refusal(totals, ratio, "s3://b/k")
    assert isinstance(refusal, TooManyRejectsError) is fails
