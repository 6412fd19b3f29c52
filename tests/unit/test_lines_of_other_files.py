"""For a line of a pretty-printed object or a CSV file, the advice is one object per line, and it works."""

import json

import pytest

from functions.validate.unreadable import unparsable
from tests.unit.orders import order

PRETTY = json.dumps(order(), indent=2).encode().splitlines()
FRAGMENTS = [line for line in PRETTY if not line.strip(b"[]{}, ").replace(b".", b"").isdigit()]


@pytest.mark.parametrize("line", [*FRAGMENTS, b"1,2,x", b'"a","b"', b"1}", b"  true,"])
def test_the_advice_is_one_object_per_line(line: bytes) -> None:
    reason = unparsable(line, 64)
    assert reason.code == "not_json"
    says = reason.message.partition("; ")[2]
    assert "one complete JSON object on one line" in says or "one object per line" in says


@pytest.mark.parametrize("line", [b'{"a":1},', b'{"a":1}{"a":2}', b'{"a":1}\r{"a":2}', b'[{"a":1}] x'])
def test_several_objects_on_a_line_have_different_advice(line: bytes) -> None:
    assert "one complete JSON object" not in unparsable(line, 64).message
