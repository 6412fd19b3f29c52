"""Input that is too deeply nested for a parser counts by its bytes if more follows the first value."""

from collections.abc import Iterator

import orjson
import pytest

from functions.common.errors import TooManyRejectsError
from tests import harness
from tests.unit.orders import order

GOOD = [orjson.dumps(order(order_id=str(number))) for number in range(12)]
DEEP = b'{"x":' * 3000 + b"1" + b"}" * 3000


@pytest.fixture(autouse=True)
def _buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with harness.buckets(monkeypatch):
        yield


@pytest.mark.parametrize(
    "line",
    [DEEP + GOOD[0] * 1000, DEEP * 15, DEEP + b" x" * 100_000, b"[" * 300_000, b"[" * 3000 + GOOD[0] * 1000],
    ids=[
        "records after it",
        "several",
        "other bytes after it",
        "never closed",
        "records in a value that is never closed",
    ],
)
def test_deep_bytes_that_are_not_one_value_count_by_their_bytes(line: bytes) -> None:
    with pytest.raises(TooManyRejectsError, match=f"{len(line)} of {sum(map(len, GOOD)) + len(line)} bytes"):
        harness.run(b"\n".join([*GOOD, line]))


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        b"  " + b'{"x":' * 50_000 + b'"}{\\"]["' + b"}" * 50_000 + b" \r",
        b"[" * 400_000 + b"]" * 400_000,
    ],
    ids=["objects", "brackets in a string", "arrays"],
)
def test_one_deep_value_is_one_record(line: bytes) -> None:
    batch = harness.run(b"\n".join([*GOOD, line]))
    manifest = harness.manifest(batch)
    assert (manifest["counts"]["published"], manifest["counts"]["rejected"]) == (12, 1)
    assert manifest["bytes"]["unreadable"] == 0
