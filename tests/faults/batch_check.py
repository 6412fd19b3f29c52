"""Check one published batch of orders: recalculate it from its source and from its files, in exact decimals."""

import csv
import hashlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from tests.unit.orders import exact, line_total

TOTALS = {"total_amount": ("orders", "total_amount"), "line_total": ("items", "line_total")}
"""Of each control total of orders the table and the column that it is the sum of."""

ORPHANS = {
    "an order without its customer": "FROM orders ANTI JOIN customers USING (customer_id)",
    "an item without its order": "FROM items ANTI JOIN orders USING (order_id)",
    "a row of another batch": "FROM (SELECT batch_id FROM orders UNION SELECT batch_id FROM customers "
    "UNION SELECT batch_id FROM items) WHERE batch_id <> $batch_id",
    "an order twice": "FROM (FROM orders SELECT order_id GROUP BY ALL HAVING count(*) > 1)",
}

SinceCommit = Callable[[str], list[bytes | None]]
"""The content of a key when the batch was committed, followed by everything that was written there since."""


def check_batch(manifest: Mapping[str, Any], source: bytes, since_commit: SinceCommit) -> None:
    """Check that the manifest describes its outputs and counts correctly, and that no output ever changed."""
    batch_id, counts = manifest["batch_id"], manifest["counts"]
    files = {f"{name}.{kind}": table[kind] for name, table in manifest["tables"].items() for kind in ("parquet", "csv")}
    if manifest["rejects"]:
        files["rejects.jsonl"] = manifest["rejects"]
    contents = {name: _read(batch_id, output, since_commit(output["key"])) for name, output in files.items()}

    assert counts["received"] == counts["valid"] + counts["rejected"], f"{batch_id}: received is not valid + rejected"
    assert counts["valid"] == counts["published"] + counts["superseded"], (
        f"{batch_id}: valid is not published + superseded"
    )
    if manifest["source"]["key"].endswith(".jsonl"):
        lines = [line for line in source.splitlines() if line.strip()]
        assert len(lines) == counts["received"], f"{batch_id}: its file has {len(lines)} records"
    superseded = _check_rejects(manifest, contents.get("rejects.jsonl", b""))
    _check_tables(manifest, contents, superseded)


def _read(batch_id: str, output: Mapping[str, Any], since_commit: list[bytes | None]) -> bytes:
    """The content of an output, which must match the manifest from the commit on."""
    key = output["key"]
    assert since_commit, f"{batch_id}: {key} was not there when the manifest was written"
    for data in since_commit:
        assert data is not None, f"{batch_id}: {key} was deleted after the commit"
        found = (len(data), hashlib.sha256(data).hexdigest())
        assert found == (output["bytes"], output["sha256"]), f"{batch_id}: {key} is not what its manifest says"
    return since_commit[-1] or b""


def _check_rejects(manifest: Mapping[str, Any], content: bytes) -> list[dict[str, Any]]:
    """The superseded records among the rejects. The counts by reason must match the manifest."""
    rejects = [json.loads(line) for line in content.splitlines()]
    reasons = Counter(reject["reason"] for reject in rejects)
    said = Counter(manifest["rejected_by_reason"]) + Counter(superseded=manifest["counts"]["superseded"])
    assert reasons == said, f"{manifest['batch_id']}: the rejects are {dict(reasons)}, its manifest says {dict(said)}"
    assert sum(manifest["rejected_by_reason"].values()) == manifest["counts"]["rejected"]
    return [reject["record"] for reject in rejects if reject["reason"] == "superseded"]


def _check_tables(manifest: Mapping[str, Any], contents: Mapping[str, bytes], superseded: list[dict[str, Any]]) -> None:
    batch_id, tables = manifest["batch_id"], manifest["tables"]
    lost = {
        "total_amount": sum((exact(record["total_amount"]) for record in superseded), Decimal(0)),
        "line_total": sum((line_total(line) for record in superseded for line in record["items"]), Decimal(0)),
    }
    with tempfile.TemporaryDirectory() as folder, _duckdb().cursor() as connection:
        for name in tables:
            path = Path(folder, f"{name}.parquet")
            path.write_bytes(contents[path.name])
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM read_parquet('{path}')")
            rows = _number(connection, f"SELECT count(*) FROM {name}")
            in_csv = sum(1 for _ in csv.reader(io.StringIO(contents[f"{name}.csv"].decode(), newline=""))) - 1
            said = tables[name]["rows"]
            assert rows == in_csv == said, (
                f"{batch_id}: {name} has {rows} rows, {in_csv} in CSV, its manifest says {said}"
            )
        assert tables["orders"]["rows"] == manifest["counts"]["published"], (
            f"{batch_id}: orders are not the published records"
        )
        for what, query in ORPHANS.items():
            parameters = {"batch_id": batch_id} if "$" in query else {}
            assert not _number(connection, f"SELECT count(*) {query}", parameters), f"{batch_id}: {what}"
        for name, (table, column) in TOTALS.items():
            sums = {part: Decimal(number) for part, number in manifest["control_totals"][name].items()}
            published = Decimal(_number(connection, f"SELECT coalesce(sum({column}), 0) FROM {table}"))
            found = {"validated": published + lost[name], "superseded": lost[name], "published": published}
            assert sums == found, f"{batch_id}: the control total {name} is {found}, its manifest says {sums}"


def _number(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> Any:
    (number,) = connection.execute(query, parameters or None).fetchone() or (None,)
    return number


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})
