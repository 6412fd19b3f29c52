"""Input that is too deeply nested for a parser: a whole value is one reject, and other bytes count by their number."""

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
    ("line", "n_unreadable"),
    [
        (DEEP + b"x " * 100_000, 199_999),
        (b"[" * 300_000, 300_000),
        (b"[" * 3000 + GOOD[0] * 1000, 3000 + len(GOOD[0]) * 1000),
    ],
    ids=["other bytes after it", "never closed", "records in a value that is never closed"],
)
def test_deep_bytes_that_are_not_one_value_count_by_their_bytes(line: bytes, n_unreadable: int) -> None:
    n_bytes = sum(map(len, GOOD)) + len(line.strip())
    with pytest.raises(TooManyRejectsError, match=f"{n_unreadable} of {n_bytes} bytes"):
        harness.run(b"\n".join([*GOOD, line]))


def test_several_deep_values_on_a_line_are_several_rejects() -> None:
    with pytest.raises(TooManyRejectsError, match=r"15 of 27 records .*\(nested_too_deeply 15\)"):
        harness.run(b"\n".join([*GOOD, DEEP * 15]))


def test_records_after_a_deep_value_on_its_line_are_published() -> None:
    counts = harness.manifest(harness.run(b"\n".join([*GOOD, DEEP + GOOD[0] * 1000])))["counts"]
    assert (counts["received"], counts["rejected"], counts["published"]) == (1013, 1, 12)


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
