"""Puts a batch's rejects together: what validation rejected, in the order of the file, then what is superseded."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from functions.common.records import read_valid_line, reject_line
from functions.write.merge import Superseded


def write_rejects(
    path: Path,
    batch_id: str,
    contract_version: int,
    counts: Sequence[Mapping[str, Any]],
    superseded: Sequence[Superseded],
    staged: Callable[[int, str], Path],
) -> None:
    """Write the rejects of all chunks to `path`. `staged(chunk, name)` fetches a chunk's file from staging."""
    with path.open("wb") as rejects:
        for chunk, count in enumerate(counts):
            if count["rejected"]:
                fetched = staged(chunk, "rejected.jsonl")
                with fetched.open("rb") as lines:
                    shutil.copyfileobj(lines, rejects, 1 << 20)
                fetched.unlink()
        for chunk in sorted({record.chunk for record in superseded}):
            later = {record.position: record.superseded_by for record in superseded if record.chunk == chunk}
            fetched = staged(chunk, "valid.jsonl")
            with fetched.open("rb") as lines:
                for position, record in map(read_valid_line, lines):
                    if position in later:
                        rejects.write(
                            reject_line(
                                batch_id=batch_id,
                                contract_version=contract_version,
                                position=position,
                                position_kind=counts[chunk]["position_kind"],
                                reason="superseded",
                                errors=[_superseded_by(later[position])],
                                record=record,
                            )
                        )
            fetched.unlink()


def _superseded_by(position: int) -> dict[str, str]:
    message = f"the record's key occurs again later in the file, at position {position}, and that one was published"
    return {"code": "superseded", "pointer": "", "rule": "key", "message": message}
