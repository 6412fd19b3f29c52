"""Puts a batch's rejects together: what validation rejected, in the order of the file, then what is superseded."""

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
    """Write the rejects of all chunks to `path`.

    `superseded` comes by chunk and position; a chunk that has such records is read once more for them, as it stands in
    the source. Raises ReconciliationError where one is not there any more.
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
            for record in records:  # both are in the order of the file
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
    message = f"the record's key occurs again later in the file, at position {position}, and that one was published"
    return Reason(SUPERSEDED, "", "key", message)
