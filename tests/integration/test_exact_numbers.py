"""A number is published or rejected by the digits in the file, on every path that a record can take."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.validate.exact_numbers import loses_digits, loses_tiny_numbers
from tests import harness
from tests.unit.orders import UNKNOWN_VERSION, lines, order
from tests.unit.test_fast_decoder import contract_of, validate

DECIMALS = [(16, 4), (12, 3), (5, 4), (18, 0), (38, 10), (15, 15)]
UINT64_END = 2**64


def rule(text: str, precision: int, scale: int) -> Fraction | None:
    """The documented rule, over exact fractions: the value that is published, or None where the number is rejected."""
    number, bound, unit = Fraction(text), Fraction(10) ** (precision - scale), Fraction(1, 10**scale)
    if number.denominator == 1 and -(2**63) <= number < UINT64_END:
        return number if abs(number) < bound else None
    units = abs(number) / unit
    rounded = (units + Fraction(1, 2)).__floor__() * unit * (-1 if number < 0 else 1)
    digits = str(Decimal(rounded.numerator * 10**scale // rounded.denominator)).strip("-").rstrip("0")
    is_same_float = rounded.numerator / rounded.denominator == float(text)
    return rounded if abs(rounded) < bound and len(digits) <= 15 and is_same_float else None


@st.composite
def number_strings(draw: st.DrawFn) -> str:
    """JSON numbers of any length: multiples of some scale, their neighbours, and numbers with additional digits."""
    digits = str(draw(st.integers(0, 10 ** draw(st.sampled_from([3, 9, 15, 17, 20, 25])))))
    places = draw(st.integers(0, 24))
    whole, fraction = digits.rjust(places + 1, "0")[: len(digits.rjust(places + 1, "0")) - places], ""
    if places:
        fraction = "." + digits.rjust(places + 1, "0")[-places:]
        fraction += draw(st.sampled_from(["", "", "0", "5", "50", "00000000000000001", "49999999999999", "9" * 17]))
    exponent = draw(st.sampled_from(["", "", "", "e0", "e-3", "E+2", "e-20"]))
    return f"{draw(st.sampled_from(['', '-']))}{whole}{fraction}{exponent}"


spelled = (
    number_strings() | st.floats(-1e18, 1e18).map(repr) | st.floats(-1e6, 1e6).map(lambda number: f"{number:.17g}")
)


def published(numbers: list[str], schema: dict[str, Any], folder: Path) -> dict[int, Any]:
    """What each of these numbers is published as, by its index, when each is a record of its own."""
    data = "".join(f'{{"x": {number}}}\n' for number in numbers).encode()
    validate(data, folder, contract=contract_of(schema))
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    with duckdb.connect() as connection:
        query = f"SELECT _position, x FROM read_parquet('{folder}/records.parquet') WHERE _kept"
        return {starts.index(position): value for position, value in connection.execute(query).fetchall()}


@settings(max_examples=25)
@given(st.sampled_from(DECIMALS), st.lists(spelled, min_size=20, max_size=80))
@example((16, 4), ["900000000000.00005", "900000000000.00004", "900000000009.0001", "4.500000000000000213"])
@example((16, 4), ["0.30000000000000004", "3.99999999999999999999", "123456789.12340000001", "0.00005", "1e-320"])
@example((16, 4), ["999999999999.99995", "999999999999.9999", "-0.0", "9.9e11", "1.00000000000000000e-300"])
@example((38, 10), ["100000000000000000000", "100000000000000000001", "18446744073709551615.0", "18446744073709551616"])
@example((18, 0), ["12345678901234567.0", "12345678901234567.5", "1234567890123456789e-1", "123456789012345678e0"])
def test_a_decimal_is_published_by_the_documented_rule(
    tmp_path_factory: pytest.TempPathFactory, decimal: tuple[int, int], numbers: list[str]
) -> None:
    found = published(numbers, {"type": "number", "decimal": [*decimal]}, tmp_path_factory.mktemp("decimals"))
    expected = {index: value for index, text in enumerate(numbers) if (value := rule(text, *decimal)) is not None}
    assert {index: Fraction(value) for index, value in found.items()} == expected


@settings(max_examples=12)
@given(st.lists(spelled | st.integers(-(2**70), 2**70).map(str), min_size=20, max_size=80))
@example(
    ["2.0", "2.00000000000000000001", "9007199254740993.0", "9223372036854775807.0", "9223372036854775808.0", "1e3"]
)
@example(["4.653844393390073e+16", "46538443933900730.0", "123456789012345e3", "12345678901234567.8e1", "1e18", "1E-3"])
def test_an_integer_is_published_from_any_notation(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[str]
) -> None:
    schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    found = published(numbers, schema, tmp_path_factory.mktemp("whole"))
    exact = {index: Fraction(text) for index, text in enumerate(numbers)}
    assert found == {
        index: number for index, number in exact.items() if number.denominator == 1 and -(2**63) <= number < 2**63
    }


@settings(max_examples=12)
@given(st.lists(spelled, min_size=20, max_size=80))
@example(["10.00000000000000000001", "10", "9.99999999999999999999", "-0.00000000000000000001", "0"])
def test_bounds_apply_to_the_digits_in_the_file(tmp_path_factory: pytest.TempPathFactory, numbers: list[str]) -> None:
    found = published(numbers, {"type": "number", "minimum": 0, "maximum": 10}, tmp_path_factory.mktemp("bounds"))
    assert found == {index: float(text) for index, text in enumerate(numbers) if 0 <= Fraction(text) <= 10}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"x": 19.99}', False),
        (b'{"x": 4.500000000000000213}', True),
        (b'{"x":900000000000.00005}', True),
        (b'{"x": [0.1, 0.30000000000000004]}', False),  # a float gives all of these digits back
        (b'{"x": 0.10000000000000000000}', False),
        (b'{"x": 18446744073709551615}', False),
        (b'{"x": 18446744073709551617}', True),
        (b'{"id": "900000000000.00005", "t": "2026-01-02T03:04:05.123456789Z"}', False),
        (b'{"id": "1.2.3.4.5.6.7.8.9.10.11.12", "y": ", 1.2.3.4.5.6.7.8.9.10.11"}', False),
        (b"-900000000000.00005e3", True),
    ],
)
def test_numbers_that_lose_digits_in_a_float_are_detected(data: bytes, expected: bool) -> None:
    assert loses_digits(data) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"x":1e-400}', True),
        (b'{"x":[-4.9E-324]}', True),
        (b"[0.00000000012345e-311 ]", True),
        (b"[1e-0400\n]", True),
        (b"[5e-324]", False),  # a float gives this digit back
        (b"[2.2250738585072014E-308,1e-290]", False),
        (b"[0e-400,0.0e-400]", False),
        (b'["1e-400","e-400,","a1e-400,"]', False),
    ],
)
def test_numbers_that_are_too_close_to_zero_for_a_float_are_detected(data: bytes, expected: bool) -> None:
    assert loses_tiny_numbers(data) is expected


@pytest.mark.parametrize(
    ("version", "published"),
    [
        ("1", 1),
        ("1.0", 1),
        ("1e0", 1),
        ("1.00000000000000000000", 1),
        ("1.00000000000000000001", 0),
        (f"{UNKNOWN_VERSION}.0", 0),
    ],
)
def test_a_version_may_be_an_integer_in_any_notation(
    version: str, published: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = lines([order(schema_version=1, order_id="x")])
    record = record.replace(b'"schema_version":1', b'"schema_version":' + version.encode())
    with harness.buckets(monkeypatch, MAX_REJECT_RATIO="0.5"):
        batch = harness.run(lines([order()]) + record)
        counts = harness.manifest(batch)["counts"]
        assert counts["published"] == 1 + published
        assert [reject["reason"] for reject in harness.rejects(batch)] == ["unknown_version"] * (1 - published)


LONG = [("1234567890.1234567", False), ("900000000000.00005", True), ("1" * 20, False), ("1" * 21, True)]


@given(st.integers(0, 40), st.integers(0, 9), st.sampled_from(LONG))
def test_a_number_that_loses_digits_is_detected_at_any_place(before: int, after: int, long: tuple[str, bool]) -> None:
    number, expected = long[0].encode(), long[1]
    assert loses_digits(b'{"x":%b%b%b}' % (b" " * before, number, b" " * after)) is expected
    assert loses_digits(b'{"%b":1.5,"y":-%b}' % (b"1" * before, number)) is expected
    assert loses_digits(b"[1234567890123456%b,%b]" % (b" " * before, number)) is expected
