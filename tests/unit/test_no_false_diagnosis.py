"""Orders with a few faults are never called something else, and the same sample has the same diagnosis in any part."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.diagnoses.sample import MOST_BYTES, Expected, FileSample, complete_part_of
from functions.common.diagnoses.table import diagnose
from functions.common.source.raw import RawRecord
from tests.unit.orders import CONTRACT, Order, order, valid_orders
from tests.unit.reading import json_values

EXPECTED = Expected.of(CONTRACT)
VALUES = json_values(st.text(max_size=5), 3, 5)


@st.composite
def faulty_orders(draw: st.DrawFn) -> Order:
    """An order in which up to three fields are missing, unknown, or have other values."""
    record = draw(valid_orders())
    for name in draw(st.lists(st.sampled_from(sorted(record)), max_size=2)):
        record.pop(name, None)
    for name in draw(st.lists(st.sampled_from([*sorted(record), "error", "message", "code", "data"]), max_size=3)):
        record[name] = draw(VALUES)
    return record


def of_rejects(records: list[bytes], beginning: bytes = b"", *, by_index: bool = False) -> str:
    raws = [RawRecord(0, data, len(data)) for data in records]
    return diagnose(FileSample.of_rejects(beginning, raws, by_index=by_index), EXPECTED)


@given(st.lists(faulty_orders(), min_size=1, max_size=4))
def test_rejected_orders_have_no_diagnosis(records: list[Order]) -> None:
    data = [orjson.dumps(record) for record in records]
    assert of_rejects(data) == ""
    assert of_rejects(data, b"\n".join(data)) == ""
    assert of_rejects(data, b"[" + b",".join(data) + b"]", by_index=True) == ""
    assert of_rejects(data, b'{"orders": [' + b",".join(data) + b"]}", by_index=True) == ""


@given(st.lists(faulty_orders(), min_size=1, max_size=4), st.data())
def test_documents_of_orders_that_are_cut_off_have_no_diagnosis(records: list[Order], data: st.DataObject) -> None:
    for value in (records, {"orders": records}, {"meta": {"n": 1}, "orders": records}):
        whole = json.dumps(value).encode()
        part = whole[: data.draw(st.integers(len(whole) // 4, len(whole)))]
        found = diagnose(FileSample.of_document(part, is_broken=True), EXPECTED)
        assert found == "" or "it is incomplete" in found


@pytest.mark.parametrize(
    "line",
    [
        b'{"order_id": "A-1", "tot',
        b'"order_id": "A-1"}',
        b"\xff\xfe",
        b'{"order_id": NaN}',
        b'{"order_id": "A" "status": "paid"}',
        b"{}",
        b"[]",
        b"null",
        b"12",
        b'"paid"',
        b"x = 1",
        b"- order",
    ],
)
def test_single_broken_records_have_no_diagnosis(line: bytes) -> None:
    assert of_rejects([line]) == ""


@given(json_values(st.text(max_size=8), 4, 8), st.data())
def test_the_complete_part_of_truncated_json_is_part_of_it(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    assert complete_part_of(text) == value
    cut = complete_part_of(text[: data.draw(st.integers(0, len(text)))])
    assert is_part(cut, value) or not isinstance(value, dict | list)


def is_part(part: Any, whole: Any) -> bool:
    """Whether a value has only what the whole has, from its beginning on."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and is_part(inner, whole[name]) for name, inner in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(is_part, part, whole))
    return part is None or part == whole


@given(st.binary(max_size=200) | st.text(alphabet="{}[]\"':,<>=#/ \n\\aT1", max_size=200).map(str.encode))
def test_any_bytes_can_be_diagnosed(data: bytes) -> None:
    diagnose(FileSample.of_document(data), EXPECTED)
    of_rejects(data.split(b"\n"), data)


@pytest.mark.parametrize("data", [b"[" * MOST_BYTES, b'{"a":' * (MOST_BYTES // 5), b"[1," * (MOST_BYTES // 3)])
def test_deeply_nested_bytes_can_be_diagnosed(data: bytes) -> None:
    assert diagnose(FileSample.of_document(data), EXPECTED) == ""
    assert of_rejects([data, orjson.dumps(order())], data) == ""
