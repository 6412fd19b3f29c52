"""Contracts that common producers need work as they are, or are refused at once with what to do."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from functions.common.contract import Contract, Version, load_contract
from functions.common.errors import ContractError
from functions.validate.record_validator import RecordValidator
from functions.validate.wrapped import wrapper_of
from pipeline import ROOT
from pipeline.contract.check import check, warnings
from pipeline.contract.documents import CONTRACT_SCHEMA
from tests.unit.steps import publish
from tests.unit.test_unfit_records import STRING, WHOLE, contract_of, lines

FOLDER = Path("contracts", "d")


def loaded_again(folder: Path, file: str, **changes: Any) -> Path:
    """The contract's folder after members of a JSON file in it were replaced."""
    path = folder / FOLDER / file
    data = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps(data, indent=1), "utf-8")
    load_contract.cache_clear()
    return folder / FOLDER


def with_examples(folder: Path, *examples: dict[str, Any]) -> Path:
    """The contract's folder with other examples in its schema."""
    return loaded_again(folder, "v1.schema.json", examples=list(examples))


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The records that the exact validator has validated."""
    found = list[Any]()
    verdict = RecordValidator.verdict

    def counting(validator: RecordValidator, raw: Any) -> Any:
        found.append(raw)
        return verdict(validator, raw)

    monkeypatch.setattr(RecordValidator, "verdict", counting)
    return found


def values(folder: Path, contract: Contract, *found: Any) -> list[Any]:
    """The values of the column `v` that are published for these values of the property `v`."""
    return [row["v"] for row in publish(lines(*({"v": one} for one in found)), folder, contract=contract).rows("t")]


def test_an_integer_column_over_an_unbounded_integer(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, {"v": WHOLE}, {"v": "INTEGER"})
    result = publish(lines(*({"v": n} for n in range(200)), {"v": 3_000_000_000}), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected_by_reason) == (200, {"does_not_fit": 1})
    folder = with_examples(tmp_path, {"id": "a", "v": 1})
    assert check(folder) == []
    assert any("t.v is INTEGER, which can't hold every BIGINT of /v" in one.says for one in warnings(folder))


def test_a_condition_over_a_constant(tmp_path: Path) -> None:
    contract_of(
        tmp_path,
        {"v": STRING, "w": WHOLE},
        {"v": "VARCHAR"},
        optional=("w",),
        select="SELECT _position, id, v FROM records",
    )
    applied = {"if": {"required": ["v"], "properties": {"v": {"const": "b"}}}, "then": {"required": ["w"]}}
    folder = loaded_again(tmp_path, "v1.schema.json", **applied, examples=[{"id": "a", "v": "b", "w": 1}])
    assert check(folder) == []
    contract = load_contract("d", folder.parent)
    result = publish(lines({"v": "a"}, {"v": "b"}, {"v": "b", "w": 1}), tmp_path, contract=contract)
    assert [row["v"] for row in result.rows("t")] == ["a", "b"]
    assert result.totals.rejected_by_reason == {"missing_field": 1}


def test_objects_repeated_under_one_key_without_latest_by(tmp_path: Path) -> None:
    table = {"name": "u", "key": ["c"], "columns": [{"name": "c", "type": "VARCHAR"}]}
    select = "SELECT _position, id FROM records"
    contract_of(tmp_path, {"v": STRING}, {}, select, more_tables=((table, "SELECT _position, v AS c FROM records"),))
    (fault,) = check(with_examples(tmp_path, {"id": "a", "v": "x"}))
    assert "latest_by" in fault.advice


def test_objects_repeated_under_a_computed_key_without_latest_by(tmp_path: Path) -> None:
    table = {"name": "u", "key": ["c"], "columns": [{"name": "c", "type": "VARCHAR"}]}
    select = "SELECT _position, id FROM records"
    more = ((table, "SELECT _position, upper(v) AS c FROM records"),)
    contract_of(tmp_path, {"v": STRING}, {}, select, more_tables=more)
    (fault,) = check(with_examples(tmp_path, {"id": "a", "v": "x"}))
    assert "two records of version 1 that differ only in their key" in fault.says
    assert "latest_by" in fault.advice


def test_a_reference_that_is_null_in_some_rows(tmp_path: Path) -> None:
    table = {"name": "u", "key": ["c"], "latest_by": ["c"], "columns": [{"name": "c", "type": "VARCHAR"}]}
    more = ((table, "SELECT _position, v AS c FROM records WHERE v IS NOT NULL"),)
    contract_of(tmp_path, {"v": {"type": ["string", "null"]}}, {"v": "VARCHAR"}, more_tables=more)
    path = tmp_path / FOLDER / "contract.json"
    tables = json.loads(path.read_text("utf-8"))["tables"]
    tables[0]["references"] = [{"columns": ["v"], "table": "u"}]
    folder = loaded_again(tmp_path, "contract.json", tables=tables)
    assert values(tmp_path, load_contract("d", folder.parent), "x", None) == ["x", None]
    assert check(with_examples(tmp_path, {"id": "a", "v": "x"}, {"id": "b", "v": None})) == []


def test_a_decimal_in_a_string(tmp_path: Path, validated: list[Any]) -> None:
    contract = contract_of(tmp_path, {"v": {"type": "string", "decimal": [15, 2]}}, {"v": "DECIMAL(15,2)"})
    assert values(tmp_path, contract, "199.00", "-0.1", "9999999999999.99") == list(
        map(Decimal, ("199.00", "-0.10", "9999999999999.99"))
    )
    assert not validated
    assert check(with_examples(tmp_path, {"id": "a", "v": "199.00"})) == []


def test_epoch_seconds(tmp_path: Path, validated: list[Any]) -> None:
    schema = {"type": ["integer", "null"], "format": "epoch-seconds"}
    contract = contract_of(tmp_path, {"v": schema}, {"v": "TIMESTAMP"})
    assert values(tmp_path, contract, 1767600000, None) == [datetime(2026, 1, 5, 8), None]
    assert not validated
    assert check(with_examples(tmp_path, {"id": "a", "v": 1767600000})) == []


ANYTHING: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "a free object": ({"type": "object"}, [{"a": [1, {"b": None}]}, {}]),
    "anything": ({}, [1, "x", [], {"a": 1.5}]),
    "a map": ({"type": "object", "additionalProperties": {"type": "integer"}}, [{"a": 1, "b": 2}, {}]),
    "an array without items": ({"type": "array"}, [[1, "a", None], []]),
    "a string or a number": ({"type": ["string", "number"]}, ["x", 1.5]),
}


@pytest.mark.parametrize("name", ANYTHING)
def test_anything_becomes_json(name: str, tmp_path: Path, validated: list[Any]) -> None:
    schema, found = ANYTHING[name]
    contract = contract_of(tmp_path, {"v": schema}, {"v": "VARCHAR"})
    assert [json.loads(one) for one in values(tmp_path, contract, *found)] == found
    assert not validated
    assert check(with_examples(tmp_path, {"id": "a", "v": found[0]})) == []


@pytest.mark.parametrize("schema", [{"type": "null"}, {"type": "array", "maxItems": 0}, {"const": None}])
def test_what_is_always_null_or_empty_needs_no_column(schema: dict[str, Any], tmp_path: Path) -> None:
    value = [] if schema.get("type") == "array" else None
    contract = contract_of(tmp_path, {"v": schema}, {}, "SELECT _position, id FROM records")
    result = publish(lines({"v": value}, {"v": 1}), tmp_path, contract=contract)
    assert (result.totals.valid, result.totals.rejected) == (1, 1)
    assert check(with_examples(tmp_path, {"id": "a", "v": value})) == []


NAME = {"type": "object", "additionalProperties": False, "required": ["n"], "properties": {"n": STRING}}
NULLABLE: dict[str, dict[str, Any]] = {
    "a list of types": {**NAME, "type": ["object", "null"]},
    "anyOf with null": {"anyOf": [NAME, {"type": "null"}]},
    "oneOf with null": {"oneOf": [{"type": "null"}, NAME]},
    "a reference and null": {"anyOf": [{"$ref": "#/$defs/name"}, {"type": "null"}]},
    "a nullable reference next to its types": {"$ref": "#/$defs/nullable", "type": ["object", "null"]},
    "allOf of one reference": {"allOf": [{"$ref": "#/$defs/nullable"}]},
}


@pytest.mark.parametrize("name", NULLABLE)
def test_null_in_every_way_that_generators_write_it(name: str, tmp_path: Path, validated: list[Any]) -> None:
    contract_of(tmp_path, {"v": STRING}, {"v": "VARCHAR"}, "SELECT _position, id, v.n AS v FROM records")
    definitions = {"name": NAME, "nullable": {**NAME, "type": ["object", "null"]}}
    folder = loaded_again(
        tmp_path,
        "v1.schema.json",
        **{"$defs": definitions},
        properties={"id": STRING, "v": NULLABLE[name]},
        examples=[{"id": "a", "v": {"n": "x"}}],
    )
    assert check(folder) == []
    validated.clear()
    assert values(tmp_path, load_contract("d", folder.parent), {"n": "x"}, None) == ["x", None]
    assert not validated


ADVISED = '"anyOf": [{"$ref": "#/$defs/name"}, {"type": "null"}]'


def test_a_reference_that_forbids_null_stays_so_next_to_a_nullable_type(tmp_path: Path) -> None:
    """Both hold in JSON Schema, so that null is not valid."""
    contract_of(tmp_path, {"v": STRING}, {"v": "VARCHAR"}, "SELECT _position, id, v.n AS v FROM records")
    schema = {"$ref": "#/$defs/name", "type": ["object", "null"]}
    folder = loaded_again(
        tmp_path, "v1.schema.json", **{"$defs": {"name": NAME}}, properties={"id": STRING, "v": schema}
    )
    assert values(tmp_path, load_contract("d", folder.parent), {"n": "x"}, None) == ["x"]
    folder = with_examples(tmp_path, {"id": "a", "v": {"n": "x"}})
    assert check(folder) == []
    (warning,) = warnings(folder)
    assert "null is rejected" in warning.says
    folder = loaded_again(tmp_path, "v1.schema.json", properties={"id": STRING, "v": json.loads(f"{{{ADVISED}}}")})
    assert ADVISED in warning.advice
    assert warnings(folder) == []
    assert values(tmp_path / "again", load_contract("d", folder.parent), {"n": "x"}, None) == ["x", None]


KINDS = {
    "oneOf": [
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "kind"],
            "properties": {"id": STRING, "kind": {"const": kind}, name: {"type": of_type}},
        }
        for kind, name, of_type in (("click", "button", "string"), ("scroll", "depth", "integer"))
    ]
}


def test_polymorphic_records_have_the_columns_of_every_kind(tmp_path: Path, validated: list[Any]) -> None:
    columns = {"kind": "VARCHAR", "button": "VARCHAR", "depth": "BIGINT"}
    contract_of(tmp_path, {"kind": STRING, "button": STRING, "depth": WHOLE}, columns)
    path = tmp_path / FOLDER / "v1.schema.json"
    examples = [{"id": "a", "kind": "click", "button": "x"}, {"id": "b", "kind": "scroll", "depth": 7}]
    schema = {"$schema": json.loads(path.read_text("utf-8"))["$schema"], **KINDS, "examples": examples}
    path.write_text(json.dumps(schema), "utf-8")
    load_contract.cache_clear()
    assert check(path.parent) == []
    validated.clear()
    found = [{"kind": "click", "button": "x"}, {"kind": "scroll", "depth": 7}, {"kind": "click"}]
    result = publish(lines(*found), tmp_path, contract=load_contract("d", path.parents[1]))
    assert [(row["kind"], row["button"], row["depth"]) for row in result.rows("t")] == [
        ("click", "x", None), ("scroll", None, 7), ("click", None, None)
    ]  # fmt: skip
    assert not validated


def test_a_polymorphic_record_of_one_kind_with_a_field_of_another(tmp_path: Path) -> None:
    contract_of(tmp_path, {"kind": STRING, "button": STRING, "depth": WHOLE}, {"kind": "VARCHAR"})
    path = tmp_path / FOLDER / "v1.schema.json"
    path.write_text(json.dumps({**KINDS, "examples": []}), "utf-8")
    load_contract.cache_clear()
    found = [{"kind": "click", "depth": 1}, {"kind": "hover"}, {"kind": "scroll", "depth": 1}]
    result = publish(lines(*found), tmp_path, contract=load_contract("d", path.parents[1]))
    assert [row["kind"] for row in result.rows("t")] == ["scroll"]
    assert result.totals.rejected == 2


def test_a_polymorphic_record_in_a_wrapper_is_recognised() -> None:
    version = Version(1, {**KINDS, "required": ["kind"]}, "")
    reason = wrapper_of({"data": {"kind": "click"}}, version)
    assert reason is not None
    assert reason.pointer == "/data"
    assert {"kind", "button", "depth"} <= version.fields


@pytest.mark.parametrize("kind", ["INT", "TEXT", "NUMERIC(15,2)"])
def test_a_type_that_no_column_can_have(kind: str, tmp_path: Path) -> None:
    says = r"must be one of VARCHAR, BOOLEAN, INTEGER, BIGINT, DOUBLE, DATE, TIMESTAMP, or DECIMAL\(precision,scale\)"
    with pytest.raises(ContractError, match=says):
        contract_of(tmp_path, {"v": STRING}, {"v": kind})
    (fault,) = check(tmp_path / FOLDER)
    assert "VARCHAR, BOOLEAN, INTEGER, BIGINT, DOUBLE, DATE, TIMESTAMP, or DECIMAL(precision,scale)" in fault.says


def test_several_faults_in_one_schema(tmp_path: Path) -> None:
    contract_of(tmp_path, {"v": STRING}, {"v": "VARCHAR"})
    properties = {
        "id": {"type": "text"},
        "v": {"type": "string", "minLength": "1"},
        "w": {"type": "string", "decimal": [2, 4]},
    }
    folder = loaded_again(tmp_path, "v1.schema.json", properties=properties)
    text = (folder / "v1.schema.json").read_text("utf-8").splitlines()
    assert {text[fault.line - 1].strip().split(":")[0] for fault in check(folder)} == {'"type"', '"minLength"'}
    properties |= {"id": {"type": "string"}, "v": {"type": "string", "decimal": 5}}
    folder = loaded_again(tmp_path, "v1.schema.json", properties=properties)
    text = (folder / "v1.schema.json").read_text("utf-8").splitlines()
    assert [text[fault.line - 1].strip() for fault in check(folder)] == ['"v": {', '"w": {']


def test_several_faults_in_contract_json(tmp_path: Path) -> None:
    contract_of(tmp_path, {"v": STRING}, {"v": "VARCHAR"})
    table = {"name": "t", "key": ["id"], "columns": [{"name": "id", "type": "TEXT"}, {"name": "V", "type": "VARCHAR"}]}
    folder = loaded_again(tmp_path, "contract.json", tables=[table], envelop="d", input={"unknown_fields": "ignore"})
    says = [fault.says for fault in check(folder)]
    assert [one.partition(" must be")[0] for one in says] == [
        "tables.t.columns.id.type",
        "tables.t.columns.V.name",
        "the contract has an unknown member: envelop",
        "input.unknown_fields",
    ]
    assert len({fault.line for fault in check(folder)}) == 4


def test_a_pattern_with_a_class_is_tested_on_the_fast_path(tmp_path: Path, validated: list[Any]) -> None:
    contract = contract_of(tmp_path, {"v": {"type": "string", "pattern": r"^[A-Z]\d+\w$"}}, {"v": "VARCHAR"})
    assert values(tmp_path, contract, *["A1b"] * 100) == ["A1b"] * 100
    assert not validated


def test_alternating_versions_are_read_on_the_fast_path(tmp_path: Path, validated: list[Any]) -> None:
    from generate_data import generate

    data = b"".join(line + b"\n" for line, _ in generate(400, versions=(1, 2)))
    result = publish(data, tmp_path)
    assert result.totals.valid == 400
    assert not validated


# --- the limits of a schema, tried by contract check ------------------------------------------------------------------


def test_check_warns_of_a_value_that_a_column_rounds(tmp_path: Path) -> None:
    select = "SELECT _position, id, CAST(v AS DECIMAL(9,1)) AS v FROM records"
    contract_of(tmp_path, {"v": {"type": "number", "decimal": [9, 3]}}, {"v": "DECIMAL(9,1)"}, select)
    folder = with_examples(tmp_path, {"id": "a", "v": 1.5})
    assert check(folder) == []
    assert any("t.v is rounded by the SQL: /v can have more decimals" in one.says for one in warnings(folder))


def test_check_warns_of_a_value_on_which_a_cast_fails(tmp_path: Path) -> None:
    select = "SELECT _position, id, CAST(v * 1000 AS INTEGER) AS v FROM records"
    contract_of(tmp_path, {"v": {"type": "integer", "minimum": 0, "maximum": 10**9}}, {"v": "INTEGER"}, select)
    folder = with_examples(tmp_path, {"id": "a", "v": 1})
    assert check(folder) == []
    (warning,) = [one for one in warnings(folder) if "accepts its largest value at /v" in one.says]
    assert warning.file.name == "v1.schema.json"


def test_check_warns_of_a_key_that_null_or_a_missing_field_leaves_empty(tmp_path: Path) -> None:
    table = {"name": "u", "key": ["k"], "latest_by": ["k"], "columns": [{"name": "k", "type": "VARCHAR"}]}
    more = ((table, "SELECT _position, coalesce(v, w) AS k FROM records"),)
    nullable = {"type": ["string", "null"]}
    select = "SELECT _position, id FROM records"
    contract_of(tmp_path, {"v": nullable, "w": nullable}, {}, select, more_tables=more)
    folder = with_examples(tmp_path, {"id": "a", "v": "x", "w": None})
    assert any("accepts null at /v" in one.says and "key" in one.says for one in warnings(folder))


# --- the schema of contract.json --------------------------------------------------------------------------------------


CONTRACTS = [*ROOT.glob("contracts/*/contract.json"), *ROOT.glob("examples/contracts/*/contract.json")]


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.parent.name)
def test_a_shipped_contract_names_its_schema_and_keeps_it(path: Path) -> None:
    data = json.loads(path.read_text("utf-8"))
    assert (path.parent / data["$schema"]).resolve() == CONTRACT_SCHEMA.resolve()
    schema = json.loads(CONTRACT_SCHEMA.read_text("utf-8"))
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(data)


def test_the_schema_of_contracts_describes_every_member() -> None:
    schema = json.loads(CONTRACT_SCHEMA.read_text("utf-8"))
    jsonschema_rs.meta.validate(schema)
    for part in (schema, *schema["$defs"].values()):
        for name, member in part.get("properties", {}).items():
            assert member.get("description"), f"editors show the description of {name}"
