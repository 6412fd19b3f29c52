"""Defines the manifest of a published batch, which `write` writes after all other outputs."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.batch import Source
from functions.common.documents.chunk_counts import DriftCount, VersionCounts
from functions.common.documents.document import StoredDocument


class RecordCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of records by outcome: received = valid + rejected, and valid = superseded + published."""

    received: int
    valid: int
    rejected: int
    superseded: int
    published: int


class ByteCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The size of all records of a file in bytes, and the number of bytes that could not be read as records."""

    received: int
    unreadable: int


class ControlTotalSums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one control total, as exact decimals: validated = superseded + published."""

    validated: str
    superseded: str
    published: str


class PublishedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One published object of the processed bucket."""

    key: str
    bytes: int
    sha256: str


class PublishedTable(msgspec.Struct, frozen=True, kw_only=True):
    """The number of rows of one table, and the files with these rows."""

    rows: int
    parquet: PublishedFile
    csv: PublishedFile

    @property
    def files(self) -> dict[str, PublishedFile]:
        """The table's files by format: `parquet` and `csv`."""
        return {"parquet": self.parquet, "csv": self.csv}


class Manifest(StoredDocument, frozen=True, kw_only=True):
    """Describes what a batch published, its source, the release that published it, and its reconciliation.

    All attempts of one release to publish a batch write the same bytes.
    """

    kind: ClassVar[str] = "manifest"

    manifest_version: int
    dataset: str
    batch_id: str
    revision: int
    contract_version: int
    release: str = ""
    source: Source
    ingested_at: str
    ingest_date: str
    counts: RecordCounts
    bytes: ByteCounts | None = None
    """None in manifests of earlier releases."""
    rejected_by_reason: Mapping[str, int]
    records_by_version: Mapping[str, VersionCounts] = msgspec.field(default_factory=dict)
    """The counts by version number, as a string. `unknown` counts the records whose version is not known."""
    drift: tuple[DriftCount, ...] = ()
    control_totals: Mapping[str, ControlTotalSums]
    tables: Mapping[str, PublishedTable]
    rejects: PublishedFile | None
    """The file of rejected and superseded records, or None."""

    @property
    def outputs(self) -> list[PublishedFile]:
        """All published objects, including the rejects file."""
        files = [file for table in self.tables.values() for file in table.files.values()]
        return [*files, *([self.rejects] if self.rejects else [])]

    @property
    def rejects_key(self) -> str | None:
        return self.rejects.key if self.rejects else None
