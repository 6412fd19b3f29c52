"""Puts a batch's rejects together: what validation rejected, in the order of the file, then what is superseded."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from functions.common.contract import Contract
from functions.common.records import read_valid_line, reject_line
from functions.write.merge import Superseded


def write_rejects(
    path: Path,
    batch_id: str,
    contract: Contract,
    counts: Sequence[Mapping[str, Any]],
    superseded: Iterable[Superseded],
    staged: Callable[[int, str], Path],
) -> None:
    """Write the rejects of all chunks to `path`.

    `superseded` comes by chunk and position; `staged(chunk, name)` fetches a chunk's file from staging.
    """
    with path.open("wb") as rejects:
        for chunk, count in enumerate(counts):
            if count["rejected"]:
                fetched = staged(chunk, "rejected.jsonl")
                with fetched.open("rb") as lines:
                    shutil.copyfileobj(lines, rejects, 1 << 20)
                fetched.unlink()
        for chunk, records in groupby(superseded, key=lambda record: record.chunk):
            fetched = staged(chunk, "records.jsonl")
            with fetched.open("rb") as lines:
                passed = map(read_valid_line, lines)
                for record in records:  # both are in the order of the file
                    content = next(content for position, content in passed if position == record.position)
                    rejects.write(
                        reject_line(
                            batch_id=batch_id,
                            contract_version=_version_of(contract, content),
                            position=record.position,
                            position_kind=counts[chunk]["position_kind"],
                            reason="superseded",
                            errors=[_superseded_by(record.superseded_by)],
                            record=content,
                            readable=True,
                        )
                    )
            fetched.unlink()


def _version_of(contract: Contract, record: bytes) -> int:
    version = contract.version_of(orjson.loads(record)) if contract.version_path else contract.current
    return (version or contract.current).number


def _superseded_by(position: int) -> dict[str, str]:
    message = f"the record's key occurs again later in the file, at position {position}, and that one was published"
    return {"code": "superseded", "pointer": "", "rule": "key", "message": message}
