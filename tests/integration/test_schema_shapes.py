"""Shapes of schemas that producers use: fast path, exact validator and reference agree, and no value changes."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema
import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.contract import Contract
from functions.common.record_types import is_decimal, is_decimal_string
from functions.common.source.raw import RawRecord
from functions.validate.contract_sql.predicates import surely_valid
from functions.validate.fast_decoder import fast_decoder_of, plan_of_version
from functions.validate.json_values import refusals_in
from functions.validate.record_validator import RecordValidator
from tests.unit.orders import contract_of_records
from tests.unit.steps import LIMITS
from tests.unit.test_fast_decoder import kept

STRING, WHOLE = {"type": "string"}, {"type": "integer"}
MONEY = {"type": "string", "decimal": [15, 2]}
ADDRESS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["city"],
    "properties": {"city": STRING, "zip": {"anyOf": [STRING, {"type": "null"}]}},
}
CARD = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "number"],
    "properties": {"kind": {"const": "card"}, "number": STRING, "amount": {"type": "number", "decimal": [9, 2]}},
}
CASH = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {"kind": {"const": "cash"}, "drawer": WHOLE, "amount": {"type": "number", "decimal": [9, 3]}},
}
DEFS = {"address": ADDRESS, "card": CARD, "cash": CASH, "money": MONEY, "free": {"type": "object"}}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


SHAPES: dict[str, tuple[dict[str, Any], bool]] = {
    # schema, whether the fast path reads it into a type
    "a decimal in a string": (MONEY, True),
    "a decimal in a string or null": ({"type": ["string", "null"], "decimal": [5, 2]}, True),
    "epoch seconds": ({"type": "integer", "format": "epoch-seconds"}, True),
    "epoch milliseconds or null": ({"type": ["integer", "null"], "format": "epoch-millis"}, True),
    "epoch seconds within bounds": ({"type": "integer", "format": "epoch-seconds", "minimum": 0}, True),
    "a free object": ({"type": "object"}, False),
    "a free object or null": ({"type": ["object", "null"]}, False),
    "anything": ({}, False),
    "a map": ({"type": "object", "additionalProperties": WHOLE}, False),
    "a map of decimals": ({"type": "object", "additionalProperties": ref("money")}, False),
    "named members and others": (
        {"type": "object", "properties": {"city": STRING}, "additionalProperties": WHOLE},
        False,
    ),
    "an array of anything": ({"type": "array"}, False),
    "an array of free objects": ({"type": "array", "items": ref("free"), "maxItems": 2}, True),
    "a string or a number": ({"type": ["string", "number"]}, False),
    "a tuple": ({"type": "array", "prefixItems": [STRING, WHOLE], "items": False}, False),
    "always null": ({"type": "null"}, True),
    "always an empty array": ({"type": "array", "maxItems": 0}, False),
    "always an empty object": ({"type": "object", "additionalProperties": False}, False),
    "X or null by anyOf": ({"anyOf": [WHOLE, {"type": "null"}]}, True),
    "X or null by oneOf": ({"oneOf": [{"type": "null"}, WHOLE]}, True),
    "null twice by oneOf": ({"oneOf": [{"type": "null"}, {"type": ["integer", "null"]}]}, False),
    "a reference or null": ({"anyOf": [ref("address"), {"type": "null"}]}, True),
    "a reference in allOf": ({"allOf": [ref("address")]}, True),
    "a reference in allOf, described": ({"allOf": [ref("money")], "description": "an amount"}, True),
    "a reference next to a nullable type": ({**ref("address"), "type": ["object", "null"]}, True),
    "a reference and null in allOf": ({"allOf": [{"anyOf": [ref("money"), {"type": "null"}]}]}, True),
    "an enumeration or null": ({"anyOf": [{"enum": ["cash", "card"]}, {"type": "null"}]}, True),
    "a constant": ({"const": "cash"}, True),
    "a constant of a nullable type": ({"type": ["integer", "null"], "const": 1}, True),
    "a constant or null": ({"anyOf": [{"const": 1}, {"type": "null"}]}, True),
    "bounds in two places": ({"allOf": [{"type": "integer", "minimum": 0}, {"maximum": 10}]}, True),
    "bounds that contradict": ({"allOf": [{"type": "integer"}, {"type": "string"}]}, False),
    "two closed objects": ({"allOf": [ref("card"), ref("cash")]}, False),
    "one of two forms": ({"oneOf": [ref("card"), ref("cash")]}, True),
    "one of two forms, by anyOf": ({"anyOf": [ref("card"), ref("cash")], "type": "object"}, True),
    "one of two forms or null": ({"oneOf": [ref("card"), ref("cash"), {"type": "null"}]}, True),
    "forms or null, apart": ({"anyOf": [{"oneOf": [ref("card"), ref("cash")]}, {"type": "null"}]}, True),
    "an array of forms": ({"type": "array", "items": {"oneOf": [ref("card"), ref("cash")]}}, True),
    "forms with a common part": (
        {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"enum": ["a", "b"]}, "city": STRING},
            "oneOf": [
                {"properties": {"kind": {"const": "a"}, "n": WHOLE}, "required": ["n"]},
                {"properties": {"kind": {"const": "b"}, "number": STRING}},
            ],
            "unevaluatedProperties": False,
        },
        True,
    ),
    "forms with members of two types": (
        {
            "oneOf": [
                {**CASH, "properties": {**CASH["properties"], "number": WHOLE}},  # type: ignore[dict-item]
                CARD,
            ]
        },
        True,
    ),
    "forms without a tag": ({"anyOf": [ref("address"), ref("cash")]}, False),
    "a condition": (
        {
            **CASH,
            "if": {"properties": {"drawer": {"const": 1}}, "required": ["drawer"]},
            "then": {"required": ["amount"]},
        },
        True,
    ),
    "unique elements": ({"type": "array", "items": STRING, "uniqueItems": True}, True),
    "an open object": ({"type": "object", "properties": {"city": STRING}}, False),
    "some number of members": ({**ADDRESS, "minProperties": 2}, False),
    "a whole number that divides": ({"type": "integer", "multipleOf": 5}, False),
    "an address": ({"type": "string", "format": "ipv4"}, False),
}


@cache
def contract_of_x(name: str) -> Contract:
    """A contract of records with a property `x` of a shape."""
    schema = {"type": "object", "additionalProperties": False, "required": ["n"], "$defs": DEFS}
    return contract_of_records({**schema, "properties": {"n": WHOLE, "x": SHAPES[name][0]}})


def _decimal(_validator: Any, value: list[int], instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    is_number = isinstance(instance, int | float | Decimal) and not isinstance(instance, bool)
    is_string = isinstance(instance, str) and "string" in schema.get("type", [])
    if (is_number and not is_decimal(instance, *value)) or (is_string and not is_decimal_string(instance, *value)):
        yield jsonschema.ValidationError("is not exact")


Reference = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"decimal": _decimal})


@cache
def reference(name: str) -> Any:
    return Reference(contract_of_x(name).current.schema, format_checker=jsonschema.FormatChecker(["ipv4"]))


NUMBERS = [0, 1, -1, 5, 7, 1.0, 0.5, 1.25, 1.005, 12.345, 1e15, 1e16, 1e22, 2**53 + 1, 2**63 - 1, 2**64, -(10**30)]
STRINGS = [
    "",
    "card",
    "cash",
    "a",
    "199.00",
    "-1.5",
    "+3",
    ".5",
    "5.",
    "1.005",
    "1e3",
    " 1",
    "1,5",
    "1" * 14,
    "\0",
    "é",
]
scalars = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.sampled_from(STRINGS) | st.text()
names = st.sampled_from(["kind", "city", "zip", "number", "drawer", "amount", "n", "a\0", "b"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=5
)
MONEYS = st.decimals(-(10**14), 10**14, places=3).map(str)
forms = st.fixed_dictionaries(
    {"kind": st.sampled_from(["card", "cash", "a", "b"])},
    optional={
        "number": st.text(max_size=3) | st.integers(0, 9),
        "drawer": st.integers(0, 2),
        "amount": st.sampled_from([1, 1.5, 1.25, 1.125, None]),
        "n": st.integers(0, 2),
        "city": st.text(max_size=3),
    },
)
addresses = st.fixed_dictionaries({"city": st.text(max_size=3)}, optional={"zip": st.none() | st.text(max_size=3)})
plausible = st.one_of(values, forms, st.lists(forms, max_size=2), addresses, st.lists(st.text(max_size=1)), MONEYS)


def record_of(value: Any) -> tuple[bytes, Any]:
    """A record with a value, as JSON, and as it is parsed."""
    text = json.dumps({"n": 1, "x": value}).encode()
    return text, orjson.loads(text) if not _is_large(value) else json.loads(text)


def _is_large(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return (isinstance(value, int) and abs(value) >= 2**63) or any(map(_is_large, inner))


def is_valid(name: str, record: Any) -> bool:
    """Whether a record keeps its schema by the reference, and nothing that becomes JSON is refused."""
    contract = contract_of_x(name)
    plan = plan_of_version(contract.current)
    return bool(reference(name).is_valid(record)) and not list(refusals_in(record, plan.column))


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=60, deadline=None)
@given(plausible)
def test_fast_path_and_exact_validator_agree_with_the_reference(name: str, value: Any) -> None:
    contract = contract_of_x(name)
    text, record = record_of(value)
    expected = is_valid(name, record)
    verdict = RecordValidator(contract, LIMITS).verdict(RawRecord(0, text, len(text)))
    assert (not verdict.reasons) is expected, verdict.reasons
    decoder = fast_decoder_of(contract.current, LIMITS.max_nesting)
    assert decoder
    decoded = decoder.read([text])
    if decoded is not None and not _is_left_to_sql(name):
        assert expected, "the fast path is laxer than the schema"
    if decoded is not None and expected:
        assert msgspec.json.decode(msgspec.json.encode(decoded[0])) == orjson.loads(verdict.written)


def _is_left_to_sql(name: str) -> bool:
    return surely_valid(plan_of_version(contract_of_x(name).current)) != "true"


@pytest.mark.parametrize("name", [name for name in SHAPES if _is_left_to_sql(name)])
@settings(max_examples=4, deadline=None)
@given(found=st.lists(plausible, min_size=20, max_size=60))
def test_sql_keeps_what_the_reference_accepts(
    name: str, found: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    records = [record_of(value) for value in found]
    expected = [number for number, (_, record) in enumerate(records) if is_valid(name, record)]
    data = b"".join(text + b"\n" for text, _ in records)
    assert kept(data, tmp_path_factory.mktemp("t"), contract_of_x(name)) == expected


@pytest.mark.parametrize("name", SHAPES)
def test_what_the_fast_path_reads_into_a_type(name: str) -> None:
    plan = plan_of_version(contract_of_x(name).current)
    assert not plan.is_untyped
    assert plan.members["x"].is_untyped is not SHAPES[name][1]
