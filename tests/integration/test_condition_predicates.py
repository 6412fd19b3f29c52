"""Conditions of a schema that SQL tests on the fast path mean what they mean to the reference validator."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.common.schema_merging import CONDITIONS
from functions.validate.fast_decoder import plan_of_version
from functions.validate.record_validator import RecordValidator
from tests.unit.orders import contract_of_records
from tests.unit.test_fast_decoder import kept

PART = {"type": ["object", "null"], "additionalProperties": False, "properties": {"k": {"type": "string"}}}
PROPERTIES = {
    "kind": {"type": "string"},
    "n": {"type": ["integer", "null"]},
    "ok": {"type": "boolean"},
    "part": PART,
}
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["kind"], "properties": PROPERTIES}
VALUES: dict[str, list[Any]] = {
    "kind": ["a", "b"],
    "n": [..., None, 1, 5],
    "ok": [..., True, False],
    "part": [..., None, {}, {"k": "a"}, {"k": "b"}],
}
RECORDS = [
    {name: value for name, value in zip(VALUES, values, strict=True) if value is not ...}
    for values in product(*VALUES.values())
]

leaves = st.sampled_from(
    [
        {"properties": {"kind": {"const": "b"}}},
        {"properties": {"kind": {"enum": ["a", None]}}, "required": ["kind"]},
        {"properties": {"n": {"type": "integer", "minimum": 2}}},
        {"properties": {"n": {"type": "null"}}},
        {"properties": {"n": {"const": 1}}, "required": ["n"]},
        {"properties": {"n": {"exclusiveMaximum": 5}}},
        {"properties": {"ok": {"const": True}}},
        {"properties": {"part": {"required": ["k"], "properties": {"k": {"const": "b"}}}}},
        {"properties": {"part": {"type": "object"}}, "required": ["part"]},
        {"required": ["n"]},
        {"required": ["ok", "part"]},
        {"properties": {"kind": True, "n": True}, "additionalProperties": False},
        {"type": "object"},
        {"$ref": "#/$defs/b"},
        True,
        False,
    ]
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda one: {"not": one}, inner),
        st.builds(lambda one, two, other: {"if": one, "then": two, "else": other}, inner, inner, inner),
        st.builds(lambda one, two: {"if": one, "then": two}, inner, inner),
        st.builds(
            lambda name, several: {name: several},
            st.sampled_from(["allOf", "anyOf", "oneOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=5,
)


def accepts_nothing(condition: Any) -> bool:
    """Whether a part has only false as its alternatives, for which a contract is refused."""
    if not isinstance(condition, dict):
        return False
    alternatives = [condition[name] for name in ("anyOf", "oneOf") if name in condition]
    return any(all(one is False for one in ones) for ones in alternatives) or any(
        accepts_nothing(inner) for one in condition.values() for inner in (one if isinstance(one, list) else [one])
    )


@settings(max_examples=40, deadline=None)
@example(condition={"oneOf": [True, True]})
@example(condition={"properties": {"n": {"const": 1}}, "required": ["n"]})
@given(condition=conditions.filter(lambda one: isinstance(one, dict) and not accepts_nothing(one)))
def test_sql_keeps_what_the_reference_accepts(
    condition: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    schema = {**SCHEMA, "$defs": {"b": {"properties": {"kind": {"const": "b"}}}}, "allOf": [condition]}
    reference = jsonschema.Draft202012Validator(schema)
    expected = [number for number, record in enumerate(RECORDS) if reference.is_valid(record)]
    data = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
    assert kept(data, tmp_path_factory.mktemp("t"), contract_of_records(schema)) == expected


COMMON: dict[str, dict[str, Any]] = {
    "if a kind, then a field": {"if": {"properties": {"kind": {"const": "b"}}}, "then": {"required": ["n"]}},
    "one field or another": {"anyOf": [{"required": ["n"]}, {"required": ["ok"]}]},
    "a field unless a kind": {"if": {"not": {"properties": {"kind": {"const": "b"}}}}, "then": {"required": ["ok"]}},
}


@pytest.mark.parametrize("name", COMMON)
def test_common_conditions_leave_few_records_to_the_exact_validator(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = contract_of_records({**SCHEMA, **COMMON[name]})
    plan = plan_of_version(contract.current)
    assert CONDITIONS in plan.shape.part
    assert not plan.is_untyped
    validated = list[Any]()
    verdict = RecordValidator.verdict

    def counting(validator: RecordValidator, raw: Any) -> Any:
        validated.append(raw)
        return verdict(validator, raw)

    monkeypatch.setattr(RecordValidator, "verdict", counting)
    records = [{"kind": "b", "n": 1, "ok": True}, {"kind": "a", "ok": False}] * 50
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    assert len(kept(data, tmp_path, contract)) == 100
    assert not validated
