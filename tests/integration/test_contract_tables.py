"""`pipeline contract check`: keys that several rows share, and columns that can't hold every value of the schema."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from functions.common.contract import load_contract
from pipeline.contract.check import check, warnings
from pipeline.contract.commands import app

ITEM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sku", "count"],
    "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
}
PROPERTIES = {
    "id": {"type": "string"},
    "customer": {"type": "string"},
    "n": {"type": "integer"},
    "ratio": {"type": "number", "decimal": [9, 4]},
    "items": {"type": "array", "items": ITEM},
}
EXAMPLE = {"id": "a", "customer": "c", "n": 1, "ratio": 0.5, "items": [{"sku": "x", "count": 1}]}


def table(name: str, key: list[str], columns: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"name": name, "key": key, "columns": [{"name": n, "type": t} for n, t in columns.items()], **more}


ORDERS = table("orders", ["id"], {"id": "VARCHAR"})
ITEMS_SQL = (
    "SELECT _position, id, item.sku AS sku, item.count AS count "
    "FROM (SELECT _position, id, unnest(items) AS item FROM records)"
)


def written(folder: Path, other: dict[str, Any], select: str, **more: Any) -> Path:
    """The folder of a contract with a second table."""
    folder = folder / "d"
    folder.mkdir()
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": list(PROPERTIES),
        "properties": PROPERTIES,
        "examples": [EXAMPLE],
        **more,
    }
    tables = [ORDERS, other]
    contract = {"dataset": "d", "current_version": 1, "envelope": "d", "record_table": "orders", "tables": tables}
    (folder / "contract.json").write_text(json.dumps(contract, indent=1), "utf-8")
    (folder / "v1.schema.json").write_text(json.dumps(schema, indent=1), "utf-8")
    (folder / "orders.sql").write_text("SELECT _position, id FROM records", "utf-8")
    (folder / f"{other['name']}.sql").write_text(select, "utf-8")
    load_contract.cache_clear()
    return folder


CUSTOMERS = table("customers", ["customer"], {"customer": "VARCHAR", "n": "BIGINT"})
CUSTOMERS_SQL = "SELECT _position, customer, n FROM records"


def test_a_key_that_several_records_can_give_needs_latest_by(tmp_path: Path) -> None:
    (fault,) = check(written(tmp_path, CUSTOMERS, CUSTOMERS_SQL))
    assert fault.file.name == "contract.json"
    assert "customers rows with the same key (customer)" in fault.says
    assert "latest_by" in fault.says
    assert "latest_by" in fault.advice


def test_latest_by_of_the_record_table_has_no_effect_and_is_a_fault(tmp_path: Path) -> None:
    folder = written(
        tmp_path, ITEMS, ITEMS_SQL, properties={**PROPERTIES, "items": {**PROPERTIES["items"], "maxItems": 1}}
    )
    assert check(folder) == []
    path = folder / "contract.json"
    data = json.loads(path.read_text("utf-8"))
    data["tables"][0]["latest_by"] = ["id"]
    path.write_text(json.dumps(data, indent=1), "utf-8")
    load_contract.cache_clear()
    (fault,) = check(folder)
    assert "orders is the record table" in fault.says
    assert path.read_text("utf-8").splitlines()[fault.line - 1].strip().startswith('"latest_by"')
    assert fault.advice == "Remove latest_by."


@pytest.mark.parametrize("advice", [{"latest_by": ["n"]}, {"key": ["customer", "id"]}])
def test_the_advice_about_a_shared_key_works(advice: dict[str, Any], tmp_path: Path) -> None:
    columns = {"customer": "VARCHAR", "n": "BIGINT", "id": "VARCHAR"}
    followed = table("customers", **{"key": ["customer"], "columns": columns, **advice})
    assert check(written(tmp_path, followed, "SELECT _position, customer, n, id FROM records")) == []


ITEMS = table("items", ["id", "sku"], {"id": "VARCHAR", "sku": "VARCHAR", "count": "BIGINT"})


def test_a_key_that_elements_of_one_record_share_needs_latest_by(tmp_path: Path) -> None:
    (fault,) = check(written(tmp_path, ITEMS, ITEMS_SQL))
    assert "with an element of /items twice: Table items: the key (id, sku) is repeated in 1 of its rows" in fault.says
    assert "latest_by" in fault.advice


def test_the_advice_about_elements_that_share_a_key_works(tmp_path: Path) -> None:
    assert check(written(tmp_path, {**ITEMS, "latest_by": ["count"]}, ITEMS_SQL)) == []


def test_elements_with_distinct_keys_in_the_schema_need_no_latest_by(tmp_path: Path) -> None:
    properties = {**PROPERTIES, "items": {**PROPERTIES["items"], "uniqueItems": True}}
    assert check(written(tmp_path, ITEMS, ITEMS_SQL, properties=properties)) == []


@pytest.mark.parametrize(
    ("column", "kind", "warns"),
    [
        ("n", "INTEGER", True),
        ("n", "DECIMAL(5,0)", True),
        ("n", "BIGINT", False),
        ("n", "DECIMAL(19,0)", False),
        ("ratio", "DECIMAL(7,4)", True),
        ("ratio", "DECIMAL(10,4)", False),
    ],
)
def test_a_column_that_cannot_hold_every_value_is_a_warning(
    column: str, kind: str, warns: bool, tmp_path: Path
) -> None:
    other = table("more", ["id"], {"id": "VARCHAR", column: kind})
    folder = written(tmp_path, other, f"SELECT _position, id, {column} FROM records")
    assert check(folder) == []
    found = warnings(folder)
    assert bool(found) is warns
    for one in found:
        assert f"more.{column} is {kind}" in one.says
        assert f'"name": "{column}"' in "".join(
            (folder / one.file).read_text().splitlines()[one.line - 1 : one.line + 1]
        )


def test_a_bound_in_the_schema_ends_the_warning(tmp_path: Path) -> None:
    other = table("more", ["id"], {"id": "VARCHAR", "n": "INTEGER"})
    properties = {**PROPERTIES, "n": {"type": "integer", "minimum": 0, "maximum": 1000}}
    folder = written(tmp_path, other, "SELECT _position, id, n FROM records", properties=properties)
    assert (check(folder), warnings(folder)) == ([], [])


def test_a_cast_in_a_select_is_a_warning_unless_it_can_not_fail(tmp_path: Path) -> None:
    other = table("more", ["id"], {"id": "VARCHAR", "n": "INTEGER"})
    folder = written(tmp_path, other, "SELECT _position, id, CAST(customer AS INTEGER) AS n FROM records")
    (found,) = [one for one in warnings(folder) if one.file.name == "more.sql"]
    assert "TRY_CAST" in found.advice
    (folder / "more.sql").write_text("SELECT _position, id, TRY_CAST(customer AS INTEGER) AS n FROM records", "utf-8")
    load_contract.cache_clear()
    assert warnings(folder) == []


def test_the_command_prints_warnings_and_succeeds(tmp_path: Path) -> None:
    other = table("more", ["id"], {"id": "VARCHAR", "n": "INTEGER"})
    folder = written(tmp_path, other, "SELECT _position, id, n FROM records")
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    assert "warning: more.n is INTEGER" in result.output
    assert "1 contract has no faults: d." in result.output
