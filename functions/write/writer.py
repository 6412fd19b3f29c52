"""Publishes a batch: merges its parts, uploads the outputs, and writes the manifest last to commit them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import duckdb

from functions.common import s3_utils, sql, staging
from functions.common.batch import Batch, batch_id_for, manifest_key
from functions.common.config import Settings
from functions.common.contract import Contract, load_contract
from functions.common.documents.chunk_counts import ChunkCounts
from functions.common.documents.manifest import Manifest, PublishedFile
from functions.common.errors import TransientError
from functions.common.parallel import MOST_AT_ONCE, at_once
from functions.common.s3_utils import Storage
from functions.common.source.stored import open_stored
from functions.common.workdir import workdir
from functions.write import manifest as manifests
from functions.write.csv_file import write_csv
from functions.write.manifest import REJECTS
from functions.write.merge import Superseded, merge, read_superseded
from functions.write.reconciliation import add_up
from functions.write.reject_limit import refusal
from functions.write.rejects import write_rejects

_CONTENT_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv; charset=utf-8",
    ".jsonl": "application/x-ndjson",
}


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a write."""

    manifest: Manifest
    """The committed manifest."""
    committed_now: bool
    """Whether this write committed the manifest."""
    was_committed: bool
    """Whether the manifest was committed before this write began."""
    earlier: Manifest | None
    """The manifest of the latest earlier revision of the batch. None for a first revision."""


