"""Defines a batch, which is one version of one object, with its names and the keys of its objects in S3.

Only this module defines the layout of the processed bucket:

    staging/<dataset>/<batch_id>/<execution>/<chunk>/{records.parquet,rejected.jsonl,counts.json,<table>.parquet}
    rejected/<dataset>/ingest_date=<date>/<batch_id>.jsonl
    processed/<dataset>/<date>/<batch_id>/<table>.csv
    tables/<dataset>/<table>/ingest_date=<date>/<batch_id>.parquet
    manifests/<dataset>/<batch_id>.json
    failures/<dataset>/<batch_id>/<execution>.json
    runs/<dataset>/<batch_id>/<execution>.json

Athena writes query results under queries/ (infra/athena.tf).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

DATASET_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
"""The pattern of a dataset's name."""


@dataclass(frozen=True, slots=True)
class Source:
    """The object version that a batch is created from."""

    bucket: str
    key: str
    version_id: str
    size: int
    """The object's size in bytes as stored."""
    etag: str
    sequencer: str
    """The sequencer by which S3 orders the events of a key: 32 hexadecimal digits. Empty without an event."""
    corrects: str = ""
    """The id of the batch whose rejects this object corrects, from the object's metadata. Empty if there is none."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}?versionId={self.version_id}"


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of an execution: everything that the steps need to know about a batch, without its data."""

    dataset: str
    batch_id: str
    revision: int
    source: Source
    ingested_at: str
    """The version's LastModified: ISO 8601, UTC, whole seconds, with `Z`."""
    chunk_bytes: int
    last_chunk: int
    """The index of the last chunk. A batch has `last_chunk + 1` chunks."""
    compression: str = ""
    """The compression of the source, detected from its first bytes: `gzip`, `bzip2`, `zstd`, or empty."""
    layout: str = ""
    """The layout of the source's values, detected from its first bytes: `lines` or `sequence`. Empty if `validate`
    detects it: for compressed or unreadable sources, and for batches that an earlier release planned."""
    execution: str = ""
    """The name of the execution, or empty before it starts. The keys in staging contain this name, which separates the
    objects of a replay from those of a failed run or another release."""

    @classmethod
    def from_input(cls, data: Mapping[str, Any]) -> Self:
        """Parse an execution's input. Unknown members are ignored."""
        return cls(**{**_known(cls, data), "source": Source(**_known(Source, data["source"]))})

    def to_input(self) -> dict[str, Any]:
        """Return the batch as an execution's input, which has only JSON values."""
        return asdict(self)

    @property
    def ingest_date(self) -> str:
        """The UTC date of `ingested_at`, which partitions all outputs."""
        return self.ingested_at[:10]

    @property
    def chunk_count(self) -> int:
        return self.last_chunk + 1

    def staging_key(self, chunk: int, name: str) -> str:
        return f"{staging_prefix(self.dataset, self.batch_id, self.execution or self.batch_id)}{chunk:05d}/{name}"

    @property
    def rejected_key(self) -> str:
        return f"rejected/{self.dataset}/ingest_date={self.ingest_date}/{self.batch_id}.jsonl"

    def csv_key(self, table: str) -> str:
        return f"processed/{self.dataset}/{self.ingest_date}/{self.batch_id}/{table}.csv"

    def parquet_key(self, table: str) -> str:
        return f"tables/{self.dataset}/{table}/ingest_date={self.ingest_date}/{self.batch_id}.parquet"

    @property
    def manifest_key(self) -> str:
        return manifest_key(self.dataset, self.batch_id)

    def failure_key(self, execution: str) -> str:
        return failure_key(self.dataset, self.batch_id, execution)


def _known(document: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `data` that are fields of the dataclass."""
    return {field.name: data[field.name] for field in fields(document) if field.name in data}


def title_of(bucket: str, key: str) -> str:
    """Return a source's S3 URI for use in a sentence. A key may contain line breaks or characters that reverse text."""
    return printable(f"s3://{bucket}/{key}")


def printable(text: str) -> str:
    """Return the string with each unprintable character, such as a line break, replaced with U+FFFD."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def manifest_key(dataset: str, batch_id: str) -> str:
    """Return the key of a batch's manifest."""
    return f"manifests/{dataset}/{batch_id}.json"


def failure_prefix(dataset: str, batch_id: str) -> str:
    """Return the key prefix of a batch's failure records."""
    return f"failures/{dataset}/{batch_id}/"


def failure_key(dataset: str, batch_id: str, execution: str) -> str:
    """Return the key of an execution's failure record."""
    return f"{failure_prefix(dataset, batch_id)}{execution}.json"


def staging_prefix(dataset: str, batch_id: str, execution: str) -> str:
    """Return the key prefix of an execution's objects in staging. The keys continue with `<chunk>/<name>`."""
    return f"staging/{dataset}/{batch_id}/{execution}/"


def run_prefix(dataset: str, batch_id: str) -> str:
    """Return the key prefix of a batch's run records."""
    return f"runs/{dataset}/{batch_id}/"


def run_key(dataset: str, batch_id: str, execution: str) -> str:
    """Return the key of an execution's run record."""
    return f"{run_prefix(dataset, batch_id)}{execution}.json"


def batch_id_for(dataset: str, bucket: str, key: str, version_id: str, revision: int = 1) -> str:
    """Return the batch id of an object version, which is the same for every event, retry and replay.

    The format is `<dataset>-<32 hexadecimal digits>`, with `-r<revision>` from the second revision on. The id has at
    most 72 characters, all of which an execution's name allows (1–80 of 0-9 A-Z a-z - _).
    """
    digest = hashlib.sha256(json.dumps([bucket, key, version_id]).encode()).hexdigest()[:32]
    return f"{dataset}-{digest}" if revision == 1 else f"{dataset}-{digest}-r{revision}"


def replay_name(batch_id: str, number: int) -> str:
    """Return the execution name of the `number`th replay of a batch, starting with 1.

    Up to the 999th replay, the name has at most 80 characters. The name of a batch's first execution is the batch id.
    """
    return f"{batch_id}-replay-{number}"


def is_batch_id(text: str) -> bool:
    """Return whether a string is the batch id of any revision."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,29}-[0-9a-f]{32}(-r[1-9]\d*)?", text) is not None


def replay_of(execution: str) -> tuple[str, int]:
    """Return the batch id and the number of the replay from an execution's name. The first execution is number 0."""
    replay = re.fullmatch(r"(.+)-replay-([1-9]\d*)", execution)
    return (replay[1], int(replay[2])) if replay else (execution, 0)


def revision_of(batch_id: str) -> tuple[str, int]:
    """Return the batch id of the first revision, and the number of the revision to which a batch id belongs."""
    later = re.fullmatch(r"(.+)-r([1-9]\d*)", batch_id)
    return (later[1], int(later[2])) if later else (batch_id, 1)
