"""`pipeline contract check`: each fault of a contract is reported by file and line, with its fix."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.common.compiled_schema import schema_validator
from pipeline import ROOT
from pipeline.contract.check import check, warnings
from pipeline.contract.fault import line_at
from tests.unit.test_conditions import APPLIED, contract_with, schema_with

SHIPPED = sorted(path.parent for path in ROOT.glob("*/contract.json")) or sorted(
    path.parent for path in (*ROOT.glob("contracts/*/contract.json"), *ROOT.glob("examples/contracts/*/contract.json"))
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the contract of orders that a test may break."""
    return Path(shutil.copytree(ROOT / "contracts" / "orders", tmp_path / "contracts" / "orders"))


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_the_shipped_contracts_have_no_faults(shipped: Path) -> None:
    assert check(shipped) == []


def replaced(old: str, new: str, times: int = 1) -> Callable[[str], str]:
    def replace(text: str) -> str:
        assert old in text, f"{old!r} is not there any more"
        return text.replace(old, new, times)

    return replace


def changed(pointer: str, value: Any) -> Callable[[str], str]:
    """Set the value at a JSON Pointer; the file keeps readable lines."""

    def change(text: str) -> str:
        data = json.loads(text)
        *path, last = pointer.split("/")[1:]
        part = data
        for step in path:
            part = part[int(step) if isinstance(part, list) else step]
        part[int(last) if isinstance(part, list) else last] = value
        return json.dumps(data, indent=2)

    return change


SPOILED: list[tuple[str, Callable[[str], str], str, str]] = [
    # file, change, text of the expected line, message
    ("contract.json", replaced('"rules": [', '"rules": [,'), '"rules": [,', "Expecting value"),
    ("contract.json", replaced('"key": ["order_id"],', '"key": ["nothing"],'), '"key": ["nothing"]', "does not exist"),
    (
        "contract.json",
        replaced("DECIMAL(5,4)", "DECIMAL(5,6)"),
        "DECIMAL(5,6)",
        "type must be one of VARCHAR, BOOLEAN, INTEGER",
    ),
    (
        "contract.json",
        replaced('"pointer": "/items"', '"pointer": "/lines"'),
        '"/lines"',
        "which no record of the current",
    ),
    (
        "contract.json",
        replaced("duplicate_line_number", "missing_field"),
        '"missing_field"',
        "missing_field is reserved for the pipeline",
    ),
    (
        "contract.json",
        replaced("total_amount = items", "total_amount - items"),
        '"sql": "total_amount -',
        "the rule returns DECIMAL",
    ),
    (
        "contract.json",
        replaced('"items_total(items)"', '"items_totals(items)"'),
        '"derived"',
        "a derived column fails",
    ),
    (
        "contract.json",
        replaced('record_sql": "total_amount"', 'record_sql": "status"'),
        'record_sql": "status"',
        "not exact",
    ),
    (
        "contract.json",
        replaced('record_sql": "total_amount"', 'record_sql": "-total_amount"'),
        "",
        "Control total total_amount",
    ),
    ("contract.json", replaced('"key": ["order_id", "line_number"]', '"key": ["order_id"]'), "", "is repeated in"),
    ("v1.schema.json", replaced('"minLength": 1', '"minLength": "x"'), '"minLength": "x"', "isn't a JSON Schema"),
    (
        "v2.schema.json",
        replaced('"examples": [53.9]', '"examples": ["x"]'),
        '"examples": ["x"]',
        "the example violates its schema",
    ),
    ("v2.schema.json", changed("/examples", []), "{", 'has no "examples"'),
    ("v2.schema.json", changed("/$defs/item/properties/discount/default", 0), '"default": 0', "which has no effect"),
    ("v2.schema.json", changed("/$defs/money/multipleOf", 0.01), '"multipleOf": 0.01', "on which validators disagree"),
    ("v2.schema.json", changed("/$defs/address/additionalProperties", True), '"address": {', "accepts fields that it"),
    (
        "v2.schema.json",
        replaced('"total_amount": 328.94', '"total_amount": 328.95'),
        '"total_amount": 328.95',
        "example is rejected",
    ),
    ("v2.schema.json", replaced('"const": 2', '"const": 3'), "", "where a record names its version"),
    (
        "v2.schema.json",
        changed("/$defs/name/maxLenght", 5),
        '"maxLenght": 5',
        "the keyword maxLenght, which JSON Schema",
    ),
    ("v2.schema.json", changed("/$defs/money/minLength", 5), '"minLength": 5', "which does not apply to number"),
    ("v2.schema.json", changed("/$defs/name/format", "zip-code"), '"format": "zip-code"', "which is not checked"),
    (
        "v2.schema.json",
        replaced("draft/2020-12/schema", "draft-07/schema#"),
        '"$schema"',
        "is not the JSON Schema draft",
    ),
    (
        "contract.json",
        replaced('"dataset": "orders",', '"dataset": "orders", "dataset": "x",'),
        "",
        "the member dataset twice",
    ),
    ("macros.sql", replaced("CREATE MACRO items_total", "CREATE MACRO ("), "CREATE MACRO (", "Parser Error"),
    (
        "macros.sql",
        replaced("    END;", "    END + random();"),
        "CREATE MACRO items_total",
        "calls random",
    ),
    ("orders.sql", replaced("    status,", "    state,"), "    state,", 'Referenced column "state" not found'),
    ("orders.sql", replaced("    order_date,", "    now() AS order_date,"), "now() AS order_date", "calls now"),
    (
        "orders.sql",
        replaced("    order_date,", "    current_date AS order_date,"),
        "current_date AS",
        "calls current_date",
    ),
    (
        "orders.sql",
        replaced("    status,", "    status, currency AS money,"),
        "",
        "a column money, which contract.json does",
    ),
    ("orders.sql", replaced("    status,\n", ""), "", "does not return the column status"),
    ("orders.sql", replaced("    order_id,", "    1.5::DOUBLE AS order_id,"), "", "returns order_id as DOUBLE"),
    ("items.sql", replaced("    _position,\n", ""), "", "does not return the column _position"),
    (
        "items.sql",
        replaced("line_total(item) AS", "CAST(line_total(item) AS DECIMAL(18, 4)) AS"),
        "",
        "as DECIMAL(18,4)",
    ),
    ("v1_to_v2.sql", replaced("* REPLACE", "order_id, * REPLACE"), "", "returns the column order_id twice"),
    ("v1_to_v2.sql", replaced("0 AS tax_amount", "0 AS tax"), "", "does not return the column tax_amount"),
    (
        "v1_to_v2.sql",
        replaced("0 AS tax_amount", "0.00001 AS tax_amount"),
        "",
        "tax_amount is DECIMAL(6,5), but",
    ),
    ("v1_to_v2.sql", replaced("CAST(NULL AS VARCHAR)", "NULL"), "", "customer.loyalty_tier is INTEGER, but"),
    ("v1_to_v2.sql", replaced("FROM records", "FROM records; SELECT 1"), "", "must be a single SELECT"),
    ("orders.sql", replaced("FROM records", "FROM records; SELECT 1"), "", "must be a single SELECT"),
    ("orders.sql", replaced("    order_date,", "    age(order_date) AS order_date,"), "age(", "calls age"),
]