@dataclass(frozen=True)
class BatchWriter:
    """Writes one batch."""

    batch: Batch
    storage: Storage
    settings: Settings

    @property
    def bucket(self) -> str:
        return self.settings.processed_bucket

    @cached_property
    def contract(self) -> Contract:
        return load_contract(self.batch.dataset, self.settings.contracts)

    def write(self) -> Written:
        """Publish and commit the batch, or verify a committed batch.

        Raises EmptyFileError, NoValidRecordsError or TooManyRejectsError without publishing anything. Also raises
        ReconciliationError and CommitConflictError.
        """
        counts_keys = [self.batch.staging_key(chunk, "counts.json") for chunk in range(self.batch.chunk_count)]
        read = partial(self.storage.get_bytes, self.bucket)
        committed, *counts = at_once(read, [self.batch.manifest_key, *counts_keys])
        if committed is not None:
            manifest = Manifest.read(committed, self.batch.manifest_key)
            manifests.verify(manifest, self._digest)
            return Written(manifest, committed_now=False, was_committed=True, earlier=self._earlier())
        manifest = self._publish(_parsed(self.batch, counts))
        return Written(manifest, committed_now=self._commit(manifest), was_committed=False, earlier=self._earlier())

    def _publish(self, counts: Sequence[ChunkCounts]) -> Manifest:
        """Upload every output, and return the manifest, which is not written yet."""
        totals = add_up(counts, self.batch)
        with workdir() as folder:
            rejects_uri = f"s3://{self.bucket}/{self.batch.rejected_key}"
            refused = refusal(totals, self.contract.input.max_reject_ratio_under(self.settings), rejects_uri)
            if refused and totals.rejected:
                self._upload_rejects(counts, iter(()), folder)
            if refused:
                raise refused
            parts_bytes = self._download_parts(folder)
            with sql.connect(folder, self.settings.memory_mb, parts_bytes) as connection:
                merged = merge(self.batch, self.contract, totals, folder, connection)
                outputs: dict[str, PublishedFile] = {}
                if totals.rejected or merged.superseded:
                    outputs[REJECTS] = self._upload_rejects(counts, read_superseded(folder), folder)
                outputs |= self._publish_tables(folder, connection)
        return manifests.manifest(self.batch, self.contract, totals, merged, outputs, self.settings.release)

    def _publish_tables(self, folder: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, PublishedFile]:
        """Upload each table's two files while the next table's files are created.

        Because /tmp is limited, each CSV file is deleted after its upload. A very large file is uploaded before the
        next file is created.
        """

        def publish_csv(path: Path, key: str) -> PublishedFile:
            output = self._publish_file(path, key)
            path.unlink()
            return output

        with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            uploads = {}
            for table in self.contract.tables:
                parquet = folder / f"{table.name}.parquet"
                uploads[parquet.name] = pool.submit(self._publish_file, parquet, self.batch.parquet_key(table.name))
                csv = write_csv(table, self.batch, folder, connection)
                is_large = s3_utils.is_large(csv)
                uploads[csv.name] = pool.submit(publish_csv, csv, self.batch.csv_key(table.name))
                if is_large:
                    uploads[csv.name].result()
            return {name: upload.result() for name, upload in uploads.items()}

    def _publish_file(self, path: Path, key: str) -> PublishedFile:
        return PublishedFile(**self.storage.publish(path, self.bucket, key, _CONTENT_TYPES[path.suffix]))

    def _download_parts(self, folder: Path) -> int:
        """Download the parts of every table to `<chunk>.<table>.part` in `folder`, and return their total bytes."""

        def download(place: tuple[int, str]) -> int:
            chunk, table = place
            part = folder / f"{chunk:05d}.{table}.part"
            staging.fetch(self.storage, self.bucket, self.batch, chunk, f"{table}.parquet", part)
            return part.stat().st_size

        places = [(chunk, table.name) for chunk in range(self.batch.chunk_count) for table in self.contract.tables]
        return sum(at_once(download, places))

    def _upload_rejects(
        self, counts: Sequence[ChunkCounts], superseded: Iterator[Superseded], folder: Path
    ) -> PublishedFile:
        """Write and upload the rejects file of the batch."""

        def fetch_rejected(chunk: int) -> Path:
            path = folder / f"{chunk:05d}.rejected.jsonl"
            staging.fetch(self.storage, self.bucket, self.batch, chunk, "rejected.jsonl", path)
            return path

        open_chunk = partial(
            open_stored, self.batch, contract=self.contract, storage=self.storage, limits=self.settings
        )
        path = folder / REJECTS
        write_rejects(path, self.batch.batch_id, self.contract, counts, superseded, fetch_rejected, open_chunk)
        return self._publish_file(path, self.batch.rejected_key)

    def _earlier(self) -> Manifest | None:
        source = self.batch.source
        for revision in range(self.batch.revision - 1, 0, -1):
            batch_id = batch_id_for(self.batch.dataset, source.bucket, source.key, source.version_id, revision)
            key = manifest_key(self.batch.dataset, batch_id)
            found = self.storage.get_bytes(self.bucket, key)
            if found is not None:
                return Manifest.read(found, key)
        return None

    def _digest(self, key: str) -> str | None:
        head = self.storage.head(self.bucket, key)
        return head["Metadata"].get("sha256", "") if head else None

    def _commit(self, manifest: Manifest) -> bool:
        """Write the manifest, and return True, or return False if another run committed the same manifest.

        Raises CommitConflictError if another run committed a different manifest.
        """
        own = manifest.to_bytes()
        if self.storage.put_new(self.bucket, self.batch.manifest_key, own):
            return True
        committed = self.storage.get_bytes(self.bucket, self.batch.manifest_key)
        if committed is None:
            raise TransientError("The batch is committed, but S3 does not return its manifest yet. Retry later.")
        manifests.check_same(committed, own)
        return False


def _parsed(batch: Batch, counts: Sequence[bytes | None]) -> list[ChunkCounts]:
    """Parse the counts of each chunk. Raises the error that `staging.missing` returns if one is missing."""
    if None in counts:
        chunk = counts.index(None)
        raise staging.missing(batch, f"Chunk {chunk} has no counts in staging", "it expired, or was never validated")
    return [
        ChunkCounts.read(data, batch.staging_key(chunk, "counts.json"))
        for chunk, data in enumerate(counts)
        if data is not None
    ]
