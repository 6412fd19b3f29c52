"""The entry point of `validate`: one chunk of a batch in, its valid and rejected records in staging out."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from botocore.exceptions import ClientError

from functions.common import s3_utils, sql
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.contract import load_contract
from functions.common.errors import RejectVolumeError, SourceMissingError
from functions.common.parallel import at_once
from functions.common.telemetry import step
from functions.common.workdir import workdir
from functions.validate.documents import Document
from functions.validate.source import open_chunk
from functions.validate.validation import RECORDS, REJECTED, Counts, merge_lines, needs_no_merge, validate_chunk


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Validate one chunk; answers its number. The counts are written last: they say that the chunk is whole."""
    batch, chunk = Batch.from_input(event["batch"]), event["chunk"]
    with step("validate", batch.batch_id, chunk=chunk) as outcome, workdir() as folder:
        document, counts = _validate(batch, chunk, folder)
        _upload_all(batch, chunk, folder)
        summary = {
            "chunk": chunk,
            "chunk_bytes": batch.chunk_bytes,
            "position_kind": document.position_kind,
            **asdict(counts),
        }
        counts_key = batch.staging_key(chunk, "counts.json")
        s3_utils.put_bytes(settings().processed_bucket, counts_key, orjson.dumps(summary))
        outcome |= {"received": counts.received, "valid": counts.valid, "rejected": counts.rejected}
    return {"chunk": chunk}


def _validate(batch: Batch, chunk: int, folder: Path) -> tuple[Document, Counts]:
    """Divide the chunk's records into files in `folder`; of rejects that are too many, a sample goes to staging."""
    contract = load_contract(batch.dataset, settings().contracts)

    def open_document() -> Document:
        return open_chunk(batch, chunk, contract, settings(), lambda start: _read(batch, start))

    sample_uri = f"s3://{settings().processed_bucket}/{batch.staging_key(chunk, REJECTED)}"
    with sql.connect(folder, settings().memory_mb) as connection:
        try:
            return validate_chunk(open_document, contract, batch.batch_id, folder, connection, settings(), sample_uri)
        except RejectVolumeError:
            _upload(batch, chunk, folder / REJECTED)
            raise


def _upload_all(batch: Batch, chunk: int, folder: Path) -> None:
    """Upload what `validate_chunk` left: all at once, unless lines must be merged, which needs the room of the rest."""
    made, upload = [folder / RECORDS, folder / REJECTED], partial(_upload, batch, chunk)
    if needs_no_merge(folder):
        at_once(upload, [*made, merge_lines(folder)])
        return
    at_once(upload, made)
    for path in made:
        path.unlink()
    upload(merge_lines(folder))


def _upload(batch: Batch, chunk: int, path: Path) -> None:
    key = batch.staging_key(chunk, path.name)
    content_type = "application/vnd.apache.parquet" if path.suffix == ".parquet" else "application/x-ndjson"
    s3_utils.upload(path, settings().processed_bucket, key, content_type)


def _read(batch: Batch, start: int) -> Iterator[bytes]:
    source = batch.source
    try:
        yield from s3_utils.read_blocks(source.bucket, source.key, source.version_id, start)
    except ClientError as exc:
        if s3_utils.is_missing(exc):
            raise SourceMissingError(f"{source.uri} is gone: this version was deleted before it was read.") from exc
        raise
