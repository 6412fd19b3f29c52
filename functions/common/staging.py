"""What one step staged for another: fetched, or missed with a sentence."""

from pathlib import Path

from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.errors import PipelineError, ReconciliationError, TransientError
from functions.common.s3_utils import Storage
from functions.common.source_visibility import may_become_visible


def fetch(storage: Storage, bucket: str, batch: Batch, chunk: int, name: str, path: Path) -> None:
    """Copy what a step staged of a chunk to a local file. Raises what `missing` returns where it is not there."""
    try:
        storage.download(bucket, batch.staging_key(chunk, name), path)
    except ClientError as exc:
        if s3_utils.is_missing(exc):
            raise missing(batch, f"Chunk {chunk} has no {name} in staging", "it expired: run the batch again") from exc
        raise


def missing(batch: Batch, what: str, why: str) -> PipelineError:
    """The error for an object that a step staged and S3 does not return: `what` is missing, and usually `why`.

    A young batch may have been staged while S3 did not return all new objects yet: see `visibility`.
    """
    if may_become_visible(batch.ingested_at):
        return TransientError(f"{what} yet: S3 may need 15 minutes after versioning is first enabled.")
    return ReconciliationError(f"{what}; {why}.")
