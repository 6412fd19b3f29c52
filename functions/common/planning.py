"""From an object version to the batch that it makes: its name, its dataset, its layout, its chunks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.common.batch import DATASET_NAME, Batch, Source, batch_id_for, is_batch_id
from functions.common.input_settings import InputSettings
from functions.common.source.content import LINES, UNKNOWN, Content

PREFIX = "incoming/"
UNKNOWN_DATASET = "unknown"
"""The dataset of an object that is in no folder that could be one; its execution fails and says so."""

MAX_CHUNKS = 100
"""So many chunks fit into the 25,000 events of an execution, even if each task of each chunk uses up every retrier.

docs/reference/guarantees.md has the calculation, tests/statemachine/test_retry_budget.py makes it from the definition.
"""

UNVERSIONED = "null"
"""The version id of an object that was written before S3 applied versioning to its bucket."""

CORRECTS = "corrects"
"""The key of an object's metadata that names the batch whose rejects it corrects."""

_SEQUENCER_DIGITS = 32


def source_of(bucket: str, key: str, version_id: str, head: Mapping[str, Any], sequencer: str = "") -> Source:
    """The source that an object version is, by the answer of its HEAD and the event's `sequencer`, if there is one.

    Of the metadata, which whoever uploads may fill with anything, only the id of a batch is taken over.
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
    """The version id in the response to a PUT. S3 omits it while versioning is not in effect yet."""
    return str(answer.get("VersionId") or UNVERSIONED)


def is_folder_marker(key: str, size: int) -> bool:
    """Whether an object only marks an empty folder, as consoles create it: an object with content never does."""
    return size == 0 and key.endswith("/")


def plan_batch(
    source: Source, last_modified: datetime, chunk_bytes: int, revision: int = 1, *, content: Content = UNKNOWN
) -> Batch:
    """The batch of an object version: the same for every event of it, since all is taken from the version.

    `content` is what its first bytes say.
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
    """The folder under incoming/ that the object is in, or UNKNOWN_DATASET."""
    if not key.startswith(PREFIX):
        return UNKNOWN_DATASET
    folder, slash, _ = key.removeprefix(PREFIX).partition("/")
    return folder if slash and DATASET_NAME.fullmatch(folder) else UNKNOWN_DATASET


def ignored_by(key: str, settings: InputSettings) -> str | None:
    """The pattern by which the dataset ignores a key, or None.

    Each name below the dataset's folder is compared; below incoming/ if the key is in no folder that could be one.
    """
    path = key.removeprefix(PREFIX)
    if dataset_of(key) != UNKNOWN_DATASET:
        path = path.partition("/")[2]
    return settings.pattern_for(path) if key.startswith(PREFIX) else None


def plan_chunks(size: int, chunk_bytes: int) -> tuple[int, int]:
    """How lines of `size` bytes are cut: the bytes of a chunk, and the index of the last one.

    `chunk_bytes` grows so that there are at most MAX_CHUNKS.
    """
    chunk_bytes = max(chunk_bytes, -(-size // MAX_CHUNKS))
    return chunk_bytes, max(0, -(-size // chunk_bytes) - 1)


def padded_sequencer(sequencer: str) -> str:
    """S3's sequencer, padded so that the texts of one key compare as the numbers do; empty stays empty."""
    return sequencer.rjust(_SEQUENCER_DIGITS, "0") if sequencer else ""
