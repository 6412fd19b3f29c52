"""Checks the records of one chunk against the contract and divides them into valid and rejected ones.

Two looks at each record. While the chunk streams by, `screen.py` reads it, or where it can't, parser and exact
validator judge it. Then SQL over the whole chunk sees the rest of the schema and the contract's rules; what that does
not let pass is fetched once more as it stood in the file and judged exactly. Input and output are local files and
iterators; nothing here knows S3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from functions.common.config import Settings
from functions.common.contract import Contract
from functions.validate.contract_sql import keep, keep_cleared, not_kept, open_checked, summed_totals
from functions.validate.documents import Document
from functions.validate.judge import Judge
from functions.validate.late import Late
from functions.validate.rejected import Rejects
from functions.validate.sieve import Sieve

LINES, RECORDS, REJECTED = "records.jsonl", "records.parquet", "rejected.jsonl"
"""What a chunk's records are divided into: as they are handed on, in text and typed, and those that are not."""

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one chunk: received = valid + rejected."""

    received: int
    valid: int
    rejected: int
    rejected_by_reason: dict[str, int]
    control_totals: dict[str, str]
    """Sums over the valid records, as exact decimals."""


def validate_chunk(
    open_document: Callable[[], Document],
    contract: Contract,
    batch_id: str,
    workdir: Path,
    connection: duckdb.DuckDBPyConnection,
    limits: Settings,
    sample_uri: str = "",
) -> tuple[Document, Counts]:
    """Write LINES, RECORDS and REJECTED into `workdir`, all in the order of the file; answers the document and counts.

    `open_document` is called again where records are rejected that were let pass at first. LINES has every record that
    was parsed, serialised by the parser that read it; RECORDS the same, typed, and says which of them are kept. Raises
    MalformedDocumentError or EncodingError where the structure around the records is broken, and RejectVolumeError,
    which names `sample_uri`, where the rejects are too many bytes; REJECTED then has those that came before.
    """
    lines, records, rejected = workdir / LINES, workdir / RECORDS, workdir / REJECTED
    lines.write_bytes(b"")
    open_checked(connection, contract, lines, limits.max_record_bytes)
    document = open_document()
    rejects = Rejects(batch_id, contract.version, document.position_kind, limits.max_reject_bytes, sample_uri)
    judge = Judge(contract, limits)
    with lines.open("wb", _BUFFER) as lines_file, rejected.open("wb", _BUFFER) as rejected_file:
        received = Sieve(judge, rejects, document.position_kind, lines_file, rejected_file).divide(document.records)
    keep(connection, contract, judge.predicate, records)
    late = Late(connection, judge, rejects, open_document, rejected)
    cleared = late.reject(not_kept(contract, records))
    if cleared.stat().st_size:
        late.reject(keep_cleared(connection, contract, cleared, records))
    n_rejected = rejects.by_reason.total()
    totals = _control_totals(connection, contract, records)
    return document, Counts(received, received - n_rejected, n_rejected, dict(rejects.by_reason), totals)


def _control_totals(connection: duckdb.DuckDBPyConnection, contract: Contract, records: Path) -> dict[str, str]:
    """The exact sum of each control total over the valid records, `0` where there are none."""
    if not contract.control_totals:
        return {}
    row = connection.execute(summed_totals(contract, records)).fetchone()
    return dict(zip((total.name for total in contract.control_totals), row or (), strict=True))
