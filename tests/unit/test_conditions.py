"""Schemas with conditions: each keyword that applies a schema means the same as in the reference validator."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.compiled_schema import schema_validator
from functions.common.contract import Contract, Version, load_contract
from functions.common.schema_parts import conditions, describing, parts
from functions.validate.messages import broken_schema
from pipeline.contract.fault import line_at
from pipeline.contract.schemas import schema_faults

BASE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "examples": ["a"]},
        "kind": {"type": "string", "examples": ["b"]},
        "n": {"type": ["integer", "null"], "examples": [7]},
        "x": {"type": "number", "examples": [1.5]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "part": {"$ref": "#/$defs/part"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
    },
    "$defs": {
        "part": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"k": {"type": "string"}, "m": {"type": "integer"}},
        }
    },
    "examples": [{"id": "a"}],
}
CONTRACT = {
    "dataset": "d",
    "current_version": 1,
    "envelope": "d",
    "record_table": "t",
    "tables": [{"name": "t", "key": ["id"], "columns": [{"name": "id", "type": "VARCHAR"}]}],
}
IS_B = {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}
APPLIED: dict[str, dict[str, Any]] = {
    "if-then": {"if": IS_B, "then": {"required": ["n"]}},
    "if-else": {"if": IS_B, "else": {"required": ["n"], "properties": {"n": {"type": "integer"}}}},
    "if-then-inner": {
        "if": IS_B,
        "then": {"properties": {"part": {"required": ["k"], "properties": {"k": {"const": "b"}}}}},
    },
    "not": {"not": {"properties": {"kind": {"const": "b"}, "n": {"type": "integer"}}, "required": ["kind", "n"]}},
    "not-integer": {"not": {"properties": {"x": {"type": "integer"}}, "required": ["x"]}},
    "anyOf": {"anyOf": [IS_B, {"properties": {"n": {"minimum": 5}}, "required": ["n"]}]},
    "oneOf": {"oneOf": [IS_B, {"required": ["n"], "properties": {"x": {"type": "integer"}}}]},
    "allOf": {"allOf": [{"if": IS_B, "then": {"required": ["part"]}}, {"properties": {"x": {"exclusiveMinimum": 1}}}]},
    "contains": {"properties": {"parts": {"contains": {"properties": {"m": {"type": "integer"}}, "required": ["m"]}}}},
    "dependentSchemas": {"dependentSchemas": {"n": {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}}},
    "propertyNames": {"propertyNames": {"maxLength": 5}},
    "ref": {
        "if": {"properties": {"part": {"$ref": "#/$defs/part"}}, "required": ["part"]},
        "then": {"required": ["n"]},
    },
    "ref-not": {"not": {"properties": {"x": {"$ref": "#/$defs/part/properties/m"}}, "required": ["x"]}},
    "dependentRequired": {"dependentRequired": {"n": ["kind"]}},
}


def schema_with(applied: dict[str, Any]) -> dict[str, Any]:
    """The base schema with a condition next to its keywords; those for `parts` are merged into `parts`."""
    schema = deepcopy(BASE)
    inner = applied.get("properties", {})
    for name, more in inner.items():
        schema["properties"][name] |= more
    return schema | {name: value for name, value in applied.items() if name != "properties"}


def contract_with(schema: dict[str, Any], folder: Path) -> Contract:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.json").write_text(json.dumps(CONTRACT), "utf-8")
    (folder / "v1.schema.json").write_text(json.dumps(schema, indent=1), "utf-8")
    (folder / "t.sql").write_text("SELECT _position, id FROM records", "utf-8")
    load_contract.cache_clear()
    return load_contract(folder.name, folder.parent)


WHOLE = st.sampled_from([0, 4, 5, 7, 2**63 - 1, 2**63, -(10**20), 10**30])
NUMBERS = WHOLE | st.sampled_from([1.5, 0.5, 3.0, 1e19])
PART = st.fixed_dictionaries({}, optional={"k": st.sampled_from(["b", "c"]), "m": WHOLE, "unknown": st.just(1)})
RECORDS = st.fixed_dictionaries(
    {"id": st.just("a")},
    optional={
        "kind": st.sampled_from(["a", "b"]),
        "n": WHOLE | st.none(),
        "x": NUMBERS,
        "tags": st.lists(st.just("t"), max_size=2),
        "part": PART,
        "parts": st.lists(PART, max_size=2),
        "unknown": st.just(1),
    },
).map(lambda record: orjson.loads(json.dumps(record)))


def out_of_64_bits(record: Any) -> bool:
    """Whether a whole number of the record does not fit into its column."""
    whole = [record.get("n"), record.get("part", {}).get("m"), *(part.get("m") for part in record.get("parts", []))]
    return any(number is not None and not -(2**63) <= number < 2**63 for number in whole)


@pytest.fixture
def conditional(name: str, tmp_path: Path) -> Contract:
    """A contract with the condition of this name."""
    return contract_with(schema_with(APPLIED[name]), tmp_path / "d")


@pytest.mark.parametrize("name", APPLIED)
@settings(max_examples=60)
@given(record=RECORDS)
def test_a_condition_means_what_it_means_to_the_reference(name: str, record: Any, conditional: Contract) -> None:
    contract = conditional
    reference = jsonschema.Draft202012Validator(schema_with(APPLIED[name]))
    wanted = reference.is_valid(record) and not out_of_64_bits(record)
    validator = schema_validator(contract, contract.current)
    assert validator.is_valid(record) is wanted
    for reason in broken_schema(validator.iter_errors(record), contract, contract.current):
        assert reason.message.startswith(f"{reason.pointer or 'the record'} ")


def opened(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an author who left its objects open."""
    schema = deepcopy(schema)
    for _, part in parts(schema):
        part.pop("additionalProperties", None)  # type: ignore[attr-defined]
    return schema


