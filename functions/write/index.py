"""The entry point of `write`: all parts of a batch in, its published tables and its manifest out."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import orjson

from functions.common import s3_utils, sql, staging
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.contract import Contract, Table, load_contract
from functions.common.errors import ReconciliationError
from functions.common.telemetry import count, step
from functions.common.workdir import workdir
from functions.write import publish
from functions.write.csv_file import write_csv
from functions.write.merge import Superseded, add_up, merge, read_superseded
from functions.write.publish import REJECTS
from functions.write.rejects import write_rejects

_PARALLEL = 16
"""How many small objects are fetched at once; a batch has up to 500 chunks."""

_CONTENT_TYPES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv; charset=utf-8"}


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Publish and commit a batch, or see that it is committed; answers its counts and the notice of its rejects."""
    batch = Batch.from_input(event)
    bucket = settings().processed_bucket
    with step("write", batch.batch_id) as outcome:
        committed = s3_utils.get_bytes(bucket, batch.manifest_key)
        if committed is None:
            committed = _publish(batch)
        else:
            publish.verify(orjson.loads(committed), _digest)
            outcome["already_committed"] = True
        answer = publish.summary(orjson.loads(committed), bucket)
        outcome |= {key: value for key, value in answer.items() if key not in ("notice", "batch_id")}
    return answer


def _publish(batch: Batch) -> bytes:
    bucket, contract = settings().processed_bucket, load_contract(batch.dataset, settings().contracts)
    counts = _counts(batch)
    totals = add_up(counts, batch)
    with workdir() as folder:
        refusal = publish.refusal(totals, settings().max_reject_ratio, f"s3://{bucket}/{batch.rejected_key}")
        if refusal and totals.rejected:
            _upload_rejects(batch, counts, iter(()), contract, folder)
        if refusal:
            _count_rejects(batch, totals.rejected_by_reason)
            raise refusal
        parts_bytes = _download_parts(batch, contract, folder)
        with sql.connect(folder, settings().memory_mb, parts_bytes) as connection:
            merged = merge(batch, contract, totals, folder, connection)
            outputs = {}
            if totals.rejected or merged.superseded:
                outputs[REJECTS] = _upload_rejects(batch, counts, read_superseded(folder), contract, folder)
            for table in contract.tables:
                outputs |= _publish_table(batch, table, folder, connection)
    return _commit(batch, publish.manifest(batch, contract, totals, merged, outputs, settings().release))


def _publish_table(
    batch: Batch, table: Table, folder: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, dict[str, Any]]:
    """Upload a table's two files. CSV, the large one, is made only now and gone before the next: /tmp has an end."""
    parquet, csv = folder / f"{table.name}.parquet", write_csv(table, batch, folder, connection)
    keys = {parquet: batch.parquet_key(table.name), csv: batch.csv_key(table.name)}
    bucket = settings().processed_bucket
    outputs = {
        path.name: s3_utils.publish(path, bucket, key, _CONTENT_TYPES[path.suffix]) for path, key in keys.items()
    }
    csv.unlink()
    return outputs


def _counts(batch: Batch) -> list[dict[str, Any]]:
    """What `validate` wrote of each chunk, in order."""

    def read(chunk: int) -> dict[str, Any]:
        data = s3_utils.get_bytes(settings().processed_bucket, batch.staging_key(chunk, "counts.json"))
        if data is None:
            raise ReconciliationError(f"Chunk {chunk} has no counts in staging; it expired, or was never validated.")
        counts: dict[str, Any] = orjson.loads(data)
        return counts

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(read, range(batch.chunk_count)))


def _download_parts(batch: Batch, contract: Contract, folder: Path) -> int:
    """Every table's parts, as `<chunk>.<table>.part` in `folder`; answers their bytes."""

    def download(place: tuple[int, str]) -> int:
        chunk, table = place
        part = folder / f"{chunk:05d}.{table}.part"
        staging.fetch(batch, chunk, f"{table}.parquet", part)
        return part.stat().st_size

    places = [(chunk, table.name) for chunk in range(batch.chunk_count) for table in contract.tables]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return sum(pool.map(download, places))


def _upload_rejects(
    batch: Batch,
    counts: Sequence[Mapping[str, Any]],
    superseded: Iterator[Superseded],
    contract: Contract,
    folder: Path,
) -> dict[str, Any]:
    """Write and upload the rejects of a batch; answers the output."""

    def staged(chunk: int, name: str) -> Path:
        path = folder / f"{chunk:05d}.{name}"
        staging.fetch(batch, chunk, name, path)
        return path

    write_rejects(folder / REJECTS, batch.batch_id, contract, counts, superseded, staged)
    return s3_utils.publish(folder / REJECTS, settings().processed_bucket, batch.rejected_key, "application/x-ndjson")


def _digest(key: str) -> str | None:
    head = s3_utils.head(settings().processed_bucket, key)
    return head["Metadata"].get("sha256", "") if head else None


def _commit(batch: Batch, manifest: bytes) -> bytes:
    """Write the manifest, unless one stands; answers the one that stands. Raises CommitConflictError."""
    bucket = settings().processed_bucket
    if not s3_utils.put_new(bucket, batch.manifest_key, manifest):
        publish.check_same(s3_utils.get_bytes(bucket, batch.manifest_key) or b"", manifest)
        return manifest
    account = orjson.loads(manifest)
    count(batch.dataset, {f"Records{name.capitalize()}": number for name, number in account["counts"].items()})
    _count_rejects(batch, account["rejected_by_reason"])
    return manifest


def _count_rejects(batch: Batch, by_reason: Mapping[str, int]) -> None:
    """Emit the rejects by reason: of a published file once, of a refused one each time that it is run."""
    for reason, number in by_reason.items():
        count(batch.dataset, {"RejectsByReason": number}, reason=reason)
