"""Plans the batch of an object version from its metadata and first bytes, the same way for every caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from functions.common.batch import Batch, Source
from functions.common.config import CONTRACTS
from functions.common.input_settings import load_input
from functions.common.planning import dataset_of, plan_batch, source_of
from functions.common.s3_utils import Storage
from functions.common.source.content import UNKNOWN, Content
from functions.common.source.layout import HEAD_BYTES, content_of


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans batches with the contracts and the chunk size of a deployment."""

    storage: Storage
    chunk_bytes: int
    contracts: Path = CONTRACTS

    def plan(self, bucket: str, key: str, version_id: str, sequencer: str = "") -> Batch | None:
        """Return the first revision of an object version's batch, or None if S3 does not return the version.

        Makes one request, for the version's metadata and first bytes.
        """
        found = self.storage.read_beginning(bucket, key, version_id, HEAD_BYTES)
        if found is None:
            return None
        head, beginning = found
        source = source_of(bucket, key, version_id, head, sequencer)
        content = self._content(source, beginning)
        return plan_batch(source, _last_modified(head), self.chunk_bytes, content=content)

    def replan(self, source: Source, ingested_at: str, revision: int) -> Batch:
        """Return a revision of a batch whose source is known, even if S3 no longer returns the source."""
        found = self.storage.read_beginning(source.bucket, source.key, source.version_id, HEAD_BYTES)
        content = self._content(source, found[1]) if found else UNKNOWN
        return plan_batch(source, datetime.fromisoformat(ingested_at), self.chunk_bytes, revision, content=content)

    def _content(self, source: Source, beginning: bytes) -> Content:
        return content_of(beginning, source.size, source.key, load_input(dataset_of(source.key), self.contracts))


def _last_modified(head: Mapping[str, Any]) -> datetime:
    modified: datetime = head["LastModified"]
    return modified
