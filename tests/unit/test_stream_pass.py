"""The stream pass divides a list of records that can't be read together, and counts their bytes, without losing any."""

from pathlib import Path

import orjson
import pytest

from functions.validate.validation import REJECTED
from tests.unit.orders import lines, order
from tests.unit.steps import batch_of, validate

V2 = {"schema_version": 2, "tax_amount": 0, "discount_amount": 0}
RECORDS = [order(order_id=f"o{n}", **(V2 if n % 2 else {})) for n in range(40)]
"""Records of both versions in turn, which can't be read together."""


@pytest.mark.parametrize("at", [0, 17, 39])
def test_a_long_number_is_found_among_records_of_alternating_versions(tmp_path: Path, at: int) -> None:
    written = lines(RECORDS).splitlines(keepends=True)
    written[at] = written[at].replace(b'"discount":0.0', b'"discount":1.00000000000000000001', 1)
    counts = validate(b"".join(written), tmp_path)
    assert counts["rejected_by_reason"] == {"out_of_range": 1}
    (reject,) = map(orjson.loads, (tmp_path / REJECTED).read_bytes().splitlines())
    assert reject["position"] == sum(map(len, written[:at]))


def test_whitespace_around_the_elements_of_an_array_is_not_counted(tmp_path: Path) -> None:
    records = lines(RECORDS[::2]).splitlines()
    data = b"[\n  " + b" ,\n  ".join(records) + b"\n]\n"
    assert validate(data, tmp_path, batch_of(data, "x.json"))["received_bytes"] == sum(map(len, records))


def test_whitespace_around_lines_is_not_counted(tmp_path: Path) -> None:
    records = lines(RECORDS).splitlines()
    data = b"".join(b"  " + text + b" \r\n" for text in records)
    assert validate(data, tmp_path)["received_bytes"] == sum(map(len, records))
