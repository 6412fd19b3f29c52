"""Analysts' tables, views and saved queries, by somebody who has the output analyst_policy and no other permission."""

import csv
import json
from collections import defaultdict

from pipeline import ROOT
from pipeline.run import runs
from pipeline.smoke.model import Check, CheckFailedError, expect
from pipeline.smoke.trial import BAD, DATASET, HOPELESS, Trial

_RUNS = 2
"""Of the files that the checks send the good and the mixed one are published; views are counted before any other."""
_REJECTS = BAD + HOPELESS


def tables(trial: Trial) -> str:
    """Each table has the rows that the manifests say."""
    published = (trial.good(), trial.mixed())
    batches = ", ".join(f"'{ended.upload.batch_id}'" for ended in published)
    expected: defaultdict[str, int] = defaultdict(int)
    for ended in published:
        for table, content in (ended.manifest.tables if ended.manifest else {}).items():
            expected[table] += content.rows
    counted = {
        table: _count(trial, f"SELECT count(*) FROM {table} WHERE batch_id IN ({batches})") for table in expected
    }
    expect(counted, dict(expected), "rows")
    return _listed(counted)


def views(trial: Trial) -> str:
    """Each view shows what it should: every key once, the runs that count, all rejects."""
    expected = {f"{table}_current": len(keys) for table, keys in _published_keys(trial).items()}
    expected |= {"runs_current": _RUNS, "rejects": _REJECTS}
    pages = trial.analyst("glue").get_paginator("get_tables").paginate(DatabaseName=_database(trial))
    found = set(pages.search("TableList[?TableType=='VIRTUAL_VIEW'].Name"))
    expect(found, set(expected), "the views")
    counted = {view: _count(trial, f"SELECT count(*) FROM {view}") for view in sorted(expected)}
    expect(counted, expected, "rows")
    for view in sorted(expected):
        _query(trial, f"SELECT * FROM {view}", _database(trial))
    return _listed(counted)


def saved_queries(trial: Trial) -> str:
    """Every saved query runs."""
    athena = trial.analyst("athena")
    listed = athena.list_named_queries(WorkGroup=trial.place.outputs()["athena_workgroup"])["NamedQueryIds"]
    queries = athena.batch_get_named_query(NamedQueryIds=listed)["NamedQueries"]
    if not queries:
        raise CheckFailedError("there is no saved query")
    for query in queries:
        try:
            _query(trial, query["QueryString"], query["Database"])
        except CheckFailedError as failed:
            raise CheckFailedError(f"{query['Name']}: {failed}") from failed
    return f"{len(queries)} queries"


def console(trial: Trial) -> str:
    """What Athena's console asks before anybody can query: it shows the workgroup, the catalog and its tables."""
    athena, catalog = trial.analyst("athena"), "AwsDataCatalog"
    groups = [group["Name"] for group in athena.list_work_groups()["WorkGroups"]]
    workgroup = trial.place.outputs()["athena_workgroup"]
    if workgroup not in groups:
        raise CheckFailedError(f"{workgroup} is not among the workgroups: {', '.join(groups)}")
    athena.get_work_group(WorkGroup=workgroup)
    athena.list_engine_versions()
    athena.list_data_catalogs()
    athena.get_data_catalog(Name=catalog)
    athena.list_databases(CatalogName=catalog)
    athena.get_database(CatalogName=catalog, DatabaseName=_database(trial))
    tables = athena.list_table_metadata(CatalogName=catalog, DatabaseName=_database(trial))["TableMetadataList"]
    athena.get_table_metadata(CatalogName=catalog, DatabaseName=_database(trial), TableName=tables[0]["Name"])
    return f"the workgroup, the catalog and {len(tables)} tables"


def _published_keys(trial: Trial) -> dict[str, set[tuple[str, ...]]]:
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


def _count(trial: Trial, sql: str) -> int:
    """The one number that a query returns. Raises CheckFailedError where it fails."""
    query = _query(trial, sql, _database(trial))
    _, row = trial.analyst("athena").get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    return int(row["Data"][0]["VarCharValue"])


def _query(trial: Trial, sql: str, database: str) -> str:
    """Run a query to its end, and return its id. Raises CheckFailedError where it fails."""
    athena = trial.analyst("athena")
    query: str = athena.start_query_execution(
        QueryString=sql,
        WorkGroup=trial.place.outputs()["athena_workgroup"],
        QueryExecutionContext={"Database": database},
    )["QueryExecutionId"]
    ended = {}

    def has_ended() -> bool:
        ended.update(athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"])
        return ended["State"] not in ("QUEUED", "RUNNING")

    trial.wait_for(has_ended, f"the answer to {sql}")
    if ended["State"] != "SUCCEEDED":
        raise CheckFailedError(f"{sql}: {ended.get('StateChangeReason', ended['State'])}")
    return query


def _database(trial: Trial) -> str:
    return str(trial.place.outputs()["databases"][DATASET])


def _listed(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counted.items())


CHECKS = (
    Check("Athena's tables", tables),
    Check("Athena's views", views, not_local="knows no views; their SQL is tested on DuckDB"),
    Check("saved queries", saved_queries, not_local="knows no views, which they read; they are tested on DuckDB"),
    Check("Athena's console", console, not_local="knows only some of what the console asks"),
)
