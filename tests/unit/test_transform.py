"""From valid orders to tables: for any input, the tables equal those of a reference model in plain Python."""

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from functions.common import sql
from functions.common.config import CONTRACTS
from functions.common.errors import ResourceLimitError
from functions.transform.transform import write_parts
from functions.validate.validation import RECORDS
from tests.unit.orders import CONTRACT, Order, customer, lines, order, tables
from tests.unit.steps import MEMORY_MB, Published, publish, validate
from tests.unit.web_visits import EXAMPLES

NORTHWIND = Path(__file__).parents[1] / "data" / "northwind_orders.jsonl"
SHIPPED_SQL = sorted(path for contracts in (CONTRACTS, EXAMPLES / "contracts") for path in contracts.glob("*/*.sql"))


def published(records: list[Order], chunk_bytes: int = 10**9) -> tuple[Published, dict[str, list[dict[str, Any]]]]:
    with tempfile.TemporaryDirectory() as folder:
        result = publish(lines(records), Path(folder), chunk_bytes)
        return result, {table.name: result.rows(table.name) for table in CONTRACT.tables}


@pytest.mark.parametrize("name", ["x.json", "envelope.json"])
def test_the_tables_are_the_same_for_every_shape_of_file(tmp_path: Path, name: str) -> None:
    records = [order(order_id=str(number)) for number in range(3)]
    document = orjson.dumps(records if name == "x.json" else {"orders": records})
    from_lines, from_document = publish(lines(records), tmp_path / "1"), publish(document, tmp_path / "2", name=name)
    for table in ("orders", "customers", "items"):
        assert from_lines.rows(table) == from_document.rows(table) != []


@pytest.fixture(scope="module")
def northwind(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(NORTHWIND.read_bytes(), tmp_path_factory.mktemp("northwind"), 200_000)


FIGURES = {
    "SELECT count(*) FROM orders": 830,
    "SELECT count(DISTINCT customer_id) FROM customers": 89,
    "SELECT count(*) FROM customers": 89,
    "SELECT count(*) FROM items": 2155,
    "SELECT sum(quantity) FROM items": 51_317,
    "SELECT sum(quantity * unit_price) FROM items": Decimal("1354458.59"),
    "SELECT sum(shipping_cost) FROM orders": Decimal("64942.69"),
    "SELECT sum(total_amount) FROM orders": Decimal("1330735.98"),
    "SELECT sum(items_total + shipping_cost) FROM orders": Decimal("1330735.98"),
    "SELECT count(*) FROM customers WHERE email IS NULL": 89,
    "SELECT name FROM customers JOIN orders USING (customer_id) WHERE order_id = '10249'": "Toms Spezialitäten",
    "SELECT city FROM customers JOIN orders USING (customer_id) WHERE order_id = '10249'": "Münster",
}


@pytest.mark.parametrize("query", FIGURES)
def test_northwind_matches_its_known_figures(northwind: Published, query: str) -> None:
    with duckdb.connect() as connection:
        for table in ("orders", "customers", "items"):
            path = sql.literal(northwind.folder / f"{table}.parquet")
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({path})")
        row = connection.execute(query).fetchone()
    assert row is not None
    assert row[0] == FIGURES[query]


def test_northwind_agrees_with_the_reference_model(northwind: Published) -> None:
    records = [orjson.loads(line) for line in NORTHWIND.read_bytes().splitlines()]
    expected = tables(records)
    for table, rows in expected.items():
        assert northwind.rows(table) == rows


# --- one chunk's parts ------------------------------------------------------------------------------------------------


def parts(records: list[Order], folder: Path) -> dict[str, duckdb.DuckDBPyRelation]:
    validate(lines(records), folder)
    with sql.connect(folder, MEMORY_MB) as connection:
        rows = write_parts(folder / RECORDS, CONTRACT, folder, connection)
    relations = {name: duckdb.sql(f"SELECT * FROM read_parquet('{folder}/{name}.parquet')") for name in rows}
    assert {name: len(relation) for name, relation in relations.items()} == rows
    return relations


@pytest.mark.parametrize("records", [[], [order()]], ids=["of no record", "of one record"])
def test_a_part_has_the_contract_s_columns_and_types(records: list[Order], tmp_path: Path) -> None:
    found = parts(records, tmp_path)
    for table in CONTRACT.tables:
        columns = [("_position", "BIGINT"), *((column.name, column.type) for column in table.columns)]
        assert list(zip(found[table.name].columns, map(str, found[table.name].types), strict=True)) == columns


def test_parts_contain_all_candidates_with_their_positions(tmp_path: Path) -> None:
    records = [order(), order(), order(order_id="2", customer=customer(name="Later"))]
    second = len(lines(records[:1]))
    found = parts(records, tmp_path)
    assert found["orders"].project("_position").fetchall() == [(0,), (second,), (2 * second,)]
    assert found["customers"].project("_position, name").fetchall()[-1] == (2 * second, "Later")
    assert len(found["items"]) == 6


def test_a_connection_has_no_data_of_the_previous_one(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        with sql.connect(tmp_path / folder, 512) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1; CREATE MACRO one() AS 1; CREATE VIEW seen AS FROM kept")
            found = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
            assert found["temp_directory"] == str(tmp_path / folder / "spill")
            assert found["TimeZone"] == "UTC"


def test_a_connection_is_clean_after_an_error_and_after_a_spill(tmp_path: Path) -> None:
    (tmp_path / "spills").mkdir()
    with pytest.raises(ResourceLimitError), sql.connect(tmp_path / "none", 4) as connection:
        connection.execute("CREATE TABLE large AS SELECT list(range) FROM range(10000000)")
    with sql.connect(tmp_path / "spills", 128) as connection:
        connection.execute("CREATE TABLE large AS SELECT hash(range)::VARCHAR || range FROM range(8000000)")
    with sql.connect(tmp_path / "after", 128) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
        found = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
        assert found["temp_directory"] == str(tmp_path / "after" / "spill")


@pytest.mark.parametrize(
    ("memory_mb", "data_mb", "limit"),
    [(128, 0, "76.0 MiB"), (1769, 0, "140.0 MiB"), (1769, 500, "500.0 MiB"), (1769, 5000, "1.0 GiB")],
)
def test_duckdb_has_memory_limits_and_loads_no_extensions(
    memory_mb: int, data_mb: int, limit: str, tmp_path: Path
) -> None:
    expected = {
        "threads": "1",
        "memory_limit": limit,
        "TimeZone": "UTC",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_file_cache": "false",
        "temp_directory": str(tmp_path / "spill"),
    }
    with sql.connect(tmp_path, memory_mb, data_mb << 20) as connection:
        found = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("path", SHIPPED_SQL, ids=lambda path: path.name)
def test_the_contract_s_sql_can_be_wrapped_in_parentheses(path: Path) -> None:
    if path.name != "macros.sql":
        assert not path.read_text("utf-8").rstrip().endswith(";"), f"{path.name}: remove the semicolon at the end"
