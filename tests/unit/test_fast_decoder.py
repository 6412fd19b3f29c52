"""The fast decoder accepts only records that the reference accepts, and nearly all of those."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from functions.common.compiled_schema import schema_validator
from functions.common.contract import Contract, Derived, Rule
from functions.common.record_types import bounded, is_decimal
from functions.validate.fast_decoder import fast_decoder_of, plan_of_version
from functions.validate.record_validator import RecordValidator
from generate_data import DEFECTS, generate
from tests.unit.orders import CLOSE_CALLS, CONTRACT, NORTHWIND, contract_of_records, customer, item, lines, order
from tests.unit.steps import validate

WITHOUT_RULES = replace(CONTRACT, rules=(), control_totals=())
CONTROL = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$"


def kept(data: bytes, folder: Path, contract: Contract = WITHOUT_RULES) -> list[int]:
    """The numbers of the accepted lines."""
    validate(data, folder, contract=contract)
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    with duckdb.connect() as connection:
        query = f"SELECT _position FROM read_parquet('{folder}/records.parquet') WHERE _kept"
        return [starts.index(position) for (position,) in connection.execute(query).fetchall()]


def contract_of(schema: dict[str, Any], **more: Any) -> Contract:
    """A contract whose records are objects with a property `x` of this schema."""
    record = {"type": "object", "additionalProperties": False, "required": ["x"], "properties": {"x": schema}, **more}
    return contract_of_records(record)


# --- it accepts only valid records ------------------------------------------------------------------------------------


SCHEMAS: dict[str, tuple[dict[str, Any], bool]] = {
    "a string": ({"type": "string"}, True),
    "a string with a length": ({"type": "string", "minLength": 1, "maxLength": 3}, True),
    "a string or null": ({"type": ["string", "null"], "minLength": 2}, True),
    "a string without control characters": ({"type": "string", "pattern": CONTROL}, True),
    "a string with an anchored pattern": ({"type": "string", "pattern": "^[A-Z]{3}(-[0-9]+)?$"}, True),
    "a string with an unanchored pattern": ({"type": "string", "pattern": "x.y"}, True),
    "a string with a pattern with a class": ({"type": "string", "pattern": "^\\d+$"}, True),
    "a string with a pattern beyond ASCII": ({"type": "string", "pattern": "^[ä-ü]$"}, False),
    "a date": ({"type": "string", "format": "date"}, True),
    "a time": ({"type": "string", "format": "date-time"}, True),
    "an address": ({"type": "string", "format": "ipv4"}, False),
    "a string of an enum": ({"enum": ["EUR", "DE", "shipped"]}, True),
    "a string of an enum, or null": ({"type": ["string", "null"], "enum": ["EUR", "x"]}, True),
    "one of some numbers": ({"type": "integer", "enum": [0, 1]}, True),
    "a whole number": ({"type": "integer"}, True),
    "a whole number within bounds": ({"type": "integer", "minimum": 0, "exclusiveMaximum": 1000000}, True),
    "a whole number within wide bounds": ({"type": "integer", "minimum": -(10**30), "maximum": 2**62}, False),
    "a whole number above a large one": ({"type": "integer", "minimum": 2**60}, False),
    "a number up to what no float is": ({"type": "number", "maximum": 2**53 + 3}, False),
    "a string with a pattern of many characters": ({"type": "string", "pattern": "^.{0,2000}$"}, False),
    "a string with a pattern of many repeats": ({"type": "string", "pattern": "^(a{100}b){100}$"}, False),
    "a string with a named class": ({"type": "string", "pattern": "^[[:alpha:]]$"}, False),
    "a string with a possessive pattern": ({"type": "string", "pattern": "^A++$"}, False),
    "a string with a pattern of some repeats": ({"type": "string", "pattern": "^[A-Z]{1,3}(-[0-9]{1,4})*?$"}, True),
    "null in words": ({"type": ["string", "null"], "enum": [None]}, False),
    "a string with a default": ({"type": "string", "default": "x"}, True),
    "an object with a quoted name": (
        {"type": "object", "additionalProperties": False, "properties": {'a"b': {"type": "string"}}},
        False,
    ),
    "a whole number with a fractional bound": ({"type": "integer", "minimum": 0.5}, False),
    "a number": ({"type": "number"}, True),
    "a number within bounds": ({"type": "number", "exclusiveMinimum": 0, "maximum": 10**9}, True),
    "a decimal": ({"type": "number", "decimal": [16, 4]}, True),
    "a decimal without decimals": ({"type": "number", "decimal": [10, 0]}, True),
    "a decimal of many digits": ({"type": "number", "decimal": [38, 10]}, True),
    "a decimal with bounds of its own": ({"type": ["number", "null"], "decimal": [12, 3], "minimum": 0}, True),
    "true or false": ({"type": "boolean"}, True),
    "strings": ({"type": "array", "items": {"type": "string", "pattern": "^[a-z]*$"}, "maxItems": 2}, True),
    "arrays of decimals": (
        {"type": "array", "items": {"type": "array", "items": {"type": "number", "decimal": [5, 2]}}},
        True,
    ),
    "objects of which others may be had": ({"type": "object", "properties": {"y": {"type": "string"}}}, False),
    "a choice": ({"type": "string", "anyOf": [{"minLength": 2}, {"maxLength": 0}]}, False),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_only_valid_records_are_kept_for_any_schema(name: str, tmp_path: Path) -> None:
    schema, is_typed = SCHEMAS[name]
    contract = contract_of(schema)
    plan = plan_of_version(contract.current)
    assert not plan.is_untyped, "only the part that is not understood is untyped"
    assert plan.members["x"].is_untyped is not is_typed
    nested = [[value] for value in CLOSE_CALLS] + [[[value]] for value in CLOSE_CALLS] + [{"y": v} for v in CLOSE_CALLS]
    strings = [
        "ABC",
        "ABC-1",
        "ABC-",
        "x\ny",
        "xzy",
        "x\x85y",
        "12",
        "٣",
        "ö",
        "2024-02-29",
        "2023-02-29",
        "1.2.3.4",
        "xx",
    ]
    values = [*CLOSE_CALLS, *nested, *strings, 12.25, 99999.99, 999.994, 2**62, 2**62 + 1, -(2**63)]
    records = [orjson.loads(json.dumps({"x": value})) for value in values]
    held = [record for record in records if not _beyond_bigint(record["x"])]
    valid = [
        number for number, record in enumerate(held) if schema_validator(contract, contract.current).is_valid(record)
    ]
    data = b"".join(json.dumps(record).encode() + b"\n" for record in held)
    if schema.get("format") == "date-time":  # valid for the format, but not a TIMESTAMP
        valid = [number for number in valid if not re.search(":60|z$|[.][0-9]{6}[0-9]*[1-9]", str(held[number]["x"]))]
    assert kept(data, tmp_path, contract) == valid


def _beyond_bigint(value: Any) -> bool:
    """Whether a number exceeds the range of its column. DuckDB can't convert it even if the schema accepts it."""
    return isinstance(value, int | float) and abs(value) >= 2**63


