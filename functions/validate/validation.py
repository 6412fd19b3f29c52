"""Checks the records of one chunk against the contract and divides them into valid and rejected ones.

Two looks at each record. While the chunk streams by, `screen.py` reads it, or where it can't, parser and exact
validator judge it. Then SQL over the whole chunk sees the rest of the schema and the contract's rules; what that does
not let pass is fetched once more as it stood in the file and judged exactly. Input and output are local files and
iterators; nothing here knows S3.
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
from functions.validate.contract_sql.evaluation import ContractSql
from functions.validate.drift import Drift
from functions.validate.flagged_records import FlaggedRecords
from functions.validate.recheck import Recheck
from functions.validate.record_validator import RecordValidator
from functions.validate.stream_pass import StreamPass

RECORDS, REJECTED = "records.parquet", "rejected.jsonl"
"""What a chunk's records are divided into: those that are handed on, typed, and those that are not."""

UNKNOWN_VERSION = "unknown"
"""Stands for the version of a record that can't be read, or that names none of the contract's."""

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
    """Write RECORDS and REJECTED of one chunk into `workdir`; returns its counts.

    `open_document` is called again where records are rejected that were let pass at first. RECORDS has every record
    that was parsed, as one of the current version, and says which of them are kept; it is made of what the parser that
    read them has serialised. REJECTED is in the order of the file. Raises MalformedDocumentError or
    EncodingError where the structure around the records is broken, and RejectVolumeError, which names `sample_uri`,
    where the rejects are too many bytes; REJECTED then has those that came before.
    """
    records, rejected = workdir / RECORDS, workdir / REJECTED
    validator = RecordValidator(contract, limits)
    lines = {version: workdir / _LINES_OF.format(version.number) for version in contract.versions}
    contract_sql = ContractSql(connection, contract, validator.predicates, lines, limits.max_record_bytes)
    contract_sql.check()
    document = open_document()
    rejects = ChunkRejects(
        batch.batch_id, contract.current.number, document.position_kind, limits.max_reject_bytes, sample_uri
    )
    drift = Drift()
    with ExitStack() as files:
        lines_files = {version: files.enter_context(path.open("wb", _BUFFER)) for version, path in lines.items()}
        rejected_file = files.enter_context(rejected.open("wb", _BUFFER))
        stream_pass = StreamPass(validator, rejects, drift, document.position_kind, lines_files, rejected_file)
        received = stream_pass.divide(document.records)
    received_by_version = stream_pass.passed_by_version + rejects.by_version
    present = [version for version in contract.versions if stream_pass.passed_by_version[version.number]]
    contract_sql.keep(present or [contract.current], records)
    late = FlaggedRecords(connection, validator, rejects, open_document, rejected)
    cleared = late.reject(contract_sql.not_kept(records))
    if cleared.stat().st_size:
        late.reject(Recheck(contract_sql).keep(present, cleared, records), contract_sql.reasons)
    if unfit := contract_sql.keep_fitting(records):
        late.reject(unfit, contract_sql.reasons)
    n_rejected = rejects.by_reason.total()
    return ChunkCounts(
        chunk=chunk,
        chunk_bytes=batch.chunk_bytes,
        position_kind=document.position_kind,
        received=received,
        valid=received - n_rejected,
        rejected=n_rejected,
        rejected_by_reason=dict(rejects.by_reason),
        records_by_version=_by_version(received_by_version, rejects.by_version),
        drift=drift.content(),
        control_totals=contract_sql.control_totals(records),
        received_bytes=stream_pass.received_bytes,
        unreadable_bytes=stream_pass.unreadable_bytes,
    )


def _by_version(received: Counter[int | None], rejected: Counter[int | None]) -> dict[str, VersionCounts]:
    return {
        UNKNOWN_VERSION if version is None else str(version): VersionCounts(
            valid=received[version] - rejected[version], rejected=rejected[version]
        )
        for version in sorted(received, key=lambda version: version or 0)
    }
