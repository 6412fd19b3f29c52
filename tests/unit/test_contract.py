"""Contracts are read from their folders, and are all that the code knows of a feed."""

import json
import re
import shutil
from pathlib import Path

import pytest

from functions.common.contract import CONTRACTS, load_contract
from functions.common.errors import ContractError, UnknownDatasetError
from pipeline import ROOT


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A copy of the contracts that may be spoiled."""
    return Path(shutil.copytree(CONTRACTS, tmp_path / "contracts"))


def test_a_contract_knows_its_tables_rules_and_totals() -> None:
    contract = load_contract("orders")
    assert [table.name for table in contract.tables] == ["orders", "customers", "items"]
    assert contract.record_table.key == ("order_id",)
    assert [rule.code for rule in contract.rules] == ["total_mismatch", "duplicate_line_number"]
    assert [total.name for total in contract.control_totals] == ["total_amount", "line_total"]
    assert "items_total" in contract.macros


@pytest.mark.parametrize("name", ["invoices", "unknown", "../orders", "Orders", "", "o" * 31])
def test_a_folder_without_a_contract_says_which_there_are(name: str) -> None:
    with pytest.raises(UnknownDatasetError, match="there are contracts for: orders"):
        load_contract(name)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("contract.json", "{"),
        ("contract.json", "{}"),
        ("v1.schema.json", '{"type": ["string", "number"]}'),
        ("orders.sql", None),
    ],
)
def test_a_broken_contract_names_its_folder(contracts: Path, file: str, content: str | None) -> None:
    path = contracts / "orders" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(ContractError, match="contracts/orders cannot be used"):
        load_contract("orders", contracts)


def test_no_code_names_a_field_of_orders() -> None:
    """A new feed is a new folder: so nothing under functions/ may know the old one's fields."""
    schema = json.dumps(json.loads((CONTRACTS / "orders" / "v1.schema.json").read_text()))
    tables = json.loads((CONTRACTS / "orders" / "contract.json").read_text())["tables"]
    fields = set(re.findall(r'"([a-z]+_[a-z_]+)": {', schema))
    fields |= {column["name"] for table in tables for column in table["columns"] if "_" in column["name"]}
    assert {"order_id", "unit_price", "last_order_date"} <= fields, "the fields are not found any more"
    for path in (ROOT / "functions").rglob("*.[ps][yq]*"):
        if path.suffix in (".py", ".sql"):
            found = fields & set(re.findall(r"\w+", path.read_text()))
            assert not found, f"{path.relative_to(ROOT)} names {sorted(found)}: say it in the contract"
