"""Checks the records of one chunk against the contract, and divides them into valid and rejected records.

Each record is checked twice. While the chunk is streamed, the fast decoder reads the record, or the exact validator
checks it (`stream_pass`). Then SQL over the whole chunk tests the rest of the schema, the contract's rules, and whether
the tables can hold the record (`contract_sql`). Records that SQL flags are read from the source again and validated
exactly (`recheck`). Input and output are local files and iterators; this module doesn't use S3.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import duckdb

from functions.common.batch import Batch
from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.documents.chunk_counts import ChunkCounts, VersionCounts
from functions.common.source.documents import Document
from functions.validate.chunk_rejects import ChunkRejects
from functions.validate.contract_sql.evaluation import ChunkEvaluation
from functions.validate.diagnosis import diagnosis_of_rejects, explained
from functions.validate.drift import skipped_members
from functions.validate.recheck import Recheck
from functions.validate.record_validator import RecordValidator
from functions.validate.stream_pass import StreamPass

RECORDS, REJECTED = "records.parquet", "rejected.jsonl"
"""The files of a chunk: its valid records with their types, and its rejects."""

UNKNOWN_VERSION = "unknown"
"""Represents the version of a record that can't be read, or whose version the contract doesn't have."""

_LINES_OF = "records.v{}.jsonl"
_BUFFER = 1 << 20


def validate_chunk(
    open_document: Callable[[], Document],
    contract: Contract,
    batch: Batch,
    chunk: int,
    workdir: Path,
    connection: duckdb.DuckDBPyConnection,
    limits: Settings,
    sample_uri: str = "",
) -> ChunkCounts:
    """Write the files RECORDS and REJECTED of one chunk to `workdir`, and return the chunk's counts.

    `open_document` is called again if SQL flags records that the stream pass accepted. RECORDS has each accepted
    record, converted to the current version, and whether it is kept. REJECTED is in the order of the file.

    Raises MalformedDocumentError or EncodingError if the structure around the records is broken. Raises
    RejectVolumeError, which names `sample_uri`, if the rejects exceed the limit in bytes; REJECTED then has the rejects
    up to the limit.
    """
    validator = RecordValidator(contract, limits)
    lines = {version: workdir / _LINES_OF.format(version.number) for version in contract.versions}
    evaluation = ChunkEvaluation(connection, contract, lines, validator.fast_decoders, limits.max_record_bytes)
    document = open_document()
    rejects = ChunkRejects(
        workdir / REJECTED,
        batch.batch_id,
        contract.current.number,
        document.position_kind,
        limits.max_reject_bytes,
        sample_uri,
    )
    with ExitStack() as files:
        lines_files = {version: files.enter_context(path.open("wb", _BUFFER)) for version, path in lines.items()}
        reject = files.enter_context(rejects.writer())
        stream_pass = StreamPass(validator, document.position_kind, lines_files, reject, document.split)
        with explained(document, rejects, contract):
            received = stream_pass.read(document.records)
    received_by_version = stream_pass.passed_by_version + rejects.by_version
    present = [version for version in contract.versions if stream_pass.passed_by_version[version.number]]
    recheck = Recheck(validator, rejects, open_document, stream_pass.drift)
    control_totals = evaluation.evaluate(present, workdir / RECORDS, recheck.accepted)
    n_rejected = rejects.by_reason.total()
    diagnosis = ""
    if n_rejected * 2 > received:
        diagnosis = diagnosis_of_rejects(document, rejects, contract, has_valid=n_rejected < received)
    return ChunkCounts(
        chunk=chunk,
        chunk_bytes=batch.chunk_bytes,
        position_kind=document.position_kind,
        received=received,
        valid=received - n_rejected,
        rejected=n_rejected,
        rejected_by_reason=dict(rejects.by_reason),
        records_by_version=_by_version(received_by_version, rejects.by_version),
        drift=(
            *stream_pass.drift.content(keeps_unknown=contract.keeps_unknown),
            *skipped_members(document.skipped, contract.current),
        ),
        control_totals=control_totals,
        received_bytes=stream_pass.received_bytes,
        unreadable_bytes=stream_pass.unreadable_bytes,
        diagnosis=diagnosis,
    )


def _by_version(received: Counter[int | None], rejected: Counter[int | None]) -> dict[str, VersionCounts]:
    return {
        UNKNOWN_VERSION if version is None else str(version): VersionCounts(
            valid=received[version] - rejected[version], rejected=rejected[version]
        )
        for version in sorted(received, key=lambda version: version or 0)
    }
