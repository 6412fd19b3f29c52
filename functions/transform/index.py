"""The Lambda handler of `transform`, which turns one chunk's valid records into one staged part per table."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from functions.common import s3_utils, sql, staging
from functions.common.batch import Batch
from functions.common.config import Settings, settings
from functions.common.contract import load_contract
from functions.common.parallel import at_once
from functions.common.s3_utils import Storage
from functions.common.telemetry import step
from functions.common.workdir import workdir
from functions.transform.transform import write_parts


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Transform one chunk, and return its number."""
    batch, chunk = Batch.from_input(event["batch"]), event["chunk"]
    with step("transform", batch.batch_id, chunk=chunk) as outcome:
        outcome["rows"] = transform(batch, chunk, s3_utils.storage(), settings())
    return {"chunk": chunk}


def transform(batch: Batch, chunk: int, storage: Storage, settings: Settings) -> dict[str, int]:
    """Write one typed part per table to staging from one chunk's valid records. Return the rows by table."""
    bucket, contract = settings.processed_bucket, load_contract(batch.dataset, settings.contracts)
    with workdir() as folder:
        records = folder / "records.parquet"
        staging.fetch(storage, bucket, batch, chunk, records.name, records)
        with sql.connect(folder, settings.memory_mb) as connection:
            rows = write_parts(records, contract, folder, connection)
        upload = partial(_upload, storage, bucket, batch, chunk)
        at_once(upload, [folder / f"{table}.parquet" for table in rows])
    return rows


def _upload(storage: Storage, bucket: str, batch: Batch, chunk: int, path: Path) -> None:
    storage.upload(path, bucket, batch.staging_key(chunk, path.name), "application/vnd.apache.parquet")
