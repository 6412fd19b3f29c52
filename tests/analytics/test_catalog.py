"""The Glue tables match their files, for any contract: names, types and locations."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from functions.common.batch import Batch, Source
from functions.common.contract import LINEAGE, load_contract
from functions.common.documents.chunk_counts import DriftCount
from functions.record_failure.failure import Failure, record
from tests.analytics.catalog import Catalog, columns, duckdb_type, transpiled
from tests.analytics.conftest import CONTRACTS
from tests.analytics.publish_files import publish_into
from tests.unit import web_visits

RETURNS = load_contract("returns", CONTRACTS)
CONTRACT_OF = {"orders": load_contract("orders"), "returns": RETURNS, "web_visits": web_visits.CONTRACT}


def a_return(number: int, lines: int = 1, **changes: Any) -> dict[str, Any]:
    items = [
        {"line": line, "product_id": f"p{line}", "remarks": ["torn", "wet"][:line]} for line in range(1, lines + 1)
    ]
    plain = {
        **{"return_id": number, "country": "DE", "day": "2026-10-01", "complete": True, "weight": 0.25},
        **{"refund": 12.34, "shop_id": "s", "shop_name": "S", "seen_at": "2026-10-01T12:00:00Z", "items": items},
    }
    return {**plain, **changes}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processed bucket with two files of returns. The second corrects a return and has rows of no other table."""
    folder = tmp_path_factory.mktemp("bucket")
    work = tmp_path_factory.mktemp("work")
    publish_into(folder, work / "1", RETURNS, [a_return(1, 3), a_return(2, 2)], "1.jsonl")
    late = a_return(1, 0, shop_name="s of old", seen_at="2026-09-01T12:00:00Z")
    publish_into(folder, work / "2", RETURNS, [late], "2.jsonl")
    return folder


@pytest.mark.parametrize(("dataset", "table"), [(d, t.name) for d, c in CONTRACT_OF.items() for t in c.tables])
def test_glue_tables_have_the_columns_of_the_contract(catalog: Catalog, dataset: str, table: str) -> None:
    [of_contract] = [one for one in CONTRACT_OF[dataset].tables if one.name == table]
    expected = {column.name: column.type for column in (*of_contract.columns, *LINEAGE)}
    planned = catalog.tables[dataset][table]
    assert {name: duckdb_type(kind) for name, kind in columns(planned).items()} == {
        name: kind.replace("INTEGER", "INT").replace(",", ", ") for name, kind in expected.items()
    }
    assert [key["name"] for key in planned["partition_keys"]] == ["ingest_date"]