@pytest.mark.parametrize(("file", "spoil", "line", "says"), SPOILED, ids=[f"{one[0]}-{one[3]}" for one in SPOILED])
def test_a_fault_is_reported_with_file_and_line(
    folder: Path, file: str, spoil: Callable[[str], str], line: str, says: str
) -> None:
    path = folder / file
    path.write_text(spoil(path.read_text("utf-8")), "utf-8")
    faults = check(folder)
    fault = next((one for one in faults if says in one.says), None)
    assert fault, f"not found among {[one.says for one in faults]}"
    assert fault.file.name == file
    assert fault.advice
    if line:
        assert line in path.read_text("utf-8").splitlines()[fault.line - 1]


def test_a_key_that_may_be_left_out_is_found(folder: Path) -> None:
    path = folder / "v2.schema.json"
    path.write_text(replaced('"schema_version", "order_id", ', '"schema_version", ')(path.read_text("utf-8")), "utf-8")
    (fault,) = check(folder)
    assert "version 2 without its optional fields is rejected: /order_id must have a value" in fault.says


def test_sql_may_end_in_a_comment_or_a_semicolon_and_columns_may_be_called_as_functions_are(folder: Path) -> None:
    for name in ("orders.sql", "v1_to_v2.sql"):
        path = folder / name
        path.write_text(f"{path.read_text().rstrip()} -- all of them;")
    path = folder / "items.sql"
    path.write_text(path.read_text().rstrip().replace("AS item ", "AS item, 1 AS uuid, 2 AS error ") + ";\n")
    assert check(folder) == []


def test_a_contract_that_keeps_unknown_fields_is_checked(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(changed("/input", {"unknown_fields": "keep"})(path.read_text("utf-8")), "utf-8")
    assert check(folder) == []
    assert warnings(folder) == []


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "v1_to_v2.sql").unlink()
    (fault,) = check(folder)
    assert (fault.file.name, fault.line) == ("v1_to_v2.sql", 1)
    assert "No such file" in fault.says


def test_a_fault_has_the_line_of_the_name(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{\n "a": [1,\n  {"b/c":\n "}, [" }],\n "d": "\\"," }')
    assert [line_at(path, pointer) for pointer in ("", "/a", "/a/0", "/a/1", "/a/1/b~1c", "/d", "/a/1/x", "/x/y")] == [
        *(1, 2, 2, 3, 3, 5, 3, 1)
    ]


def test_contract_check_includes_saved_queries(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    shutil.copytree(ROOT / "contracts" / "orders", folder)
    assert check(folder) == []
    query = folder / "queries" / "mine.sql"
    query.write_text("-- Mine.\nSELECT first.order_id FROM orders_current AS first\n")
    assert {(fault.file, fault.line) for fault in check(folder)} == {(query, 2)}


@pytest.mark.parametrize("name", APPLIED)
def test_contract_check_requires_nothing_of_a_condition(name: str, tmp_path: Path) -> None:
    schema = schema_with(APPLIED[name])
    contract = contract_with(schema, tmp_path / "d")
    example = {"id": "a", "kind": "b", "n": 7, "x": 1.5, "part": {"k": "b"}, "parts": [{"m": 1}]}
    if not schema_validator(contract, contract.current).is_valid(example):
        example = {"id": "a", "kind": "a", "n": 7, "parts": [{"m": 1}]}
    contract_with({**schema, "examples": [example]}, tmp_path / "d")
    assert [fault for fault in check(tmp_path / "d") if "what may be left out" not in fault.says] == []