@pytest.fixture
def before_and_after(name: str, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema of open objects, and the same schema after the advice of `contract check` was followed."""
    before = opened(schema_with(APPLIED[name]))
    folder = tmp_path / "d"
    contract = contract_with(before, folder)
    after = deepcopy(before)
    path = folder / "v1.schema.json"
    lines = [fault.line for fault in schema_faults(folder, contract)]
    for pointer, part in parts(after):
        if "properties" in part and line_at(path, pointer) in lines:
            part["additionalProperties"] = False  # type: ignore[index]
    left = [fault.says for fault in schema_faults(folder, contract_with(after, folder))]
    assert [says for says in left if "example violates" not in says] == []
    return before, after


@pytest.mark.parametrize(
    "name", [name for name in APPLIED if not name.startswith("ref")]
)  # see the next test for those
@settings(max_examples=30)
@given(record=RECORDS)
def test_advice_to_close_objects_affects_only_unknown_fields(
    record: Any, before_and_after: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    has_unknown = "unknown" in json.dumps(record)
    was, now = (jsonschema.Draft202012Validator(schema).is_valid(record) for schema in before_and_after)
    assert now is (was and not has_unknown)


def test_the_advice_for_a_definition_that_is_also_a_condition_is_to_copy_it(tmp_path: Path) -> None:
    schema = opened(schema_with(APPLIED["ref"])) | {"additionalProperties": False}
    (fault,) = schema_faults(tmp_path / "d", contract_with(schema, tmp_path / "d"))
    assert "their own definition" in fault.advice
    schema["$defs"]["asked"] = schema["$defs"]["part"]
    schema["$defs"]["part"] = BASE["$defs"]["part"]
    schema["if"]["properties"]["part"]["$ref"] = "#/$defs/asked"
    assert list(schema_faults(tmp_path / "d", contract_with(schema, tmp_path / "d"))) == []


@pytest.mark.parametrize("path", [["if"], ["if", "properties", "part"], ["anyOf", 0], ["not"], ["allOf", 0, "if"]])
def test_a_condition_that_was_closed_and_never_holds_is_found(path: list[Any], tmp_path: Path) -> None:
    """Earlier releases advised to close every schema that has properties."""
    condition: dict[str, Any] = {"properties": {"kind": {"const": "b"}, "part": {"properties": {"m": {"const": 1}}}}}
    applied: dict[str, Any] = {
        "if": {"if": condition, "then": {"required": ["n"]}},
        "anyOf": {"anyOf": [condition, {"required": ["n"]}]},
        "not": {"not": condition},
        "allOf": {"allOf": [{"if": condition, "then": {"required": ["n"]}}]},
    }[path[0]]
    schema = schema_with(applied)
    schema["$defs"]["part"]["required"] = ["k"]
    closed = schema
    for step in path:
        closed = closed[step]
    closed["additionalProperties"] = False
    faults = list(schema_faults(tmp_path / "d", contract_with(schema, tmp_path / "d")))
    assert [fault.says for fault in faults if "holds for no valid record" in fault.says]
    del closed["additionalProperties"]
    faults = list(schema_faults(tmp_path / "d", contract_with(schema, tmp_path / "d")))
    assert [fault.says for fault in faults if "holds for no valid record" in fault.says] == []


@pytest.mark.parametrize(
    ("pointer", "change", "says"),
    [
        ("/properties/n/type", {"type": "integer", "format": "epoch"}, "not checked for integer"),
        ("/properties/kind", {"type": None, "properties": {"k": {"type": "string"}}}, "has properties but no type"),
    ],
)
def test_a_schema_that_no_column_can_hold_is_reported(
    pointer: str, change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    schema = deepcopy(BASE)
    name = pointer.split("/")[2]
    changed = schema["properties"][name] | change
    schema["properties"][name] = {key: value for key, value in changed.items() if value is not None}
    faults = list(schema_faults(tmp_path / "d", contract_with(schema, tmp_path / "d")))
    assert any(says in fault.says for fault in faults), faults


def test_the_reason_of_a_condition_describes_the_field_as_the_record_has_it(tmp_path: Path) -> None:
    contract = contract_with(schema_with(APPLIED["if-then"]), tmp_path / "d")
    validator = schema_validator(contract, contract.current)
    (reason,) = broken_schema(validator.iter_errors({"id": "a", "kind": "b"}), contract, contract.current)
    assert reason.code == "missing_field"
    assert "/n is missing; it must be a whole number, for example 7" in reason.message


def test_a_part_of_a_schema_may_describe_records_be_a_condition_or_both() -> None:
    schema = schema_with(APPLIED["ref"])
    assert "/$defs/part" in describing(schema) & conditions(schema)
    assert "/if" in conditions(schema) - describing(schema)
    assert conditions(BASE) == set()
    assert conditions({"properties": {"not": {"type": "string"}, "if": {"type": "string"}}}) == set()


def test_versions_of_the_shipped_contracts_have_no_conditions() -> None:
    for version in load_contract("orders").versions:
        assert isinstance(version, Version)
        assert conditions(version.schema) == set(), "they are validated at full speed"
