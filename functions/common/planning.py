"""Plans the batch of an object version: its name, dataset, layout and chunks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.common.batch import DATASET_NAME, Batch, Source, batch_id_for, is_batch_id
from functions.common.input_settings import InputSettings
from functions.common.source.content import LINES, UNKNOWN, Content

PREFIX = "incoming/"
UNKNOWN_DATASET = "unknown"
"""The dataset of an object that isn't in a dataset's folder. Its execution fails and reports that."""

MAX_CHUNKS = 100
"""The maximum number of chunks. An execution with this many chunks has fewer than 25,000 events even with all retries.

docs/reference/guarantees.md has the calculation; tests/statemachine/test_retry_budget.py checks it.
"""

UNVERSIONED = "null"
"""The version id of an object that was written before S3 applied versioning to its bucket."""

CORRECTS = "corrects"
"""The key in an object's metadata for the id of the batch whose rejects the object corrects."""

_SEQUENCER_DIGITS = 32


def source_of(bucket: str, key: str, version_id: str, head: Mapping[str, Any], sequencer: str = "") -> Source:
    """Return the source for an object version, from its HEAD response and the event's `sequencer`, if known.

    Producers can set any metadata, so only a valid batch id is used.
    """
    corrects = head.get("Metadata", {}).get(CORRECTS, "")
    return Source(
        bucket=bucket,
        key=key,
        version_id=version_id,
        size=head["ContentLength"],
        etag=head["ETag"].strip('"'),
        sequencer=padded_sequencer(sequencer),
        corrects=corrects if is_batch_id(corrects) else "",
    )


def version_id_of(answer: Mapping[str, Any]) -> str:
    """Return the version id in the response to a PUT. S3 omits it until versioning is in effect."""
    return str(answer.get("VersionId") or UNVERSIONED)


def is_folder_marker(key: str, size: int) -> bool:
    """Return whether an object is the marker that consoles create for an empty folder. Markers have no content."""
    return size == 0 and key.endswith("/")


def plan_batch(
    source: Source, last_modified: datetime, chunk_bytes: int, revision: int = 1, *, content: Content = UNKNOWN
) -> Batch:
    """Return the batch of an object version. Every event of the version results in the same batch.

    `content` describes the version's first bytes.
    """
    dataset = dataset_of(source.key)
    chunk_bytes, last_chunk = plan_chunks(source.size, chunk_bytes) if content.layout == LINES else (chunk_bytes, 0)
    return Batch(
        dataset=dataset,
        batch_id=batch_id_for(dataset, source.bucket, source.key, source.version_id, revision),
        revision=revision,
        source=source,
        ingested_at=last_modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        chunk_bytes=chunk_bytes,
        last_chunk=last_chunk,
        compression=content.compression,
        layout=content.layout,
    )


def dataset_of(key: str) -> str:
    """Return the name of the object's folder under incoming/, or UNKNOWN_DATASET."""
    if not key.startswith(PREFIX):
        return UNKNOWN_DATASET
    folder, slash, _ = key.removeprefix(PREFIX).partition("/")
    return folder if slash and DATASET_NAME.fullmatch(folder) else UNKNOWN_DATASET


def ignored_by(key: str, settings: InputSettings) -> str | None:
    """Return the pattern by which the dataset ignores a key, or None.

    Each name below the dataset's folder is compared. If the key isn't in a dataset's folder, each name below incoming/
    is compared.
    """
    path = key.removeprefix(PREFIX)
    if dataset_of(key) != UNKNOWN_DATASET:
        path = path.partition("/")[2]
    return settings.pattern_for(path) if key.startswith(PREFIX) else None


def plan_chunks(size: int, chunk_bytes: int) -> tuple[int, int]:
    """Return the size of a chunk in bytes, and the index of the last chunk, for a file of `size` bytes.

    Chunks are larger than `chunk_bytes` if there would be more than MAX_CHUNKS.
    """
    chunk_bytes = max(chunk_bytes, -(-size // MAX_CHUNKS))
    return chunk_bytes, max(0, -(-size // chunk_bytes) - 1)


def padded_sequencer(sequencer: str) -> str:
    """Return S3's sequencer, padded with zeros, so strings sort like the numbers. An empty string stays empty."""
    return sequencer.rjust(_SEQUENCER_DIGITS, "0") if sequencer else ""