@pytest.mark.parametrize(
    "text",
    [
        *(b'{"x":"\\u0007"}', b'{"x":"\\u000B"}', b'{"x":"\\b"}', b'{"x":"\\f"}', b'{"x":"\x7f"}', b'{"x":"\\u007F"}'),
        *(b'{"x":"\\\\u0007"}', b'{"x":"\\\\b"}', b'{"x":"\\t\\n\\r"}', b'{"x":"\\u0080"}', b'{"\\u0078":"a\\u0000"}'),
        *(b'{"x":"\\ud83d\\ude00"}', b'{"x":"a","x":"\\u0001"}', b'{"x":"\\u0001","x":"a"}', b'{"x":"\\/\\""}'),
    ],
)
def test_a_control_character_is_found_in_any_spelling(text: bytes, tmp_path: Path) -> None:
    contract = contract_of({"type": "string", "pattern": CONTROL})
    expected = [1] if schema_validator(contract, contract.current).is_valid(orjson.loads(text)) else []
    assert [n for n in kept(b'{"x":"-"}\n' + text + b"\n", tmp_path, contract) if n] == expected


@pytest.mark.parametrize(
    "text",
    [
        *(b'{"x":"\xff"}', b'{"x":"\xed\xa0\x80"}', b'{"x":"\\ud800"}', b'{"x":NaN}', b'{"x":1e400}', b'{"x":01}'),
        *(b'{"x":"a",}', b'{"x":"a"}{}', b'\xef\xbb\xbf{"x":"a"}', b'{"x":"a"}\0', b'{"x":"\x01"}', b"[]", b'{"y":1}'),
        *(b'{"x":"\\x"}', b"{'x':1}", b'{"x":"a" "y":1}', b"null", b'{"x":.5}', b'{"x":"\\u12g4"}', b""),
    ],
)
def test_the_fast_decoder_refuses_what_the_parser_refuses(text: bytes) -> None:
    fast_decoder = fast_decoder_of(contract_of({"type": "string"}).current)
    assert fast_decoder
    assert not fast_decoder.read([text])


