"""Hypothesis strategies that corrupt bytes and JSON values."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ", "1"))
"""How many times as many examples are tried as in `make test`."""

SPECIAL_CHARACTERS = [
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\n",
    b"\r",
    b" ",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x0c",
]
PARTS = [b'{"orders":[', b"NaN", b"1e999", rb"\ud800", b"null", b"\xed\xa0\x80", b'"order_id":', b"-", b"\x1f\x8b\x08"]


def fuzz(examples: int) -> Callable[[Any], Any]:
    """Settings for a property with this many examples, multiplied by FUZZ if that is set."""
    return settings(max_examples=examples * TIMES)


@st.composite
def corrupted(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with some bytes flipped, removed, doubled, inserted, or spliced with those of another seed."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        how = draw(st.sampled_from(["flip", "cut off", "cut out", "double", "put in", "splice"]))
        if how == "flip" and start < len(data):
            data = data[:start] + bytes([data[start] ^ draw(st.integers(1, 255))]) + data[start + 1 :]
        elif how == "cut off":
            data = data[:end]
        elif how == "cut out":
            data = data[:start] + data[end:]
        elif how == "double":
            data = data[:end] + data[start:]
        elif how == "put in":
            data = data[:start] + draw(st.sampled_from(SPECIAL_CHARACTERS + PARTS)) + data[start:]
        else:
            other = draw(st.sampled_from(seeds))
            data = data[:start] + other[draw(st.integers(0, len(other))) :]
    return data


odd_values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2) | st.just(10**30),
    st.sampled_from(["", "orders", "x", "_position", 'a"b', "a'b", "é", "\0", "part_orders", "../x", "DECIMAL(99,1)"]),
    st.sampled_from([[], [[]], {}, [None], [{}], [1], ["order_id"]]),
    st.sampled_from([{"$ref": "#"}, {"$ref": "#/nowhere"}, {"$ref": 5}, {"type": "x"}, {"decimal": [99, 1]}]),
)


@st.composite
def with_changed_part(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one of its parts, at any depth, replaced, removed, renamed or doubled."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(odd_values)
    where = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    how = draw(st.sampled_from(["deeper", "deeper", "deeper", "leave out", "rename or double"]))
    if isinstance(value, dict):
        rest = {name: part for name, part in value.items() if name != where}
        if how == "deeper":
            return {**value, where: draw(with_changed_part(value[where]))}
        return rest if how == "leave out" else {**rest, draw(st.sampled_from(["x", "type", "$ref"])): value[where]}
    if how == "deeper":
        return [*value[:where], draw(with_changed_part(value[where])), *value[where + 1 :]]
    return [*value[:where], *value[where + 1 :]] if how == "leave out" else [*value, value[where]]
