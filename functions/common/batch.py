"""A batch: one version of one object, what it is called, and where everything about it lies.

The layout of the processed bucket is defined here and nowhere else:

    staging/<dataset>/<batch_id>/<execution>/<chunk>/{records.parquet,rejected.jsonl,counts.json,<table>.parquet}
    rejected/<dataset>/ingest_date=<date>/<batch_id>.jsonl
    processed/<dataset>/<date>/<batch_id>/<table>.csv
    tables/<dataset>/<table>/ingest_date=<date>/<batch_id>.parquet
    manifests/<dataset>/<batch_id>.json
    failures/<dataset>/<batch_id>/<execution>.json
    runs/<dataset>/<batch_id>/<execution>.json

Athena puts what it answers under queries/ (infra/athena.tf).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

DATASET_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
"""What a dataset can be called."""


@dataclass(frozen=True, slots=True)
class Source:
    """The object version that a batch is made of."""

    bucket: str
    key: str
    version_id: str
    size: int
    """Bytes as stored."""
    etag: str
    sequencer: str
    """S3's order of the events of one key: hexadecimal, padded to 32 digits; empty where no event told it."""
    corrects: str = ""
    """The batch whose rejects these are, corrected; the object's metadata say so. Else empty."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}?versionId={self.version_id}"


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of an execution: all that any step needs to know of a batch, and no data."""

    dataset: str
    batch_id: str
    revision: int
    source: Source
    ingested_at: str
    """The version's LastModified: ISO 8601, UTC, whole seconds, with `Z`."""
    chunk_bytes: int
    last_chunk: int
    """The index of the last chunk; a batch has `last_chunk + 1` of them."""
    compression: str = ""
    """How the source is compressed, by its first bytes: `gzip`, `bzip2`, or `zstd`; empty if it is not."""
    layout: str = ""
    """How its values are laid out, by its first bytes: `lines` or `sequence`. Empty if `validate` decides it: for a
    compressed source, for one that could not be read, and for a batch that an earlier release planned."""
    execution: str = ""
    """The name of the execution, by which staging is kept apart: what a failed run or another release left there, or
    still writes, is never mixed with a replay. Empty before the batch is started."""

    @classmethod
    def from_input(cls, data: Mapping[str, Any]) -> Self:
        """The batch that an execution's input describes. Members that this release does not know are ignored."""
        return cls(**{**_known(cls, data), "source": Source(**_known(Source, data["source"]))})

    def to_input(self) -> dict[str, Any]:
        """The batch as an execution's input: plain JSON values."""
        return asdict(self)

    @property
    def ingest_date(self) -> str:
        """The UTC date of `ingested_at`, the partition of every output."""
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
    """The members of `data` that are fields of a dataclass."""
    return {field.name: data[field.name] for field in fields(document) if field.name in data}


def title_of(bucket: str, key: str) -> str:
    """A source's address as a sentence can hold it: a key may have line breaks, or signs that turn text round."""
    return printable(f"s3://{bucket}/{key}")


def printable(text: str) -> str:
    """A text with a replacement character for each sign that is no sign, such as line breaks and control characters."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def manifest_key(dataset: str, batch_id: str) -> str:
    """Where the manifest of a batch is, for those who know only its name."""
    return f"manifests/{dataset}/{batch_id}.json"


def failure_prefix(dataset: str, batch_id: str) -> str:
    """What the keys of a batch's failure records begin with."""
    return f"failures/{dataset}/{batch_id}/"


def failure_key(dataset: str, batch_id: str, execution: str) -> str:
    """Where the failure record of an execution is, for those who know only the names."""
    return f"{failure_prefix(dataset, batch_id)}{execution}.json"


def staging_prefix(dataset: str, batch_id: str, execution: str) -> str:
    """What the keys of all that an execution stages begin with; `<chunk>/<name>` follows."""
    return f"staging/{dataset}/{batch_id}/{execution}/"


def run_prefix(dataset: str, batch_id: str) -> str:
    """What the keys of a batch's run records begin with."""
    return f"runs/{dataset}/{batch_id}/"


def run_key(dataset: str, batch_id: str, execution: str) -> str:
    """Where the run record of an execution is."""
    return f"{run_prefix(dataset, batch_id)}{execution}.json"


def batch_id_for(dataset: str, bucket: str, key: str, version_id: str, revision: int = 1) -> str:
    """The id of the batch that one object version makes: the same for every event, retry and replay of it.

    `<dataset>-<32 hexadecimal digits>`, with `-r<revision>` from the second revision on: at most 72
    characters for a dataset of at most 30, all allowed in an execution's name (1–80 of 0-9 A-Z a-z - _).
    """
    digest = hashlib.sha256(json.dumps([bucket, key, version_id]).encode()).hexdigest()[:32]
    return f"{dataset}-{digest}" if revision == 1 else f"{dataset}-{digest}-r{revision}"


def replay_name(batch_id: str, number: int) -> str:
    """The name of the `number`th replay of a batch: at most 80 characters up to the 999th, as a name may have.

    The first execution of a batch is named after it alone.
    """
    return f"{batch_id}-replay-{number}"


def is_batch_id(text: str) -> bool:
    """Whether a text is the id of a batch, of any revision."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,29}-[0-9a-f]{32}(-r[1-9]\d*)?", text) is not None


def replay_of(execution: str) -> tuple[str, int]:
    """The batch of an execution, by its name, and which replay of it that is; 0 is the first execution."""
    replay = re.fullmatch(r"(.+)-replay-([1-9]\d*)", execution)
    return (replay[1], int(replay[2])) if replay else (execution, 0)


def revision_of(batch_id: str) -> tuple[str, int]:
    """The id of a batch's first revision, and which revision `batch_id` is."""
    later = re.fullmatch(r"(.+)-r([1-9]\d*)", batch_id)
    return (later[1], int(later[2])) if later else (batch_id, 1)
