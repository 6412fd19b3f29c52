"""The example dataset, on the same deployment as orders: only a folder of contracts was added for it."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec import structs

from pipeline.deploy import commands as deploy_commands
from pipeline.deploy.targets import Target
from pipeline.run import runs
from tests.e2e.conftest import Pipeline
from tests.unit.web_visits import CONTRACT, GOOD, MIXED, tables

GLUE_TYPE = {"VARCHAR": "string", "INTEGER": "int"}


def rows(path: Path, key: str) -> list[dict[str, Any]]:
    """The rows of a published Parquet file without their lineage."""
    relation = duckdb.sql(f"SELECT * EXCLUDE (batch_id, ingested_at) FROM read_parquet('{path}') ORDER BY {key}")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def check(pipeline: Pipeline, outcome: runs.RunResult, valid: list[dict[str, Any]], superseded: int = 0) -> None:
    """Check that the published rows of valid visits equal those of a model in plain Python."""
    files, expected, manifest = pipeline.tables(outcome), tables(valid), outcome.manifest
    assert manifest is not None
    for table in CONTRACT.tables:
        assert rows(files[f"{table.name}.parquet"], ", ".join(table.key)) == expected[table.name], table.name
    assert {name: table.rows for name, table in manifest.tables.items()} == {
        name: len(found) for name, found in expected.items()
    }
    assert manifest.counts.published == len(valid) - superseded
    for total in ("seconds", "scroll_depth"):
        published = Decimal(manifest.control_totals[total].published)
        assert published == sum(Decimal(row[total]) for row in expected["page_views"]), total


def test_a_good_file_is_published_as_a_whole(pipeline: Pipeline) -> None:
    data = GOOD.read_bytes()
    outcome = pipeline.run(data, GOOD.name, "web_visits")
    check(pipeline, outcome, [json.loads(line) for line in data.splitlines()])
    assert outcome.manifest is not None
    assert outcome.manifest.dataset == "web_visits"
    assert outcome.manifest.rejects is None
    assert outcome.upload.key == f"incoming/web_visits/{GOOD.name}"
    assert pipeline.notifications(outcome.upload.batch_id, expected=0, seconds=0) == []


def test_a_mixed_file_is_published_without_its_rejects(pipeline: Pipeline) -> None:
    """The file is one document, whose envelope has another name than that of orders."""
    data = MIXED.read_bytes()
    outcome = pipeline.run(data, MIXED.name, "web_visits")
    lines = pipeline.tables(outcome)["rejects.jsonl"].read_text("utf-8").splitlines()
    rejects = {reject["position"]: reject for reject in map(json.loads, lines)}
    broken = {place for place, reject in rejects.items() if reject["reason"] != "superseded"}
    records = json.loads(data)["visits"]
    check(pipeline, outcome, [record for at, record in enumerate(records) if at not in broken], superseded=1)
    assert outcome.manifest is not None
    counts, reasons = outcome.manifest.counts, outcome.manifest.rejected_by_reason
    assert structs.asdict(counts) == {"received": 90, "valid": 83, "rejected": 7, "superseded": 1, "published": 82}
    assert reasons == Counter(rejects[place]["reason"] for place in broken)
    assert rejects[0]["reason"] == "superseded"
    assert rejects[43]["errors"][0]["pointer"] == "/page_views/0/scroll_depth"
    assert [rejects[place]["record"] for place in sorted(broken)] == [records[place] for place in sorted(broken)]
    [notification] = pipeline.notifications(outcome.upload.batch_id, expected=1)
    assert "7 of its 90 records" in notification["Message"]


def test_orders_in_the_folder_of_visits_fail(pipeline: Pipeline) -> None:
    outcome = pipeline.run(b'{"order_id": "1"}', "orders.jsonl", "web_visits")
    assert (outcome.published, outcome.error) == (False, "NoValidRecordsError")


def test_the_database_has_the_tables_of_the_contract_with_their_columns(place: Target) -> None:
    name = place.outputs()["databases"]["web_visits"]
    found = {table["Name"]: table for table in place.client("glue").get_tables(DatabaseName=name)["TableList"]}
    for table in CONTRACT.tables:
        columns = {one["Name"]: one["Type"] for one in found[table.name]["StorageDescriptor"]["Columns"]}
        expected = {one.name: GLUE_TYPE.get(one.type, one.type.lower()) for one in table.columns}
        assert columns == {**expected, "batch_id": "string", "ingested_at": "timestamp"}, table.name
        current = {one["Name"] for one in found[f"{table.name}_current"]["StorageDescriptor"]["Columns"]}
        assert current == {*columns, "ingest_date"}, table.name
    assert len(found) == 2 * len(CONTRACT.tables) + len(
        ["runs", "runs_current", "rejects", "rejected_lines", "failures"]
    )


def test_deploy_prints_the_upload_folder_of_each_dataset(
    place: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deploy_commands, "target", lambda _: place)
    monkeypatch.setattr(deploy_commands.deploy, "deploy", lambda place, *_: place.outputs())
    deploy_commands.deploy_command("local")
    printed = capsys.readouterr().out
    for dataset in ("orders", "web_visits"):
        assert f"s3://{place.outputs()['ingest_bucket']}/incoming/{dataset}/" in printed.replace("\n", "")
