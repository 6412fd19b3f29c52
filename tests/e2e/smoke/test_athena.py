"""Tables, views and saved queries for analysts, with only the permissions of the output analyst_policy.

The local emulator runs plain SELECTs on DuckDB. It doesn't support views; tests/analytics runs those.
"""

import csv
import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline import ROOT
from pipeline.run import runs
from tests.e2e.northwind import BAD, HOPELESS
from tests.e2e.smoke.trial import DATASET, Trial

RUNS = 2
"""The good and the mixed file of the checks are published; views are counted before other files are sent."""
REJECTS = len(BAD) + HOPELESS.count(b"\n")

SAVED = {"orders: revenue by day", "orders: top customers", "orders: reject reasons by producer"}
"""Some of the saved queries."""


@pytest.mark.check("Athena's tables")
def test_each_table_has_the_rows_of_the_manifests(trial: Trial, found: Callable[[str], None]) -> None:
    expected, counted = {}, {}
    for ended in (trial.good(), trial.mixed()):
        assert ended.manifest, ended.line()
        for table, content in ended.manifest.tables.items():
            expected[table, ended.upload.batch_id] = content.rows
    for table, batch in expected:
        counted[table, batch] = count(trial, f"SELECT count(*) FROM {table} WHERE batch_id = '{batch}'")
    assert counted == expected
    tables = sorted({table for table, _ in expected})
    found(listed({name: sum(rows for (table, _), rows in expected.items() if table == name) for name in tables}))


@pytest.mark.check("Athena's partitions and decimals")
def test_a_day_narrows_the_rows_and_decimals_stay_decimals(trial: Trial, found: Callable[[str], None]) -> None:
    good = trial.good()
    assert good.manifest, good.line()
    where, day = f"batch_id = '{good.upload.batch_id}'", good.manifest.ingest_date
    orders = good.manifest.counts.published
    assert count(trial, f"SELECT count(*) FROM orders WHERE {where} AND ingest_date = '{day}'") == orders
    assert count(trial, f"SELECT count(*) FROM orders WHERE {where} AND ingest_date > '{day}'") == 0
    [[total]] = select(trial, f"SELECT sum(total_amount) FROM orders WHERE {where}")
    assert total is not None
    assert Decimal(total) == Decimal(good.manifest.control_totals["total_amount"].published)
    found(f"{orders} orders of {day}, {total} in all")


@pytest.mark.check("Athena's runs, rejects and failures")
def test_runs_rejects_and_failures_can_be_queried(trial: Trial, found: Callable[[str], None]) -> None:
    mixed, hopeless = trial.mixed(), trial.hopeless()
    assert mixed.manifest, mixed.line()
    counts, batch = mixed.manifest.counts, mixed.upload.batch_id
    run = select(
        trial,
        "SELECT counts.received, counts.rejected, source.key, control_totals.total_amount.published "
        f"FROM runs WHERE batch_id = '{batch}'",
    )
    totals = mixed.manifest.control_totals["total_amount"].published
    assert run == [[str(counts.received), str(counts.rejected), mixed.upload.key, totals]]
    lines = select(trial, f"SELECT line FROM rejected_lines WHERE line LIKE '%{batch}%'")
    assert len(lines) == len(BAD)
    assert "half an order" in str(lines)
    failed = hopeless.upload.batch_id
    failures = select(trial, f"SELECT error, published FROM failures WHERE batch_id = '{failed}'")
    assert failures == [[hopeless.error, "false"]]
    bucket = trial.place.outputs()["processed_bucket"]
    assert trial.place.s3().list_objects_v2(Bucket=bucket, Prefix="queries/")["KeyCount"] > 0, "where results go"
    found(f"1 run, {len(lines)} rejects, 1 failure")


@pytest.mark.check("Athena's views", not_local="doesn't support views; their SQL is tested on DuckDB")
def test_each_view_has_the_expected_rows(trial: Trial, found: Callable[[str], None]) -> None:
    """Every key once, the runs that count, and all rejects."""
    expected = {f"{table}_current": len(keys) for table, keys in published_keys(trial).items()}
    expected |= {"runs_current": RUNS, "rejects": REJECTS}
    pages = trial.analyst("glue").get_paginator("get_tables").paginate(DatabaseName=database(trial))
    views = set(pages.search("TableList[?TableType=='VIRTUAL_VIEW'].Name"))
    assert views == set(expected), "the views"
    counted = {view: count(trial, f"SELECT count(*) FROM {view}") for view in sorted(expected)}
    assert counted == expected, "rows"
    for view in sorted(expected):
        query(trial, f"SELECT * FROM {view}", database(trial))
    found(listed(counted))