@pytest.mark.parametrize("table", [table.name for table in RETURNS.tables])
def test_parquet_and_csv_have_the_columns_of_the_contract(bucket: Path, table: str) -> None:
    """This includes empty files: the second file has no items and no remarks."""
    [of_contract] = [one for one in RETURNS.tables if one.name == table]
    expected = {column.name: column.type for column in (*of_contract.columns, *LINEAGE)}
    for path in (bucket / "tables" / "returns" / table).rglob("*.parquet"):
        described = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning = false)").fetchall()
        assert {name: kind for name, kind, *_ in described} == expected
    for path in (bucket / "processed" / "returns").rglob(f"{table}.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert next(csv.reader(file)) == list(expected)


@pytest.mark.parametrize("dataset", CONTRACT_OF)
def test_a_view_has_the_columns_of_its_glue_table(catalog: Catalog, bucket: Path, dataset: str) -> None:
    """Athena calls a view stale and refuses it if its SQL has other types than its columns."""
    connection = catalog.open(bucket, dataset)
    for name, planned in catalog.views[dataset].items():
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        expected = {column: duckdb_type(kind) for column, kind in columns(planned).items()}
        found = {column: kind.replace("INTEGER", "INT").replace(",", ", ") for column, kind, *_ in described}
        assert found == expected, name
        said = {column["name"]: column["type"] for column in planned["view"]["columns"]}
        assert said == {
            column: kind.replace("string", "varchar").replace("int", "integer").replace("biginteger", "bigint")
            for column, kind in columns(planned).items()
        }
        assert planned["view"]["schema"] == planned["database_name"]


def test_every_table_and_view_exists(catalog: Catalog) -> None:
    for dataset, contract in CONTRACT_OF.items():
        tables = {table.name for table in contract.tables}
        assert set(catalog.tables[dataset]) == tables | {"runs", "failures", "rejected_lines"}
        assert set(catalog.views[dataset]) == {f"{name}_current" for name in (*tables, "runs")} | {"rejects"}


def test_tables_with_the_same_name_in_two_datasets_are_separate(catalog: Catalog) -> None:
    for table in ("orders", "items", "runs"):
        databases = [catalog.tables[dataset][table]["database_name"] for dataset in ("orders", "returns")]
        assert databases == ["order_pipeline_dev_orders", "order_pipeline_dev_returns"]
        [ours], [theirs] = (catalog.tables[dataset][table]["storage_descriptor"] for dataset in ("orders", "returns"))
        assert ours["location"] != theirs["location"]


def test_the_description_of_a_base_table_warns_of_uncommitted_rows(catalog: Catalog) -> None:
    for dataset, contract in CONTRACT_OF.items():
        for table in contract.tables:
            description = catalog.tables[dataset][table.name]["description"]
            assert "not committed" in description
            assert f"{table.name}_current" in description


def test_partitions_are_projected_from_the_layout_of_the_bucket(catalog: Catalog) -> None:
    batch = a_batch()
    for name, key in (("orders", batch.parquet_key("orders")), ("rejected_lines", batch.rejected_key)):
        parameters = catalog.tables["orders"][name]["parameters"]
        assert {name: value for name, value in parameters.items() if "ingest_date" in name} == {
            "projection.ingest_date.type": "date",
            "projection.ingest_date.format": "yyyy-MM-dd",
            "projection.ingest_date.range": "2026-01-01,NOW",
            "projection.ingest_date.interval": "1",
            "projection.ingest_date.interval.unit": "DAYS",
        }
        assert parameters["projection.enabled"] == "true"
        place = parameters["storage.location.template"].replace("${ingest_date}", batch.ingest_date)
        assert place == f"s3://order-pipeline-dev-processed-123456789012/{key.rpartition('/')[0]}/"


def test_the_runs_table_has_the_members_of_a_manifest(catalog: Catalog, bucket: Path) -> None:
    for path in (bucket / "manifests" / "returns").iterdir():
        check_members(json.loads(path.read_bytes()), columns(catalog.tables["returns"]["runs"]))


def test_the_failures_table_has_the_members_of_a_failure_record(catalog: Catalog) -> None:
    content = record(Failure(a_batch(), "x", "FAILED", "E", "why"), committed=False, rejects_uri=None)
    check_members(json.loads(content.to_bytes()), columns(catalog.tables["orders"]["failures"]))


def check_members(content: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """Fail unless an object has the members that a table has as columns, including the members of structs."""
    assert list(content) == list(kinds), "infra/catalog.tf differs from the output of the functions"
    for name, value in content.items():
        if kinds[name].startswith("struct") and value:
            assert list(value) == members_of(kinds[name]), name


def members_of(kind: str) -> list[str]:
    """The names of the members of a struct, or of the structs in an array."""
    return [part.split(":")[0] for part in kind.removeprefix("array<").removeprefix("struct<").rstrip(">").split(",")]


def test_the_runs_table_has_the_members_of_drift(catalog: Catalog) -> None:
    kind = columns(catalog.tables["orders"]["runs"])["drift"]
    assert members_of(kind) == list(DriftCount.__struct_fields__)


def test_the_views_of_another_dataset_apply_its_corrections(catalog: Catalog, bucket: Path) -> None:
    connection = catalog.open(bucket, "returns")

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return connection.execute(sql).fetchall()

    assert rows("SELECT return_id FROM orders_current ORDER BY ALL") == [(1,), (2,)]
    assert rows("SELECT return_id, line FROM items_current ORDER BY ALL") == [(2, 1), (2, 2)]
    assert rows("SELECT return_id, line, remark FROM remarks_current ORDER BY ALL") == [
        (2, 1, "torn"),
        (2, 2, "torn"),
        (2, 2, "wet"),
    ]
    assert rows("SELECT name FROM shops_current") == [("S",)]


def test_the_views_of_the_example_dataset_merge_its_files(catalog: Catalog, tmp_path: Path) -> None:
    """The later file corrects a visit, with fewer page views, and contains older details of its visitor."""
    records = [json.loads(line) for line in web_visits.GOOD.read_bytes().splitlines()]
    changed, first = records[7], {**records[7]["visitor"], "country": None}
    page_views = [{**changed["page_views"][0], "tags": ["new"], "events": []}]
    correction = {**changed, "page_views": page_views, "ended_at": None}
    earlier = {**records[9], "visit_id": "w9", "started_at": "2026-01-01T00:00:00Z", "visitor": first}
    earlier["page_views"] = [{**view, "opened_at": "2026-01-01T00:00:00Z"} for view in earlier["page_views"]]
    for number, file in enumerate((records, [correction, earlier])):
        publish_into(tmp_path / "bucket", tmp_path / str(number), web_visits.CONTRACT, file, f"{number}.jsonl")
    connection = catalog.open(tmp_path / "bucket", "web_visits")
    expected = web_visits.tables([*records, correction, earlier])
    assert expected["events"] != web_visits.tables(records)["events"], "the correction must not remove events"
    for table in web_visits.CONTRACT.tables:
        names, key = ", ".join(column.name for column in table.columns), ", ".join(table.key)
        relation = connection.sql(f"SELECT {names} FROM {table.name}_current ORDER BY {key}")
        rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
        assert rows == expected[table.name], table.name


def test_the_saved_query_of_the_example_dataset_runs(catalog: Catalog, tmp_path: Path) -> None:
    records = [json.loads(line) for line in web_visits.GOOD.read_bytes().splitlines()]
    publish_into(tmp_path / "bucket", tmp_path / "work", web_visits.CONTRACT, records)
    views = [(record["visitor"]["visitor_id"], view) for record in records for view in record["page_views"]]
    by_path: dict[str, list[tuple[str, Any]]] = {}
    for visitor, view in views:
        by_path.setdefault(view["path"], []).append((visitor, view))
    found = catalog.open(tmp_path / "bucket", "web_visits").execute(
        transpiled(catalog.queries["web_visits"]["views_by_page"])
    )
    assert [row[:4] for row in found.fetchall()] == [
        (path, len(some), len({visitor for visitor, _ in some}), sum(view["seconds"] for _, view in some))
        for path, some in sorted(by_path.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def a_batch() -> Batch:
    source = Source("b", "incoming/orders/x", "v", 1, "e", "")
    return Batch("orders", "orders-0", 1, source, "2026-11-02T00:00:00Z", 1, 0)
