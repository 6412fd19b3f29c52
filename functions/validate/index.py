"""The entry point of `validate`: one chunk of a batch in, its valid and rejected records in staging out."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from botocore.exceptions import ClientError

from functions.common import s3_utils, sql
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.contract import load_contract
from functions.common.errors import SourceMissingError
from functions.common.telemetry import step
from functions.common.workdir import workdir
from functions.validate.source import open_chunk
from functions.validate.validation import validate_chunk


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Validate one chunk; answers its number. The counts are written last: they say that the chunk is whole."""
    batch, chunk = Batch.from_input(event["batch"]), event["chunk"]
    with step("validate", batch.batch_id, chunk=chunk) as outcome, workdir() as folder:
        contract = load_contract(batch.dataset)
        document = open_chunk(batch, chunk, contract, settings(), lambda start: _read(batch, start))
        with sql.connect(folder, settings().memory_mb) as connection:
            counts = validate_chunk(document, contract, batch.batch_id, folder, connection, settings().max_record_bytes)
        bucket = settings().processed_bucket
        for name in ("valid.jsonl", "rejected.jsonl"):
            s3_utils.upload(folder / name, bucket, batch.staging_key(chunk, name), "application/x-ndjson")
        summary = {
            "chunk": chunk,
            "chunk_bytes": batch.chunk_bytes,
            "position_kind": document.position_kind,
            **asdict(counts),
        }
        s3_utils.put_bytes(bucket, batch.staging_key(chunk, "counts.json"), orjson.dumps(summary))
        outcome |= {"received": counts.received, "valid": counts.valid, "rejected": counts.rejected}
    return {"chunk": chunk}


def _read(batch: Batch, start: int) -> Iterator[bytes]:
    source = batch.source
    try:
        yield from s3_utils.read_blocks(source.bucket, source.key, source.version_id, start)
    except ClientError as exc:
        if s3_utils.is_missing(exc):
            raise SourceMissingError(f"{source.uri} is gone: this version was deleted before it was read.") from exc
        raise
