"""Analysts' tables and views, in the workgroup that was deployed for them."""

import csv
import json
from collections import defaultdict

from pipeline import ROOT
from pipeline.run import runs
from pipeline.smoke.model import Check, CheckFailedError, expect
from pipeline.smoke.trial import BAD, DATASET, HOPELESS, Trial


def tables(trial: Trial) -> str:
    """Each table has the rows that the manifests say."""
    published = (trial.good, trial.mixed)
    batches = ", ".join(f"'{ended.upload.batch_id}'" for ended in published)
    expected: defaultdict[str, int] = defaultdict(int)
    for ended in published:
        for table, content in (ended.manifest or {})["tables"].items():
            expected[table] += content["rows"]
    counted = {
        table: _count(trial, f"SELECT count(*) FROM {table} WHERE batch_id IN ({batches})") for table in expected
    }
    expect(counted, dict(expected), "rows")
    return _listed(counted)


def views(trial: Trial) -> str:
    """Each view shows what it should: every key once, the runs that count, all rejects."""
    expected = {f"{table}_current": len(keys) for table, keys in _published_keys(trial).items()}
    expected |= {"runs_current": 2, "rejects": BAD + HOPELESS}
    pages = trial.place.client("glue").get_paginator("get_tables").paginate(DatabaseName=_database(trial))
    found = set(pages.search("TableList[?TableType=='VIRTUAL_VIEW'].Name"))
    expect(found, set(expected), "the views")
    counted = {view: _count(trial, f"SELECT count(*) FROM {view}") for view in sorted(expected)}
    expect(counted, expected, "rows")
    return _listed(counted)


def _published_keys(trial: Trial) -> dict[str, set[tuple[str, ...]]]:
    """The keys of all rows that were published, by table."""
    contract = json.loads((ROOT / "contracts" / DATASET / "contract.json").read_text("utf-8"))
    keys: dict[str, set[tuple[str, ...]]] = {table["name"]: set() for table in contract["tables"]}
    for ended in (trial.good, trial.mixed):
        folder = trial.folder / ended.upload.batch_id
        runs.download_outputs(trial.place, ended, folder)
        for table in contract["tables"]:
            with (folder / f"{table['name']}.csv").open(encoding="utf-8", newline="") as file:
                keys[table["name"]] |= {tuple(row[name] for name in table["key"]) for row in csv.DictReader(file)}
    return keys


def _count(trial: Trial, sql: str) -> int:
    """The one number that a query answers. Raises CheckFailedError where it fails."""
    athena = trial.place.client("athena")
    query = athena.start_query_execution(
        QueryString=sql,
        WorkGroup=trial.place.outputs["athena_workgroup"],
        QueryExecutionContext={"Database": _database(trial)},
    )["QueryExecutionId"]
    ended = {}

    def has_ended() -> bool:
        ended.update(athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"])
        return ended["State"] not in ("QUEUED", "RUNNING")

    trial.wait_for(has_ended, f"the answer to {sql}")
    if ended["State"] != "SUCCEEDED":
        raise CheckFailedError(f"{sql}: {ended.get('StateChangeReason', ended['State'])}")
    _, row = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    return int(row["Data"][0]["VarCharValue"])


def _database(trial: Trial) -> str:
    return str(trial.place.outputs["databases"][DATASET])


def _listed(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counted.items())


CHECKS = (
    Check("Athena's tables", tables),
    Check("Athena's views", views, not_local="knows no views; their SQL is tested on DuckDB"),
)
