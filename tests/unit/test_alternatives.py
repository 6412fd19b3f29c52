"""A reject of a value with alternatives (`anyOf`, `oneOf`) explains the one that was meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.common.contract import load_contract
from tests.unit.steps import publish
from tests.unit.test_unfit_records import STRING, WHOLE, contract_of, lines


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "additionalProperties": False, "required": [*properties], "properties": properties,
    }  # fmt: skip


def form(kind: str, **more: Any) -> dict[str, Any]:
    return closed(id=STRING, kind={"type": "string", "const": kind}, **more)


CUSTOMER = closed(number={**WHOLE, "description": "a whole number"})
NESTED: dict[str, Any] = {
    "customer": {"anyOf": [CUSTOMER, {"type": "null"}]},
    "method": {"oneOf": [closed(by={"type": "string", "const": kind}, **{kind: WHOLE}) for kind in ("card", "debit")]},
    "amount": {"anyOf": [WHOLE, closed(int32=STRING), closed(int64=STRING)], "description": "an amount"},
}
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a member of a nullable object": ({"customer": {"number": "7"}}, "wrong_type", "/customer/number must be a whole"),
    "a member that is missing in it": ({"customer": {}}, "missing_field", "/customer/number is missing"),
    "another type than an object or null": (
        {"customer": "x"}, "wrong_type", "/customer must be an object or null; found a string",
    ),
    "a member of the selected form": ({"method": {"by": "card", "card": "x"}}, "wrong_type", "/method/card must be"),
    "a form that doesn't exist": (
        {"method": {"by": "cash", "card": 1}},
        "not_an_allowed_value",
        "/method/by must be one of card, debit; found another string",
    ),
    "no form": ({"method": {"card": 1}}, "missing_field", "/method/by is missing; it must be one of card, debit"),
    "a member of another form": (
        {"method": {"by": "card", "card": 1, "debit": 1}},
        "unknown_field",
        "/method/debit is a field of another form of this object",
    ),
    "a value of one of two objects": ({"amount": {"int64": 5}}, "wrong_type", "/amount/int64 must be a string"),
    "nothing like any alternative": ({"amount": {"int16": "5"}}, "breaks_schema", "/amount must be an amount"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_reject_explains_the_meant_alternative(name: str, tmp_path: Path) -> None:
    record, code, sentence = CASES[name]
    contract = contract_of(tmp_path, NESTED, {}, "SELECT _position, id FROM records", optional=(*NESTED,))
    result = publish(lines({}, record), tmp_path, contract=contract)
    (reject,) = result.rejects()
    (error,) = reject["errors"]
    assert (error["code"], error["message"][: len(sentence)]) == (code, sentence)


@pytest.mark.parametrize(
    ("record", "code", "sentence"),
    [
        ({"kind": "click", "button": 1}, "wrong_type", "/button must be a string"),
        ({"kind": "click"}, "missing_field", "/button is missing"),
        ({"kind": "tap"}, "not_an_allowed_value", "/kind must be one of click, scroll; found another string"),
        ({"kind": None}, "not_an_allowed_value", "/kind must be one of click, scroll; found null"),
        ({}, "missing_field", "/kind is missing; it must be one of click, scroll"),
        ({"kind": "scroll", "depth": 1, "button": "x"}, "unknown_field", "/button is a field of another form of the"),
    ],
)
def test_a_reject_of_a_polymorphic_record_explains_its_kind(
    record: dict[str, Any], code: str, sentence: str, tmp_path: Path
) -> None:
    contract_of(tmp_path, {"kind": STRING}, {"kind": "VARCHAR"})
    path = tmp_path / "contracts" / "d" / "v1.schema.json"
    path.write_text(json.dumps({"oneOf": [form("click", button=STRING), form("scroll", depth=WHOLE)]}), "utf-8")
    load_contract.cache_clear()
    contract = load_contract("d", path.parents[1])
    result = publish(lines({"kind": "scroll", "depth": 1}, record), tmp_path, contract=contract)
    (reject,) = result.rejects()
    (error,) = reject["errors"]
    assert (error["code"], error["message"][: len(sentence)]) == (code, sentence)
