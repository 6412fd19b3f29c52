"""The entry point of `transform`: one chunk's valid records in, one typed part a table in staging out."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from functions.common import s3_utils, sql, staging
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.contract import load_contract
from functions.common.parallel import at_once
from functions.common.telemetry import step
from functions.common.workdir import workdir
from functions.transform.transform import write_parts


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Transform one chunk; answers its number."""
    batch, chunk = Batch.from_input(event["batch"]), event["chunk"]
    with step("transform", batch.batch_id, chunk=chunk) as outcome, workdir() as folder:
        records = folder / "records.parquet"
        staging.fetch(batch, chunk, records.name, records)
        with sql.connect(folder, settings().memory_mb) as connection:
            rows = write_parts(records, load_contract(batch.dataset, settings().contracts), folder, connection)
        at_once(partial(_upload, batch, chunk), [folder / f"{table}.parquet" for table in rows])
        outcome |= {"rows": rows}
    return {"chunk": chunk}


def _upload(batch: Batch, chunk: int, path: Path) -> None:
    key = batch.staging_key(chunk, path.name)
    s3_utils.upload(path, settings().processed_bucket, key, "application/vnd.apache.parquet")
