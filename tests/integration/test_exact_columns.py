"""Decimals in strings, epochs and JSON columns come out as exactly what was sent, or the record is rejected."""

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.steps import publish
from tests.unit.test_unfit_records import contract_of

EPOCH = datetime(1970, 1, 1)
EPOCHS = {"epoch-seconds": 1000, "epoch-millis": 1}
"""How many milliseconds a number of each format counts."""


def published(
    schema: dict[str, Any], kind: str, values_sent: Sequence[str], select: str = "SELECT * FROM records"
) -> tuple[dict[int, Any], list[dict[str, Any]]]:
    """The values of a column by the number of the record that has one of these JSON values, and the rejects."""
    with tempfile.TemporaryDirectory() as folder:
        contract = contract_of(Path(folder), {"v": schema}, {"v": kind}, select)
        data = b"".join(f'{{"id":"{number:05}","v":{text}}}\n'.encode() for number, text in enumerate(values_sent))
        result = publish(data, Path(folder), contract=contract)
        return {int(row["id"]): row["v"] for row in result.rows("t")}, result.rejects()


decimal_strings = (
    st.decimals(-(10**16), 10**16, places=4).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.from_regex(r"\A[+-]?[0-9]{0,5}\.?[0-9]{0,5}\Z")
    | st.sampled_from(["199.00", "", "-", ".", "1e2", " 1", "1 ", "1_0", "NaN", "inf", "٣", "0" * 60 + "1.5", "1,5"])
)


@settings(max_examples=15, deadline=None)
@given(st.lists(decimal_strings, min_size=1, max_size=20))
def test_a_decimal_in_a_string_is_exact(values_sent: list[str]) -> None:
    rows, rejects = published(
        {"type": "string", "decimal": [15, 2]}, "DECIMAL(15,2)", list(map(json.dumps, values_sent))
    )
    expected = {number: value for number, text in enumerate(values_sent) if (value := exact(text)) is not None}
    assert rows == expected
    assert {one["reason"] for one in rejects} <= {"not_an_exact_decimal"}


