"""The Lambda handler of `validate`, which divides one chunk of a batch into valid and rejected records in staging."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from functions.common import s3_utils, sql
from functions.common.batch import Batch
from functions.common.config import Settings, settings
from functions.common.contract import load_contract
from functions.common.documents.chunk_counts import ChunkCounts
from functions.common.errors import RejectVolumeError
from functions.common.parallel import at_once
from functions.common.s3_utils import Storage
from functions.common.source.stored import open_stored
from functions.common.telemetry import step
from functions.common.workdir import workdir
from functions.validate.validation import RECORDS, REJECTED, validate_chunk


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Validate one chunk, and return its number."""
    batch, chunk = Batch.from_input(event["batch"]), event["chunk"]
    with step("validate", batch.batch_id, chunk=chunk) as outcome:
        counts = validate(batch, chunk, s3_utils.storage(), settings())
        outcome |= {"received": counts.received, "valid": counts.valid, "rejected": counts.rejected}
    return {"chunk": chunk}


def validate(batch: Batch, chunk: int, storage: Storage, settings: Settings) -> ChunkCounts:
    """Divide one chunk into valid and rejected records in staging. The chunk is complete when its counts exist."""
    with workdir() as folder:
        counts = _divide(batch, chunk, folder, storage, settings)
        upload = partial(_upload, storage, settings.processed_bucket, batch, chunk)
        at_once(upload, [folder / RECORDS, folder / REJECTED])
        storage.put_bytes(settings.processed_bucket, batch.staging_key(chunk, "counts.json"), counts.to_bytes())
    return counts


def _divide(batch: Batch, chunk: int, folder: Path, storage: Storage, settings: Settings) -> ChunkCounts:
    """Divide the chunk's records into files in `folder`. If there are too many rejects, upload a sample to staging."""
    contract = load_contract(batch.dataset, settings.contracts)
    open_document = partial(open_stored, batch, chunk, contract, storage, settings)
    sample_uri = f"s3://{settings.processed_bucket}/{batch.staging_key(chunk, REJECTED)}"
    with sql.connect(folder, settings.memory_mb) as connection:
        try:
            return validate_chunk(open_document, contract, batch, chunk, folder, connection, settings, sample_uri)
        except RejectVolumeError:
            _upload(storage, settings.processed_bucket, batch, chunk, folder / REJECTED)
            raise


def _upload(storage: Storage, bucket: str, batch: Batch, chunk: int, path: Path) -> None:
    content_type = "application/vnd.apache.parquet" if path.suffix == ".parquet" else "application/x-ndjson"
    storage.upload(path, bucket, batch.staging_key(chunk, path.name), content_type)
