"""The manifest of a published batch, which `write` writes last."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.batch import Source
from functions.common.documents.chunk_counts import DriftCount, VersionCounts
from functions.common.documents.document import StoredDocument


class RecordCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file's records: received = valid + rejected, and valid = superseded + published."""

    received: int
    valid: int
    rejected: int
    superseded: int
    published: int


class ByteCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of all records of a file, and of what could not be read as records."""

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
    """The rows of one table and the files that hold them."""

    rows: int
    parquet: PublishedFile
    csv: PublishedFile

    @property
    def files(self) -> dict[str, PublishedFile]:
        """Its files by kind, which is also the suffix of their names."""
        return {"parquet": self.parquet, "csv": self.csv}


class Manifest(StoredDocument, frozen=True, kw_only=True):
    """What a batch published, from which source and by which release, with the full reconciliation.

    No member differs between the attempts of one release.
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
    """None in a manifest of a release that did not count them."""
    rejected_by_reason: Mapping[str, int]
    records_by_version: Mapping[str, VersionCounts] = msgspec.field(default_factory=dict)
    """By number of the version; `unknown` has the records whose version is not known."""
    drift: tuple[DriftCount, ...] = ()
    control_totals: Mapping[str, ControlTotalSums]
    tables: Mapping[str, PublishedTable]
    rejects: PublishedFile | None
    """The file of rejected and superseded records; None if there are none."""

    @property
    def outputs(self) -> list[PublishedFile]:
        """Every object that was published."""
        files = [file for table in self.tables.values() for file in table.files.values()]
        return [*files, *([self.rejects] if self.rejects else [])]

    @property
    def rejects_key(self) -> str | None:
        return self.rejects.key if self.rejects else None
