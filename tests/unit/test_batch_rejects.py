"""Rejects are grouped by rule and place, with samples that are masked by default, in constant memory."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.reject_lines import reject_line
from pipeline.inspect.batch_history.rejects import MAX_GROUPS, MAX_PLACES, masked, read_rejects

SECRET = "Ada Lovelace"


def reject(
    position: int, pointer: str = "/name", code: str = "wrong_type", record: bytes = b"{}", **more: Any
) -> bytes:
    errors = [
        {"code": code, "pointer": pointer, "rule": "type", "message": f"{pointer} must be a string, not a number"}
    ]
    kept = {"readable": True, **more}
    return reject_line(
        batch_id="orders-1",
        contract_version=1,
        position=position,
        position_kind="byte",
        reason=code,
        errors=errors,
        record=record,
        **kept,
    )


def test_rejects_are_grouped_by_rule_and_place_with_an_array_s_indices_as_one() -> None:
    lines = [
        *(reject(at, f"/items/{at}/quantity") for at in range(4)),
        reject(9, "/items"),
        *(reject(10 + at, "", "superseded") for at in range(8)),
    ]
    found = read_rejects("key", lines, samples=2)
    assert [(group.reason, group.pointer, group.count) for group in found.groups] == [
        ("wrong_type", "/items/*/quantity", 4),
        ("wrong_type", "/items", 1),
        ("superseded", "", 8),
    ], "superseded records break no rule: they come last"
    first = found.groups[0]
    assert (first.rule, first.position_kind, first.places) == ("type", "byte", (0, 1, 2, 3))
    assert [sample.position for sample in first.samples] == [0, 1]
    assert first.message == "/items/0/quantity must be a string, not a number"
    assert len(found.groups[2].places) == MAX_PLACES
    assert (found.read, found.is_whole, found.ungrouped) == (13, True, 0)


def test_values_are_hidden_by_default() -> None:
    record = json.dumps(
        {"name": SECRET, "phone": 4930123, "vip": True, "notes": [SECRET, None, {"age": 36.5}]}
    ).encode()
    [group] = read_rejects("key", [reject(0, record=record)]).groups
    assert group.samples[0].record == {
        "name": "<text:12>",
        "phone": "<number>",
        "vip": True,
        "notes": ["<text:12>", None, {"age": "<number>"}],
    }
    shown = read_rejects("key", [reject(0, record=record)], show_values=True)
    assert shown.groups[0].samples[0].record == json.loads(record)
    assert not shown.masked


@pytest.mark.parametrize(("raw", "hidden"), [(f"{SECRET} {{".encode(), "<text:14>"), (b"\xff" * 30, "<text:40>")])
def test_a_value_that_is_not_json_is_hidden_completely(raw: bytes, hidden: str) -> None:
    line = reject(0, "", "not_json", raw, readable=False)
    [group] = read_rejects("key", [line]).groups
    assert (group.samples[0].record, group.samples[0].raw) == (None, hidden)
    [group] = read_rejects("key", [line], show_values=True).groups
    assert group.samples[0].raw in (raw.decode("utf-8", "replace"), "/" * 40)


Values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(Values)
def test_a_mask_keeps_only_the_structure(value: Any) -> None:
    def leaves(part: Any) -> Iterator[Any]:
        if isinstance(part, dict | list):
            for one in part.values() if isinstance(part, dict) else part:
                yield from leaves(one)
        else:
            yield part

    assert all(
        leaf in (None, True, False, "<number>", "<nested deeper>") or leaf[0] == "<" for leaf in leaves(masked(value))
    )


def test_a_sample_keeps_the_first_elements_of_long_arrays_and_64_levels() -> None:
    assert masked([1] * 10) == ["<number>"] * 10
    assert masked([1] * 11) == [*["<number>"] * 10, "<1 more>"]
    shown = json.dumps(masked(json.loads(deep(64))))
    assert (shown.count("["), "deeper" in shown) == (64, False)
    shown = json.dumps(masked(json.loads(deep(65))))
    assert (shown.count("["), "deeper" in shown) == (64, True)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("record", [deep(1023), deep(5000), json.dumps([SECRET] * 50_000).encode()])
@pytest.mark.parametrize("show_values", [False, True])
def test_a_nested_or_large_record_is_shown_by_its_reason_only(record: bytes, show_values: bool) -> None:
    """A record of 1,023 levels is one that the parser takes, but not inside the line of a reject."""
    found = read_rejects("key", [reject(7, record=record)], show_values=show_values)
    [sample] = found.groups[0].samples
    assert (sample.position, sample.problems[0].pointer) == (7, "/name")
    assert SECRET not in str(sample.record)


def test_a_large_record_that_is_not_json_is_shown_too() -> None:
    line = reject(7, "", "record_too_large", b"x" * 1_000_000, readable=False, truncated_from=90_000_000)
    [sample] = read_rejects("key", [line]).groups[0].samples
    assert (sample.reason, sample.truncated_from) == ("record_too_large", 90_000_000)


def test_the_number_of_groups_is_limited_for_any_number_of_places() -> None:
    found = read_rejects("key", (reject(at, f"/field-{at}") for at in range(1000)))
    assert (len(found.groups), found.ungrouped, found.read) == (MAX_GROUPS, 1000 - MAX_GROUPS, 1000)


def test_a_story_reads_only_the_beginning_of_a_large_file() -> None:
    found = read_rejects("key", (reject(at) for at in range(1000)), max_bytes=10_000)
    assert not found.is_whole
    assert 10 < found.read < 100


def test_reading_ends_with_the_line_that_passes_the_bound() -> None:
    lines = [reject(at) for at in (1, 2, 3, 4)]
    for n_bytes, read in ((0, 1), (len(lines[0]) - 1, 1), (len(lines[0]), 2), (len(lines[0]) * 4, 4)):
        found = read_rejects("key", lines, max_bytes=n_bytes)
        assert (found.read, found.is_whole) == (read, read == 4), n_bytes


def test_memory_does_not_grow_with_the_file() -> None:
    record = json.dumps({"name": SECRET * 100}).encode()

    def peak(number: int) -> int:
        tracemalloc.start()
        found = read_rejects("key", (reject(at, f"/{at % 50}", record=record) for at in range(number)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.read == number
        return most

    assert peak(10_000) < peak(100) + 200_000, "the file has 15 MB"


@pytest.mark.parametrize("line", [b"", b"{}", b"nonsense", b'{"position": 1}'])
def test_a_line_that_is_not_a_reject_is_an_error(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_rejects("key", [line])
