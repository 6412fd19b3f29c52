"""What one step staged for another: fetched, or missed with a sentence."""

from pathlib import Path

from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.errors import ReconciliationError
from functions.common.s3_utils import Storage


def fetch(storage: Storage, bucket: str, batch: Batch, chunk: int, name: str, path: Path) -> None:
    """Copy what a step staged of a chunk to a local file. Raises ReconciliationError where it is not there."""
    try:
        storage.download(bucket, batch.staging_key(chunk, name), path)
    except ClientError as exc:
        if s3_utils.is_missing(exc):
            raise ReconciliationError(
                f"Chunk {chunk} has no {name} in staging; it expired: run the batch again."
            ) from exc
        raise
