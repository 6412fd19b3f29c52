"""The entry point of `write`: all parts of a batch in, its published tables and its manifest out."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import orjson

from functions.common import s3_utils, sql, staging
from functions.common.batch import Batch, batch_id_for, manifest_key
from functions.common.config import settings
from functions.common.contract import Contract, Table, load_contract
from functions.common.errors import TransientError
from functions.common.parallel import MOST_AT_ONCE, at_once
from functions.common.source.stored import open_stored
from functions.common.telemetry import count, step
from functions.common.workdir import workdir
from functions.write import publish
from functions.write.account import add_up
from functions.write.csv_file import write_csv
from functions.write.merge import Superseded, merge, read_superseded
from functions.write.publish import REJECTS
from functions.write.rejects import write_rejects

_CONTENT_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv; charset=utf-8",
    ".jsonl": "application/x-ndjson",
}


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Publish and commit a batch, or see that it is committed; answers its counts and the notice of its rejects."""
    batch = Batch.from_input(event)
    bucket = settings().processed_bucket
    with step("write", batch.batch_id) as outcome:
        counts_keys = [batch.staging_key(chunk, "counts.json") for chunk in range(batch.chunk_count)]
        committed, *counts = at_once(partial(s3_utils.get_bytes, bucket), [batch.manifest_key, *counts_keys])
        if committed is None:
            committed = _publish(batch, _parsed(batch, counts))
        else:
            publish.verify(orjson.loads(committed), _digest)
            outcome["already_committed"] = True
        answer = publish.summary(orjson.loads(committed), bucket, _earlier(batch))
        outcome |= {key: value for key, value in answer.items() if key not in ("notice", "batch_id")}
    return answer


def _publish(batch: Batch, counts: Sequence[Mapping[str, Any]]) -> bytes:
    bucket, contract = settings().processed_bucket, load_contract(batch.dataset, settings().contracts)
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
            outputs: dict[str, dict[str, Any]] = {}
            if totals.rejected or merged.superseded:
                outputs[REJECTS] = _upload_rejects(batch, counts, read_superseded(folder), contract, folder)
            outputs |= _publish_tables(batch, contract.tables, folder, connection)
    return _commit(batch, publish.manifest(batch, contract, totals, merged, outputs, settings().release))


def _publish_tables(
    batch: Batch, tables: Sequence[Table], folder: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, dict[str, Any]]:
    """Upload each table's two files while the next are made.

    CSV, the large one, is gone when it is uploaded, and if it is large indeed before the next is made: /tmp has an end.
    """

    def publish_csv(path: Path, key: str) -> dict[str, Any]:
        output = _publish_file(path, key)
        path.unlink()
        return output

    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        uploads = {}
        for table in tables:
            parquet = folder / f"{table.name}.parquet"
            uploads[parquet.name] = pool.submit(_publish_file, parquet, batch.parquet_key(table.name))
            csv = write_csv(table, batch, folder, connection)
            is_large = s3_utils.is_large(csv)
            uploads[csv.name] = pool.submit(publish_csv, csv, batch.csv_key(table.name))
            if is_large:
                uploads[csv.name].result()
        return {name: upload.result() for name, upload in uploads.items()}


def _publish_file(path: Path, key: str) -> dict[str, Any]:
    return s3_utils.publish(path, settings().processed_bucket, key, _CONTENT_TYPES[path.suffix])


def _parsed(batch: Batch, counts: Sequence[bytes | None]) -> list[dict[str, Any]]:
    """What `validate` wrote of each chunk. Raises what `staging.missing` returns where one is missing."""
    if None in counts:
        chunk = counts.index(None)
        raise staging.missing(batch, f"Chunk {chunk} has no counts in staging", "it expired, or was never validated")
    return [orjson.loads(data) for data in counts if data is not None]


def _download_parts(batch: Batch, contract: Contract, folder: Path) -> int:
    """Every table's parts, as `<chunk>.<table>.part` in `folder`; answers their bytes."""

    def download(place: tuple[int, str]) -> int:
        chunk, table = place
        part = folder / f"{chunk:05d}.{table}.part"
        staging.fetch(batch, chunk, f"{table}.parquet", part)
        return part.stat().st_size

    places = [(chunk, table.name) for chunk in range(batch.chunk_count) for table in contract.tables]
    return sum(at_once(download, places))


def _upload_rejects(
    batch: Batch,
    counts: Sequence[Mapping[str, Any]],
    superseded: Iterator[Superseded],
    contract: Contract,
    folder: Path,
) -> dict[str, Any]:
    """Write and upload the rejects of a batch; answers the output."""

    def fetch_rejected(chunk: int) -> Path:
        path = folder / f"{chunk:05d}.rejected.jsonl"
        staging.fetch(batch, chunk, "rejected.jsonl", path)
        return path

    open_chunk = partial(open_stored, batch, contract=contract)
    write_rejects(folder / REJECTS, batch.batch_id, contract, counts, superseded, fetch_rejected, open_chunk)
    return _publish_file(folder / REJECTS, batch.rejected_key)


def _earlier(batch: Batch) -> dict[str, Any] | None:
    """The manifest of the latest earlier revision of a batch; None for a first revision."""
    source = batch.source
    for revision in range(batch.revision - 1, 0, -1):
        batch_id = batch_id_for(batch.dataset, source.bucket, source.key, source.version_id, revision)
        found = s3_utils.get_bytes(settings().processed_bucket, manifest_key(batch.dataset, batch_id))
        if found is not None:
            earlier: dict[str, Any] = orjson.loads(found)
            return earlier
    return None


def _digest(key: str) -> str | None:
    head = s3_utils.head(settings().processed_bucket, key)
    return head["Metadata"].get("sha256", "") if head else None


def _commit(batch: Batch, manifest: bytes) -> bytes:
    """Write the manifest, unless one stands; answers the one that stands. Raises CommitConflictError."""
    bucket = settings().processed_bucket
    if not s3_utils.put_new(bucket, batch.manifest_key, manifest):
        committed = s3_utils.get_bytes(bucket, batch.manifest_key)
        if committed is None:
            raise TransientError("The batch is committed, but S3 does not return its manifest yet.")
        publish.check_same(committed, manifest)
        return manifest
    account = orjson.loads(manifest)
    count(batch.dataset, {f"Records{name.capitalize()}": number for name, number in account["counts"].items()})
    _count_rejects(batch, account["rejected_by_reason"])
    return manifest


def _count_rejects(batch: Batch, by_reason: Mapping[str, int]) -> None:
    """Emit the rejects by reason: of a published file once, of a refused one each time that it is run."""
    for reason, number in by_reason.items():
        count(batch.dataset, {"RejectsByReason": number}, reason=reason)
