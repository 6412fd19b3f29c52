"""Reads the objects that another step staged, and explains why one is missing."""

from pathlib import Path

from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.errors import PipelineError, ReconciliationError, TransientError
from functions.common.s3_utils import Storage
from functions.common.source_visibility import may_become_visible


def fetch(storage: Storage, bucket: str, batch: Batch, chunk: int, name: str, path: Path) -> None:
    """Download a staged object of a chunk to a local file. Raises the error that `missing` returns if there is none."""
    try:
        storage.download(bucket, batch.staging_key(chunk, name), path)
    except ClientError as exc:
        if s3_utils.is_missing(exc):
            raise missing(batch, f"Chunk {chunk} has no {name} in staging", "it expired. Run the batch again") from exc
        raise


def missing(batch: Batch, what: str, why: str) -> PipelineError:
    """Return the error for a staged object that S3 does not return. `what` is missing, usually because of `why`.

    If the batch is new, S3 may not return all new objects yet (see `source_visibility`), and the error is transient.
    """
    if may_become_visible(batch.ingested_at):
        return TransientError(f"{what} yet: S3 may need 15 minutes after versioning is first enabled.")
    return ReconciliationError(f"{what}; {why}.")
