"""Plain SELECTs on the embedded AWS's Athena, which runs them on DuckDB: tables, places and partitions as deployed.

It knows no views; tests/analytics runs those.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pipeline.deploy.targets import Target
from pipeline.run import runs
from tests.e2e.conftest import Pipeline
from tests.e2e.test_outcomes import LINES

BAD = b'{"order_id": "half an order"}'

Select = Callable[[str], list[list[str | None]]]


@pytest.fixture
def outcome(pipeline: Pipeline) -> runs.RunResult:
    """A published file of ten orders, with one that is rejected."""
    return pipeline.run(b"\n".join([*LINES[:10], BAD]), "athena.jsonl")


@pytest.fixture
def select(place: Target) -> Select:
    """Run a query in the workgroup and database that Terraform made; answers its rows as Athena gives them: texts."""
    athena = place.client("athena")

    def run(sql: str) -> list[list[str | None]]:
        started = athena.start_query_execution(
            QueryString=sql,
            WorkGroup=place.outputs()["athena_workgroup"],
            QueryExecutionContext={"Database": place.outputs()["databases"]["orders"]},
        )["QueryExecutionId"]
        deadline = time.monotonic() + 30
        while (status := status_of(athena, started))["State"] in ("QUEUED", "RUNNING"):
            assert time.monotonic() < deadline, f"this query runs for too long: {sql}"
            time.sleep(0.1)
        assert status["State"] == "SUCCEEDED", status.get("StateChangeReason")
        rows = athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows[1:]]

    return run


def status_of(athena: Any, query: str) -> dict[str, Any]:
    status: dict[str, Any] = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
    return status


@pytest.mark.parametrize("table", ["orders", "customers", "items"])
def test_a_table_has_the_rows_of_the_manifest(outcome: runs.RunResult, select: Select, table: str) -> None:
    assert outcome.manifest is not None
    [[rows]] = select(f"SELECT count(*) FROM {table} WHERE batch_id = '{outcome.upload.batch_id}'")
    assert rows == str(outcome.manifest.tables[table].rows)


def test_a_day_narrows_the_rows(outcome: runs.RunResult, select: Select) -> None:
    assert outcome.manifest is not None
    where = f"batch_id = '{outcome.upload.batch_id}'"
    day = outcome.manifest.ingest_date
    assert select(f"SELECT count(*) FROM orders WHERE {where} AND ingest_date = '{day}'") == [["10"]]
    assert select(f"SELECT count(*) FROM orders WHERE {where} AND ingest_date > '{day}'") == [["0"]]


def test_decimals_stay_decimals(outcome: runs.RunResult, select: Select) -> None:
    assert outcome.manifest is not None
    [[total]] = select(f"SELECT sum(total_amount) FROM orders WHERE batch_id = '{outcome.upload.batch_id}'")
    assert total is not None
    assert Decimal(total) == Decimal(outcome.manifest.control_totals["total_amount"].published)


def test_runs_are_the_manifests(outcome: runs.RunResult, select: Select) -> None:
    batch = outcome.upload.batch_id
    found = select(
        "SELECT counts.received, counts.rejected, source.key, control_totals.total_amount.published "
        f"FROM runs WHERE batch_id = '{batch}'"
    )
    assert outcome.manifest is not None
    totals = outcome.manifest.control_totals["total_amount"].published
    assert found == [["11", "1", outcome.upload.key, totals]]


def test_rejects_are_there_line_by_line(outcome: runs.RunResult, select: Select) -> None:
    [[line]] = select(f"SELECT line FROM rejected_lines WHERE line LIKE '%{outcome.upload.batch_id}%'")
    assert line is not None
    assert "half an order" in line


def test_failures_are_there(pipeline: Pipeline, select: Select) -> None:
    failed = pipeline.run(b"{", "athena.json")
    found = select(f"SELECT error, published FROM failures WHERE batch_id = '{failed.upload.batch_id}'")
    assert found == [[failed.error, "false"]]


def test_results_go_where_the_workgroup_says(place: Target, select: Select) -> None:
    select("SELECT count(*) FROM orders")
    listing = place.s3().list_objects_v2(Bucket=place.outputs()["processed_bucket"], Prefix="queries/")
    assert listing["KeyCount"] > 0


def test_the_saved_queries_are_there(place: Target) -> None:
    athena = place.client("athena")
    saved = athena.list_named_queries(WorkGroup=place.outputs()["athena_workgroup"])["NamedQueryIds"]
    names = {query["Name"] for query in athena.batch_get_named_query(NamedQueryIds=saved)["NamedQueries"]}
    assert {"orders: revenue by day", "orders: top customers", "orders: reject reasons by producer"} <= names
