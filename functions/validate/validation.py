"""Checks the records of one chunk against the contract and divides them into valid and rejected ones.

Each record is checked twice. While the chunk streams by, the fast decoder reads it, or the exact validator judges it
(`stream_pass`). Then SQL over the whole chunk tests the rest of the schema, the contract's rules, and whether the
tables can hold it (`contract_sql`). What SQL flags is read from the source again and judged exactly (`recheck`). Input
and output are local files and iterators; nothing here knows S3.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.source.documents import Document
from functions.validate.chunk_rejects import ChunkRejects
from functions.validate.contract_sql.evaluation import ChunkEvaluation
from functions.validate.recheck import Recheck
from functions.validate.record_validator import RecordValidator
from functions.validate.stream_pass import StreamPass

RECORDS, REJECTED = "records.parquet", "rejected.jsonl"
"""What a chunk's records are divided into: those that are handed on, typed, and those that are not."""

UNKNOWN_VERSION = "unknown"
"""Stands for the version of a record that can't be read, or that names none of the contract's."""

_LINES_OF = "records.v{}.jsonl"
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one chunk: received = valid + rejected."""

    received: int
    valid: int
    rejected: int
    rejected_by_reason: dict[str, int]
    records_by_version: dict[str, dict[str, int]]
    """How many records of each version are valid and rejected; UNKNOWN_VERSION has those whose version is not told."""
    drift: list[Mapping[str, Any]]
    """Which unknown fields how many records had."""
    control_totals: dict[str, str]
    """Sums over the valid records, as exact decimals."""
    received_bytes: int
    """Bytes of all records, without white space around them."""
    unreadable_bytes: int
    """Bytes of what could not be read as records, so that nobody knows how many records it is."""


def validate_chunk(
    open_document: Callable[[], Document],
    contract: Contract,
    batch_id: str,
    workdir: Path,
    connection: duckdb.DuckDBPyConnection,
    limits: Settings,
    sample_uri: str = "",
) -> tuple[Document, Counts]:
    """Write RECORDS and REJECTED into `workdir`; answers the document and counts.

    `open_document` is called again if SQL flags records that the stream pass accepted. RECORDS has each of those as one
    of the current version, and whether it is kept; it is made from what the parser that read them has serialised.
    REJECTED is in the order of the file. Raises MalformedDocumentError or
    EncodingError where the structure around the records is broken, and RejectVolumeError, which names `sample_uri`,
    where the rejects are too many bytes; REJECTED then has those that came before.
    """
    validator = RecordValidator(contract, limits)
    lines = {version: workdir / _LINES_OF.format(version.number) for version in contract.versions}
    evaluation = ChunkEvaluation(connection, contract, lines, validator.fast_decoders, limits.max_record_bytes)
    document = open_document()
    rejects = ChunkRejects(
        workdir / REJECTED,
        batch_id,
        contract.current.number,
        document.position_kind,
        limits.max_reject_bytes,
        sample_uri,
    )
    with ExitStack() as files:
        lines_files = {version: files.enter_context(path.open("wb", _BUFFER)) for version, path in lines.items()}
        reject = files.enter_context(rejects.writer())
        stream_pass = StreamPass(validator, document.position_kind, lines_files, reject)
        received = stream_pass.read(document.records)
    received_by_version = stream_pass.passed_by_version + rejects.by_version
    present = [version for version in contract.versions if stream_pass.passed_by_version[version.number]]
    recheck = Recheck(validator, rejects, open_document)
    control_totals = evaluation.evaluate(present, workdir / RECORDS, recheck.accepted)
    n_rejected = rejects.by_reason.total()
    return document, Counts(
        received=received,
        valid=received - n_rejected,
        rejected=n_rejected,
        rejected_by_reason=dict(rejects.by_reason),
        records_by_version=_by_version(received_by_version, rejects.by_version),
        drift=stream_pass.drift.content(),
        control_totals=control_totals,
        received_bytes=stream_pass.received_bytes,
        unreadable_bytes=stream_pass.unreadable_bytes,
    )


def _by_version(received: Counter[int | None], rejected: Counter[int | None]) -> dict[str, dict[str, int]]:
    return {
        UNKNOWN_VERSION if version is None else str(version): {
            "valid": received[version] - rejected[version],
            "rejected": rejected[version],
        }
        for version in sorted(received, key=lambda version: version or 0)
    }
