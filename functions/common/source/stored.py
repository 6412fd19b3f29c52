"""Opens a chunk of a source that is stored in S3."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from functions.common import s3_utils, source_visibility
from functions.common.batch import Batch
from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.errors import SourceArchivedError
from functions.common.s3_utils import Storage
from functions.common.source.chunk import open_chunk
from functions.common.source.documents import Document


def open_stored(batch: Batch, chunk: int, contract: Contract, storage: Storage, limits: Settings) -> Document:
    """Return the records of one chunk of a batch's source, within the function's limits.

    Raises the errors of `open_chunk`, either now or while the records are read. Raises SourceMissingError or
    SourceNotVisibleError if S3 does not return the version, and SourceArchivedError if it must be restored first.
    """
    return open_chunk(batch, chunk, contract, limits, lambda start: _read(storage, batch, start))


def _read(storage: Storage, batch: Batch, start: int) -> Iterator[bytes]:
    source = batch.source
    try:
        yield from storage.read_blocks(source.bucket, source.key, source.version_id, start)
    except ClientError as exc:
        if s3_utils.is_missing(exc):
            raise source_visibility.missing_source(source.uri, batch.ingested_at) from exc
        if s3_utils.is_archived(exc):
            raise SourceArchivedError(f"{source.uri} is archived: S3 returns it only after it is restored.") from exc
        raise
