"""Writes a batch's rejects file: first the records that `validate` rejected, and then the superseded records."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import orjson

from functions.common.contract import Contract
from functions.common.documents.chunk_counts import ChunkCounts
from functions.common.reject_codes import SUPERSEDED, Reason
from functions.common.reject_lines import reject_line
from functions.common.source.documents import Document
from functions.write.merge import Superseded


def write_rejects(
    path: Path,
    batch_id: str,
    contract: Contract,
    counts: Sequence[ChunkCounts],
    superseded: Iterable[Superseded],
    fetch_rejected: Callable[[int], Path],
    open_chunk: Callable[[int], Document],
) -> None:
    """Write the rejects of all chunks to `path`, one JSON object per line.

    `superseded` must be sorted by chunk and position. A chunk with superseded records is read again from the source.
    Raises ReconciliationError if a superseded record is not found at its position.
    """
    with path.open("wb") as rejects:
        for chunk, count in enumerate(counts):
            if count.rejected:
                fetched = fetch_rejected(chunk)
                with fetched.open("rb") as lines:
                    shutil.copyfileobj(lines, rejects, 1 << 20)
                fetched.unlink()
        for chunk, records in groupby(superseded, key=lambda record: record.chunk):
            document = open_chunk(chunk)
            for record in records:  # `records` and the document are both in file order
                raw = document.record_at(record.position)
                rejects.write(
                    reject_line(
                        batch_id=batch_id,
                        contract_version=_version_of(contract, raw.data),
                        position=record.position,
                        position_kind=document.position_kind,
                        reason=SUPERSEDED,
                        errors=[asdict(_superseded_by(record.superseded_by))],
                        record=raw.data,
                        readable=True,
                    )
                )


def _version_of(contract: Contract, record: bytes) -> int:
    version = contract.version_of(orjson.loads(record)) if contract.version_path else contract.current
    return (version or contract.current).number


def _superseded_by(position: int) -> Reason:
    message = f"a later record in the same file, at position {position}, has the same key and was published instead"
    return Reason(SUPERSEDED, "", "key", message)
