"""The entry point of `transform`: one chunk's valid records in, one typed part a table in staging out."""

from collections.abc import Mapping
from typing import Any

from functions.common import s3_utils, sql, staging
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.contract import load_contract
from functions.common.telemetry import step
from functions.common.workdir import workdir
from functions.transform.transform import write_parts


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Transform one chunk; answers its number."""
    batch, chunk = Batch.from_input(event["batch"]), event["chunk"]
    with step("transform", batch.batch_id, chunk=chunk) as outcome, workdir() as folder:
        bucket = settings().processed_bucket
        records = folder / "records.parquet"
        staging.fetch(batch, chunk, records.name, records)
        with sql.connect(folder, settings().memory_mb) as connection:
            rows = write_parts(records, load_contract(batch.dataset, settings().contracts), folder, connection)
        for table in rows:
            key = batch.staging_key(chunk, f"{table}.parquet")
            s3_utils.upload(folder / f"{table}.parquet", bucket, key, "application/vnd.apache.parquet")
        outcome |= {"rows": rows}
    return {"chunk": chunk}