@pytest.mark.check("saved queries", not_local="doesn't support views, which they read; they are tested on DuckDB")
def test_every_saved_query_runs(trial: Trial, found: Callable[[str], None]) -> None:
    queries = saved_queries(trial, trial.analyst("athena"))
    failed = []
    for name, (sql, of_database) in queries.items():
        try:
            query(trial, sql, of_database)
        except AssertionError as fault:
            failed.append(f"{name}: {fault}")
    assert failed == []
    found(f"{len(queries)} queries")


@pytest.mark.check("names of saved queries")
def test_the_saved_queries_are_deployed(trial: Trial, found: Callable[[str], None]) -> None:
    queries = saved_queries(trial, trial.analyst("athena"))
    assert queries.keys() >= SAVED
    found(f"{len(queries)} queries")


@pytest.mark.check("the Athena console", not_local="knows only some of what the console asks")
def test_athenas_console_shows_the_workgroup_the_catalog_and_its_tables(
    trial: Trial, found: Callable[[str], None]
) -> None:
    """The calls of the console before a query."""
    athena, catalog = trial.analyst("athena"), "AwsDataCatalog"
    workgroup = trial.place.outputs()["athena_workgroup"]
    assert workgroup in [group["Name"] for group in athena.list_work_groups()["WorkGroups"]]
    athena.get_work_group(WorkGroup=workgroup)
    athena.list_engine_versions()
    athena.list_data_catalogs()
    athena.get_data_catalog(Name=catalog)
    athena.list_databases(CatalogName=catalog)
    athena.get_database(CatalogName=catalog, DatabaseName=database(trial))
    tables = athena.list_table_metadata(CatalogName=catalog, DatabaseName=database(trial))["TableMetadataList"]
    athena.get_table_metadata(CatalogName=catalog, DatabaseName=database(trial), TableName=tables[0]["Name"])
    found(f"the workgroup, the catalog and {len(tables)} tables")


def published_keys(trial: Trial) -> dict[str, set[tuple[str, ...]]]:
    """The keys of all rows that were published, by table."""
    contract = json.loads((ROOT / "contracts" / DATASET / "contract.json").read_text("utf-8"))
    keys: dict[str, set[tuple[str, ...]]] = {table["name"]: set() for table in contract["tables"]}
    for ended in (trial.good(), trial.mixed()):
        folder = trial.folder / ended.upload.batch_id
        runs.download_outputs(trial.place, ended, folder)
        for table in contract["tables"]:
            with (folder / f"{table['name']}.csv").open(encoding="utf-8", newline="") as file:
                keys[table["name"]] |= {tuple(row[name] for name in table["key"]) for row in csv.DictReader(file)}
    return keys


def saved_queries(trial: Trial, athena: object) -> dict[str, tuple[str, str]]:
    """The SQL and the database of each saved query of the workgroup, by name."""
    ids = athena.list_named_queries(WorkGroup=trial.place.outputs()["athena_workgroup"])["NamedQueryIds"]  # type: ignore[attr-defined]
    found = athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"] if ids else []  # type: ignore[attr-defined]
    assert found, "there is no saved query"
    return {one["Name"]: (one["QueryString"], one["Database"]) for one in found}


def count(trial: Trial, sql: str) -> int:
    """The one number that a query returns."""
    [[number]] = select(trial, sql)
    return int(number or 0)


def select(trial: Trial, sql: str) -> list[list[str | None]]:
    """The rows of a query as Athena gives them: strings."""
    rows = trial.analyst("athena").get_query_results(QueryExecutionId=query(trial, sql, database(trial)))
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows["ResultSet"]["Rows"][1:]]


def query(trial: Trial, sql: str, of_database: str) -> str:
    """Run a query to its end in the workgroup of the deployment, and return its id."""
    athena = trial.analyst("athena")
    started: str = athena.start_query_execution(
        QueryString=sql,
        WorkGroup=trial.place.outputs()["athena_workgroup"],
        QueryExecutionContext={"Database": of_database},
    )["QueryExecutionId"]
    ended = {}

    def has_ended() -> bool:
        ended.update(athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"])
        return ended["State"] not in ("QUEUED", "RUNNING")

    trial.wait_for(has_ended, f"the answer to {sql}")
    assert ended["State"] == "SUCCEEDED", f"{sql}: {ended.get('StateChangeReason')}"
    return started


def database(trial: Trial) -> str:
    """The database of the orders."""
    return str(trial.place.outputs()["databases"][DATASET])


def listed(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counted.items())
