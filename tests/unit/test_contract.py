"""Contracts are read from their folders, and are the only source of what the code knows about a dataset."""

import json
import re
import shutil
from pathlib import Path

import pytest

from functions.common.config import CONTRACTS
from functions.common.contract import load_contract
from functions.common.errors import ContractError, UnknownDatasetError
from pipeline import ROOT
from tests.unit.steps import validate

SECRET = b'"s3cr3t"'


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A copy of the contracts that a test may change."""
    return Path(shutil.copytree(CONTRACTS, tmp_path / "contracts"))


def test_a_contract_knows_its_tables_rules_and_totals() -> None:
    contract = load_contract("orders")
    assert [table.name for table in contract.tables] == ["orders", "customers", "items"]
    assert contract.record_table.key == ("order_id",)
    assert [rule.code for rule in contract.rules] == ["total_mismatch", "duplicate_line_number"]
    assert [total.name for total in contract.control_totals] == ["total_amount", "line_total"]
    assert "items_total" in contract.macros


@pytest.mark.parametrize("name", ["invoices", "unknown", "../orders", "Orders", "", "o" * 31])
def test_an_unknown_dataset_is_reported_with_the_existing_ones(name: str) -> None:
    with pytest.raises(UnknownDatasetError, match="there are contracts for: orders"):
        load_contract(name)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("contract.json", b"{", "JSONDecodeError"),
        ("contract.json", b"{}", "the contract lacks current_version"),
        ("contract.json", b"[]", "the contract must be an object"),
        ("contract.json", b"\xff", "UnicodeDecodeError"),
        ("contract.json", b"[" * 100_000, "RecursionError"),
        ("v1.schema.json", b'{"type": ["string", "number"]}', "a record must have properties"),
        ("v1.schema.json", b'{"type": "string"}', "a record must have properties"),
        ("v1.schema.json", b'{"type": "object", "properties": {"_Position": {"type": "string"}}}', "_position"),
        ("v1.schema.json", None, "No such file or directory"),
        ("orders.sql", None, "No such file or directory"),
        ("orders.sql", b"", "it must be SQL"),
        ("orders.sql", b"\xff", "UnicodeDecodeError"),
        ("macros.sql", b" \n", "it must be SQL"),
    ],
)
def test_a_broken_file_is_named(contracts: Path, file: str, content: bytes | None, says: str) -> None:
    path = contracts / "orders" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ContractError) as caught:
        load_contract("orders", contracts)
    assert str(caught.value).startswith(f"contracts/orders/{file} cannot be used: ")
    assert says in str(caught.value)
    assert str(contracts) not in str(caught.value), "the message must not contain an absolute path"


def change(contracts: Path, place: str, value: object) -> None:
    """Set, or with GONE remove, the part of contract.json at `place`, such as tables/0/name."""
    path = contracts / "orders" / "contract.json"
    data = json.loads(path.read_text())
    *steps, last = (int(step) if step.isdigit() else step for step in place.split("/"))
    part = data
    for step in steps:
        part = part[step]
    if value is GONE:
        del part[last]
    else:
        part[last] = value
    path.write_text(json.dumps(data))


GONE = object()
COLUMN = {"name": "order_id", "type": "VARCHAR"}


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("dataset", "invoices", "dataset must be orders, the name of its folder"),
        ("current_version", "1", "current_version must be a whole number greater than 0"),
        ("current_version", True, "current_version must be a whole number greater than 0"),
        ("envelope", "", "envelope must be a string"),
        ("envelope", "items", "/items leads to the records of an envelope, but a record has a property items"),
        ("input", [], "input must be an object"),
        ("input", {"recods": "/x"}, "input has an unknown member: recods; it can have format, ignore"),
        ("input", {"records": "/x"}, "remove envelope"),
        ("input", {"records": "x"}, "input.records must be a JSON Pointer"),
        ("input", {"records": ""}, "input.records must be a JSON Pointer"),
        ("input", {"records": "/a~2"}, "input.records must be a JSON Pointer"),
        ("input", {"format": "csv"}, "input.format must be json or jsonl"),
        ("input", {"ignore": "*.json"}, "input.ignore must be an array of patterns"),
        ("input", {"ignore": ["a/b"]}, "input.ignore must be an array of patterns"),
        ("input", {"ignore": ["**"]}, "input.ignore must be an array of patterns"),
        ("input", {"unknown_fields": "log"}, "input.unknown_fields must be reject, drop or keep"),
        ("input", {"max_reject_ratio": 1.1}, "input.max_reject_ratio must be a number from 0 to 1"),
        ("input", {"max_reject_ratio": True}, "input.max_reject_ratio must be a number from 0 to 1"),
        ("record_table", "nothing", "record_table names 'nothing', which does not exist"),
        ("tables", [], "tables must be an array with elements"),
        ("extra", 1, "the contract has an unknown member: extra"),
        ("tables/0/name", "Orders", "tables[0]: name must be a name of a-z, 0-9 and _"),
        ("tables/0/name", "../orders", "tables[0]: name must be a name of a-z, 0-9 and _"),
        ("tables/0/name", "items", "tables has items twice"),
        ("tables/0/name", "superseded", "tables.superseded.name can't be superseded"),
        ("tables/0/name", "part_items", "tables.part_items.name can't be part_items"),
        ("tables/0/name", "rejects", "tables.rejects.name can't be rejects"),
        ("tables/0/name", "items_current", "tables.items_current.name can't be items_current"),
        ("tables/0/key", GONE, "tables[0] lacks key"),
        ("tables/0/key", ["nothing"], "tables.orders.key names 'nothing', which does not exist"),
        ("tables/0/key", [[]], "tables.orders.key names [], which does not exist"),
        ("tables/0/referenses", [], "tables[0] has an unknown member: referenses"),
        ("tables/0/references/0/columns", ["order_id", "status"], "as many columns as the key of customers"),
        ("tables/0/references/0/columns", ["nothing"], "references[0].columns names 'nothing'"),
        ("tables/0/references/0/table", "nothing", "references[0].table names 'nothing'"),
        ("tables/0/references/0", "customers", "tables.orders.references[0] must be an object"),
        (
            "tables/0/columns/0",
            COLUMN | {"type": "VARCHAR); DROP"},
            "order_id.type must be one of VARCHAR",
        ),
        (
            "tables/0/columns/0",
            COLUMN | {"type": "DECIMAL(39,2)"},
            "order_id.type must be one of VARCHAR",
        ),
        (
            "tables/0/columns/0",
            COLUMN | {"type": "DECIMAL(2,3)"},
            "order_id.type must be one of VARCHAR",
        ),
        ("tables/0/columns/0", COLUMN | {"name": "batch_id"}, "columns.batch_id.name can't be batch_id"),
        ("tables/0/columns/0", COLUMN | {"name": "ingest_date"}, "columns.ingest_date.name can't be ingest_date"),
        ("tables/0/columns/0", COLUMN | {"name": "_position"}, "name must be a name of a-z, 0-9 and _"),
        ("tables/0/columns/1", COLUMN, "tables.orders.columns has order_id twice"),
        ("tables/1/latest_by", ["nothing"], "tables.customers.latest_by names 'nothing'"),
        ("rules/0/pointer", "total_amount", "rules.total_mismatch.pointer must be a JSON Pointer"),
        ("rules/0/sql", 5, "rules[0]: sql must be a string"),
        ("rules/1/code", "total_mismatch", "rules has total_mismatch twice"),
        ("control_totals/0/table", "nothing", "control_totals.total_amount.table names 'nothing'"),
        ("control_totals/0/column", "nothing", "control_totals.total_amount.column names 'nothing'"),
    ],
)
def test_a_contradiction_in_a_contract_is_reported_with_its_place(
    contracts: Path, place: str, value: object, says: str
) -> None:
    change(contracts, place, value)
    with pytest.raises(ContractError) as caught:
        load_contract("orders", contracts)
    assert str(caught.value).startswith("contracts/orders/contract.json cannot be used: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("orders.sql", "SELECT order_id FROM records", "contracts/orders/orders.sql cannot be used: Binder Error"),
        ("orders.sql", "SELEKT 1", "contracts/orders/orders.sql cannot be used: Parser Error"),
        ("items.sql", "SELECT * FROM nothing", "contracts/orders/items.sql cannot be used: Catalog Error"),
        ("macros.sql", "CREATE MACRO (", "contracts/orders/macros.sql cannot be used: Parser Error"),
        ("v1.schema.json", {"properties/order_id/pattern": "("}, 'v1.schema.json cannot be used: "(" is not a "regex"'),
        ("v1.schema.json", {"properties/order_id/pattern": "(?=a)"}, 'is not a "regex"'),
        ("v1.schema.json", {"properties/order_id/minLength": "x"}, "v1.schema.json cannot be used"),
        ("v1.schema.json", {"properties/order_id/not": {"$ref": "http://127.0.0.1/x"}}, "Retrieval is disabled"),
        (
            "contract.json",
            {"rules/0/sql": "nothing = 1"},
            "contracts/orders/contract.json: rules cannot be used: Binder",
        ),
        ("contract.json", {"rules/0/sql": "count(*) > 0"}, "contracts/orders/contract.json: rules cannot be used"),
        ("contract.json", {"control_totals/0/record_sql": "status"}, "contract.json: control_totals cannot be used"),
    ],
)
def test_unusable_sql_and_schemas_are_reported_when_the_contract_is_loaded(
    contracts: Path, tmp_path: Path, file: str, content: str | dict[str, object], says: str
) -> None:
    path = contracts / "orders" / file
    if isinstance(content, str):
        path.write_text(content)
    else:
        ((place, value),) = content.items()
        if file == "contract.json":
            change(contracts, place, value)
        else:
            data = json.loads(path.read_text())
            part = data["properties"]["order_id"]
            part[place.rpartition("/")[2]] = value
            path.write_text(json.dumps(data))
    contract = load_contract("orders", contracts)
    with pytest.raises(ContractError) as caught:
        validate(b"[" + SECRET + b"]\n", tmp_path / "chunk", contract=contract)
    assert says in str(caught.value)
    assert SECRET.decode() not in str(caught.value)


def test_no_module_contains_a_field_name_of_orders() -> None:
    """A new dataset is a new folder, so no module in functions/ may contain field names of another dataset."""
    schema = json.dumps(json.loads((CONTRACTS / "orders" / "v1.schema.json").read_text()))
    tables = json.loads((CONTRACTS / "orders" / "contract.json").read_text())["tables"]
    fields = set(re.findall(r'"([a-z]+_[a-z_]+)": {', schema))
    fields |= {column["name"] for table in tables for column in table["columns"] if "_" in column["name"]}
    assert {"order_id", "unit_price", "last_order_date"} <= fields, "found no fields in the contract"
    for path in (ROOT / "functions").rglob("*.[ps][yq]*"):
        if path.suffix in (".py", ".sql"):
            found = fields & set(re.findall(r"\w+", path.read_text()))
            assert not found, f"{path.relative_to(ROOT)} names {sorted(found)}: move it to the contract"
