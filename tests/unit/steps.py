"""The pure steps on local files: what the handlers do, without S3."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

from functions.common import sql
from functions.common.batch import Batch, Source
from functions.common.config import Settings
from functions.common.contract import LINEAGE, Contract
from functions.common.documents.chunk_counts import ChunkCounts
from functions.common.planning import plan_batch
from functions.common.source.chunk import open_chunk
from functions.common.source.documents import Document
from functions.common.source.layout import HEAD_BYTES, content_of
from functions.transform.transform import write_parts
from functions.validate.validation import RECORDS, REJECTED, validate_chunk
from functions.write.csv_file import write_csv
from functions.write.merge import Superseded, merge, read_superseded
from functions.write.reconciliation import Merged, Totals, add_up
from functions.write.rejects import write_rejects
from tests.unit.orders import CONTRACT

MEMORY_MB = 512
MAX_RECORD_BYTES = 1_000_000
BLOCK_BYTES = 1 << 16
MAX_NESTING = 64
LIMITS = Settings(
    max_object_bytes=10**9,
    max_inflated_bytes=10**9,
    max_inflation_ratio=1000,
    max_record_bytes=MAX_RECORD_BYTES,
    max_nesting=MAX_NESTING,
    max_reject_bytes=10**9,
    unknown_fields="reject",
)


def batch_of(data: bytes, name: str = "x.jsonl", chunk_bytes: int = 10**9) -> Batch:
    """The batch of these bytes. Its name is the same for any size of chunks."""
    source = Source("ingest", f"incoming/orders/{name}", "v1", len(data), "etag", "")
    content = content_of(data[:HEAD_BYTES], len(data), source.key, CONTRACT.input)
    return plan_batch(source, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), chunk_bytes, content=content)


def opened(data: bytes, batch: Batch, chunk: int, contract: Contract, limits: Settings = LIMITS) -> Document:
    """A chunk of the batch of these bytes."""

    def read(start: int) -> Iterator[bytes]:
        return (data[at : at + BLOCK_BYTES] for at in range(start, len(data), BLOCK_BYTES))

    return open_chunk(batch, chunk, contract, limits, read)


def serialised(folder: Path) -> list[tuple[int, bytes]]:
    """The valid records in `folder`, of all versions: position, and the JSON that DuckDB reads."""
    written = [line for path in folder.glob("records.v*.jsonl") for line in path.read_bytes().splitlines()]
    return sorted((orjson.loads(line)["_position"], line.split(b',"record":', 1)[1][:-1]) for line in written)


def validate(
    data: bytes,
    folder: Path,
    batch: Batch | None = None,
    chunk: int = 0,
    contract: Contract = CONTRACT,
    **limits: int,
) -> dict[str, Any]:
    """Validate one chunk into `folder`, with LIMITS, changed by `limits`; returns its counts as they are staged."""
    counts: dict[str, Any] = orjson.loads(counted(data, folder, batch, chunk, contract, **limits).to_bytes())
    return counts


def counted(
    data: bytes,
    folder: Path,
    batch: Batch | None = None,
    chunk: int = 0,
    contract: Contract = CONTRACT,
    **limits: int,
) -> ChunkCounts:
    """Validate one chunk like `validate`. Returns the counts as the pipeline's type."""
    under = Settings(**{**vars(LIMITS), **limits})
    batch = batch or batch_of(data)
    folder.mkdir(parents=True, exist_ok=True)

    def open_document() -> Document:
        return opened(data, batch, chunk, contract, under)

    with sql.connect(folder, MEMORY_MB) as connection:
        return validate_chunk(open_document, contract, batch, chunk, folder, connection, under, "s3://sample")


@dataclass
class Staged:
    """All chunks of a file, validated and transformed: the input of the merge."""

    folder: Path
    batch: Batch
    contract: Contract
    counts: Sequence[ChunkCounts]
    totals: Totals

    @property
    def parts(self) -> Path:
        return self.folder / "parts"

    def tamper(self, table: str, select: str, chunk: int = 0) -> None:
        """Replace a part with the result of a SELECT from it, under the name `part`."""
        path = sql.literal(self.parts / f"{chunk:05d}.{table}.part")
        with duckdb.connect() as connection:
            connection.execute(f"CREATE TABLE part AS SELECT * FROM read_parquet({path})")
            connection.execute(f"COPY ({select}) TO {path} (FORMAT parquet)")

    def merge(self) -> Merged:
        with sql.connect(self.parts, MEMORY_MB) as connection:
            merged = merge(self.batch, self.contract, self.totals, self.parts, connection)
            for table in self.contract.tables:
                write_csv(table, self.batch, self.parts, connection)
            return merged


def stage(
    data: bytes, folder: Path, chunk_bytes: int = 10**9, name: str = "x.jsonl", contract: Contract = CONTRACT
) -> Staged:
    """Validate and transform every chunk of a file."""
    batch = batch_of(data, name, chunk_bytes)
    (folder / "parts").mkdir(parents=True)
    counts = []
    for chunk in range(batch.chunk_count):
        staging = folder / f"{chunk:05d}"
        counts.append(counted(data, staging, batch, chunk, contract))
        with sql.connect(staging, MEMORY_MB) as connection:
            for table in write_parts(staging / RECORDS, contract, staging, connection):
                (staging / f"{table}.parquet").rename(folder / "parts" / f"{chunk:05d}.{table}.part")
    return Staged(folder, batch, contract, counts, add_up(counts, batch))


@dataclass
class Published:
    """The output of all steps, in `folder`: one Parquet and one CSV file per table, and the rejects."""

    folder: Path
    staged: Staged
    merged: Merged
    superseded: list[Superseded]

    @property
    def totals(self) -> Totals:
        return self.staged.totals

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows, in their order, without the lineage."""
        relation = duckdb.sql(f"SELECT * FROM read_parquet({sql.literal(self.folder / f'{table}.parquet')})")
        names = relation.columns[: -len(LINEAGE)]
        return [dict(zip(names, row, strict=False)) for row in relation.fetchall()]

    def csv(self, table: str) -> str:
        return (self.folder / f"{table}.csv").read_bytes().decode("utf-8")

    def rejects(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (self.folder / "rejects.jsonl").read_bytes().splitlines()]

    def files(self) -> dict[str, bytes]:
        """The bytes of every published file."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


RunOrders = Callable[..., Published]
"""The type of the fixture `run_orders`, which takes orders and returns the published files."""


def publish(
    data: bytes, folder: Path, chunk_bytes: int = 10**9, name: str = "x.jsonl", contract: Contract = CONTRACT
) -> Published:
    """Run all steps over a file."""
    staged = stage(data, folder, chunk_bytes, name, contract)
    merged = staged.merge()
    out = folder / "out"
    out.mkdir()
    for table in contract.tables:
        for suffix in ("parquet", "csv"):
            (staged.parts / f"{table.name}.{suffix}").rename(out / f"{table.name}.{suffix}")

    def fetch_rejected(chunk: int) -> Path:
        return folder / f"{chunk:05d}" / REJECTED

    def open_chunk_again(chunk: int) -> Document:
        return opened(data, staged.batch, chunk, contract)

    rejects = out / "rejects.jsonl"
    superseded = list(read_superseded(staged.parts))
    write_rejects(rejects, staged.batch.batch_id, contract, staged.counts, superseded, fetch_rejected, open_chunk_again)
    return Published(out, staged, merged, superseded)