# --- and rarely needs the exact validator -----------------------------------------------------------------------------


def validated_exactly(data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of records of a file that go to the exact validator."""
    validated = []
    real = RecordValidator.verdict
    monkeypatch.setattr(RecordValidator, "verdict", lambda self, raw: validated.append(raw) or real(self, raw))
    validate(data, folder)
    return len(validated)


def test_no_northwind_record_needs_the_exact_validator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert validated_exactly(NORTHWIND.read_bytes(), tmp_path, monkeypatch) == 0


def test_only_bad_generated_orders_need_the_exact_validator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list(generate(len(DEFECTS) * 20, seed=3, invalid_ratio=0.2))
    bad = sum(defect is not None for _, defect in made)
    assert 0 < validated_exactly(b"".join(line.rstrip() + b"\n" for line, _ in made), tmp_path, monkeypatch) <= bad


def test_an_amount_with_more_digits_than_a_float_keeps_is_validated_exactly_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = order(items=[item(unit_price=999_999_999_999, quantity=1, discount=0)], shipping_cost=0)
    large["total_amount"] = 999_999_999_999
    assert validated_exactly(lines([order(), large, order()]), tmp_path, monkeypatch) == 1
    with duckdb.connect() as connection:
        query = f"SELECT _kept, total_amount FROM read_parquet('{tmp_path}/records.parquet') ORDER BY _position"
        rows = connection.execute(query).fetchall()
    assert [is_kept for is_kept, _ in rows] == [True, True, True]
    assert rows[1][1] == 999_999_999_999


# --- rejects found later contain the original record ------------------------------------------------------------------


def test_a_reject_found_by_sql_keeps_the_original_bytes(tmp_path: Path) -> None:
    inexact = b'{"order_id": "1", ' + lines([order()])[len(b'{"order_id":"10248",') :].replace(b"32.38", b"32.380010")
    validate(lines([order()]) + inexact, tmp_path)
    (reject,) = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    assert inexact.strip() in reject
    assert orjson.loads(reject)["reason"] == "not_an_exact_decimal"


def test_a_rule_whose_sql_fails_on_a_valid_record_rejects_it(tmp_path: Path) -> None:
    large = order(customer=customer(name="no number"), shipping_cost=0, total_amount=999_999_999_999)
    rule = Rule("fails", "/customer/name", "CAST(customer.name AS INTEGER) > 0", "must be a number")
    good = order(customer=customer(name="7"))
    counts = validate(lines([large, good, order()]), tmp_path, contract=replace(CONTRACT, rules=(rule,)))
    assert (counts["valid"], counts["rejected_by_reason"]) == (1, {"fails": 2})


def test_rules_are_not_evaluated_for_a_record_that_breaks_the_schema(tmp_path: Path) -> None:
    rule = Rule("year", "/order_date", "CAST(strftime(order_date, '%Y') AS INTEGER) > 0", "must be a year")
    counts = validate(
        lines([order(order_date="yesterday"), order()]), tmp_path, contract=replace(CONTRACT, rules=(rule,))
    )
    assert counts["rejected_by_reason"] == {"bad_format": 1}


@pytest.mark.parametrize(("precision", "scale"), [(16, 4), (18, 4), (38, 10), (38, 18), (20, 15)])
def test_every_digit_of_a_large_decimal_is_kept(precision: int, scale: int, tmp_path: Path) -> None:
    contract = contract_of({"type": "number", "decimal": [precision, scale]})
    digits = "123456789012345"
    numbers = [f"{digits[:n]}.{digits[n:]}".rstrip(".") for n in range(1, 16)]
    numbers += ["0.1", "1.1", "1.000000000000001", "-999999999999.999", "0." + digits, "9" * 15 + ".0", "7" * 18, "0"]
    records = [text for text in numbers if is_decimal(orjson.loads(text), precision, scale)]
    assert len(records) > 3
    data = b"".join(b'{"x":%b}\n' % text.encode() for text in records)
    assert kept(data, tmp_path, contract) == [*range(len(records))]
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT x FROM read_parquet('{tmp_path}/records.parquet')").fetchall()
    assert [row[0] for row in rows] == [Decimal(text) for text in records]


def test_a_record_whose_derived_column_fails_is_rejected(tmp_path: Path) -> None:
    large = order(customer=customer(name="no number"), shipping_cost=0, total_amount=999_999_999_999)
    derived = (Derived("number", "CAST(customer.name AS INTEGER)"),)
    contract = replace(WITHOUT_RULES, derived=derived, tables=())
    for bad in (order(), large):
        counts = validate(lines([bad, order(customer=customer(name="7"))]), tmp_path, contract=contract)
        assert (counts["valid"], counts["rejected_by_reason"]) == (1, {"does_not_fit": 1})


def test_derived_columns_are_not_computed_for_a_record_that_breaks_the_schema(tmp_path: Path) -> None:
    derived = (Derived("year", "CAST(strftime(order_date, '%Y') AS INTEGER) // (len(items) - 1)"),)
    rule = Rule("late", "/order_date", "year > 1990", "must be late")
    contract = replace(CONTRACT, derived=(*CONTRACT.derived, *derived), rules=(rule,))
    both = order(items=[item(), item(line_number=2)])
    counts = validate(lines([order(order_date="yesterday"), both]), tmp_path, contract=contract)
    assert counts["rejected_by_reason"] == {"bad_format": 1}


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1e300", "9223372036854775807.0e3"])
def test_a_whole_number_beyond_64_bits_is_one_reject(number: str, tmp_path: Path) -> None:
    contract = contract_of(bounded({"type": "integer"}))
    data = b'{"x":9223372036854775807}\n{"x":-9223372036854775808}\n{"x":%b}\n' % number.encode()
    assert kept(data, tmp_path, contract) == [0, 1]
    (reject,) = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    assert orjson.loads(reject)["reason"] == "out_of_range"
    assert fast_decoder_of(contract.current), "bounds of 64 bits keep no schema from the fast path"


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_a_number_of_hundreds_of_digits_is_one_reject(kind: str, tmp_path: Path) -> None:
    data = b'{"x":1}\n{"x":%s}\n{"x":2}\n' % (b"1" * 400)
    contract = contract_of({"type": kind})
    assert kept(data, tmp_path, contract) == [0, 2]
    (reject,) = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    assert orjson.loads(reject)["reason"] == "non_finite_number"


def test_a_schema_with_impossible_requirements_uses_the_exact_validator() -> None:
    """The exact validator reports it, where the fast decoder would raise a TypeError."""
    version = CONTRACT.current
    assert fast_decoder_of(replace(version, schema={**version.schema, "required": [[]]})) is None
