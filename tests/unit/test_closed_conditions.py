"""`contract check` finds conditions that hold for no valid record, wherever the condition is written."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from functions.common.contract import load_contract
from pipeline.contract.check import check
from tests.unit.test_unfit_records import STRING, contract_of

CLOSED = {"properties": {"v": {"const": "b"}}, "required": ["v"], "additionalProperties": False}
ELEMENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["k", "n"],
    "properties": {"k": STRING, "n": {"type": "integer"}},
}
SMALL = {"properties": {"k": {"const": "x"}}, "required": ["k"], "additionalProperties": False}
RECORD = {"id": "a", "v": "b", "l": [{"k": "x", "n": 1}]}
CONDITIONS: dict[str, dict[str, Any]] = {
    "a definition": {"$defs": {"closed": CLOSED}, "if": {"$ref": "#/$defs/closed"}},
    "a definition, deeper": {"$defs": {"closed": CLOSED}, "if": {"allOf": [{"$ref": "#/$defs/closed"}]}},
    "contains": {"if": {"properties": {"l": {"contains": SMALL}}, "required": ["l"]}},
}


def checked(more: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The schema with more keywords, and what `contract check` says of its conditions."""
    contract_of(
        folder, {"v": STRING, "l": {"type": "array", "items": ELEMENT}}, {}, "SELECT _position, id FROM records"
    )
    path = folder / "contracts" / "d" / "v1.schema.json"
    schema = json.loads(path.read_text("utf-8")) | {"examples": [RECORD]} | more
    path.write_text(json.dumps(schema), "utf-8")
    load_contract.cache_clear()
    return schema, [fault.says for fault in check(path.parent) if "holds for no valid record" in fault.says]


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_closed_condition_is_found(name: str, tmp_path: Path) -> None:
    more = CONDITIONS[name]
    schema, faults = checked(more, tmp_path)
    assert len(faults) == 1
    assert not jsonschema.Draft202012Validator({**schema, **more["if"]}).is_valid(RECORD)


@pytest.mark.parametrize("name", CONDITIONS)
def test_an_open_condition_is_no_fault(name: str, tmp_path: Path) -> None:
    more = json.loads(json.dumps(CONDITIONS[name]).replace(', "additionalProperties": false', ""))
    _, faults = checked(more, tmp_path)
    assert faults == []


@pytest.mark.parametrize("reference", ["#/$defs/tree", "#", "#tree"])
def test_a_recursive_condition_is_checked_once(reference: str, tmp_path: Path) -> None:
    tree = {"$anchor": "tree", "properties": {"v": {"const": "b"}}, "anyOf": [{"not": {"$ref": reference}}] * 3}
    _, faults = checked({"$defs": {"tree": tree}, "if": {"$ref": "#/$defs/tree"}}, tmp_path)
    assert faults == []