def exact(text: str) -> Decimal | None:
    """The decimal in a string, if it is digits with an optional sign and point, and DECIMAL(15,2) holds it."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    is_plain = text.isascii() and set(text) <= set("+-.0123456789")
    is_held = is_plain and abs(number) < 10**13 and number * 100 == int(number * 100)
    return number if is_held else None


@pytest.mark.parametrize("form", EPOCHS)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_number_that_counts_from_1970_becomes_its_time(form: str, data: st.DataObject) -> None:
    least, most = datetime(1, 1, 1) - EPOCH, datetime(9999, 12, 31, 23, 59, 59, 999000) - EPOCH
    unit = timedelta(milliseconds=EPOCHS[form])
    edges = [least // unit, most // unit, least // unit - 1, most // unit + 1, 0, -1, 2**63 - 1, -(2**63)]
    numbers = data.draw(st.lists(st.integers(least // unit, most // unit) | st.sampled_from(edges), max_size=20))
    numbers = [*edges, *numbers]
    rows, rejects = published({"type": "integer", "format": form}, "TIMESTAMP", list(map(str, numbers)))
    assert rows == {n: EPOCH + unit * one for n, one in enumerate(numbers) if least <= unit_of(one, unit) <= most}
    assert {one["reason"] for one in rejects} == {"out_of_range"}
    assert all("from 1970" in one["errors"][0]["message"] for one in rejects)


def unit_of(number: int, unit: timedelta) -> timedelta:
    try:
        return unit * number
    except OverflowError:
        return timedelta.max if number > 0 else timedelta.min


def test_epochs_in_arrays_and_objects_become_times() -> None:
    part = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {"at": {"type": ["integer", "null"], "format": "epoch-seconds"}, "s": {"type": "string"}},
    }
    schema = {"type": "array", "items": part}
    values_sent = ['[{"at":60,"s":"a"},{"at":null},null,{"s":"b"}]', "[]"]
    rows, _ = published(schema, "VARCHAR", values_sent, "SELECT _position, id, CAST(v AS VARCHAR) AS v FROM records")
    minute = "1970-01-01 00:01:00"
    assert rows == {
        0: f"[{{'at': '{minute}', 's': a}}, {{'at': NULL, 's': NULL}}, NULL, {{'at': NULL, 's': b}}]",
        1: "[]",
    }


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab/~é", max_size=2), inner))


@settings(max_examples=15, deadline=None)
@given(st.lists(values, min_size=1, max_size=10), st.booleans())
def test_a_json_column_has_what_was_sent(sent: list[Any], is_spaced: bool) -> None:
    values_sent = [
        json.dumps(value, ensure_ascii=is_spaced, separators=None if is_spaced else (",", ":")) for value in sent
    ]
    rows, rejects = published({}, "VARCHAR", values_sent)
    assert not rejects
    for number, value in enumerate(sent):
        assert (rows[number] is None) is (value is None)
        if value is not None:
            assert json.loads(rows[number]) == value
            assert rows[number] == compact(rows[number]), "it is compact"


def compact(text: str) -> str:
    """The same text without white space between values."""
    return "".join(part if number % 2 else "".join(part.split()) for number, part in enumerate(strings_apart(text)))


def strings_apart(text: str) -> list[str]:
    """The parts of a JSON text, of which every second one is a string."""
    parts, at = [""], 0
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            parts += [text[at : end + 1], ""]
            at = end + 1
        else:
            parts[-1] += text[at]
            at += 1
    return parts


DIGITS = {
    "900000000000.00005": "900000000000.00005",
    "0.1234567890123456789": "0.1234567890123456789",
    "1e2": "100.0",
    "1e-400": "1E-400",
    "[-4.9E-324, 5e-324]": "[-4.9E-324,5e-324]",
    "18446744073709551615": "18446744073709551615",
    "1.50": "1.5",
    '{"a": 1, "a": 2}': '{"a":2}',
    '{"b": {"x": 1, "x": [ ]}}': '{"b":{"x":[]}}',
    '"\\u00e9\\/"': '"é/"',
    '"text"': '"text"',
    "[1e400000000000, 1]": "",
    "1e999": "",
    "18446744073709551616": "",
    "-9223372036854775809": "",
    "[100000000000000000000]": "",
    '"\\u0000"': "",
    '{"a\\u0000": 1}': "",
    '"\\ud800"': "",
    "[" * 70 + "]" * 70: "",
    '{"a":' * 62 + "1" + "}" * 62: '{"a":' * 62 + "1" + "}" * 62,
    '{"a":' * 64 + "1" + "}" * 64: "",
    '"\\\\u0000"': '"\\\\u0000"',
}
"""JSON values, and the strings that they become; empty: the record is rejected."""


@pytest.mark.parametrize("is_optional", [False, True])
def test_digits_are_kept_and_what_is_refused_elsewhere_is_refused_inside_json(is_optional: bool) -> None:
    schema = {"type": ["object", "array", "number", "string", "null"], "maxProperties": 10**6} if is_optional else {}
    rows, rejects = published(schema, "VARCHAR", list(DIGITS))
    assert rows == {number: text for number, text in enumerate(DIGITS.values()) if text}
    codes = {one["reason"] for one in rejects}
    assert codes == {"non_finite_number", "out_of_range", "bad_format", "lone_surrogate", "nested_too_deeply"}


def test_a_time_finer_than_a_microsecond_is_rejected() -> None:
    times = {
        "2026-01-05T10:00:00.123456Z": True,
        "2026-01-05T10:00:00.123456000Z": True,
        "2026-01-05T10:00:00.123456001Z": False,
        "2026-01-05T10:00:00.1234561+01:00": False,
    }
    rows, rejects = published({"type": "string", "format": "date-time"}, "TIMESTAMP", list(map(json.dumps, times)))
    assert rows == {n: datetime(2026, 1, 5, 10, 0, 0, 123456) for n, is_kept in enumerate(times.values()) if is_kept}
    assert [(one["reason"], one["errors"][0]["pointer"]) for one in rejects] == [("does_not_fit", "/v")] * 2
    assert "at most 6 decimals" in rejects[0]["errors"][0]["message"]


def test_what_is_always_null_or_empty_needs_no_column() -> None:
    parts = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "a": {"type": "null"},
            "b": {"type": "array", "maxItems": 0},
            "c": {"type": "object", "additionalProperties": False},
            "d": {"type": "string"},
        },
    }
    values_sent = ['{"a":null,"b":[],"c":{},"d":"x"}', '{"d":"y"}', '{"a":1}', '{"b":[1]}', '{"c":{"x":1}}']
    rows, rejects = published(parts, "VARCHAR", values_sent, "SELECT _position, id, v.d AS v FROM records")
    assert rows == {0: "x", 1: "y"}
    assert [one["errors"][0]["pointer"] for one in rejects] == ["/v/a", "/v/b", "/v/c"]
