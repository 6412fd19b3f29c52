"""Writes the rejects of one chunk in the order of the source, and counts them."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from functions.common.diagnoses.sample import MOST_BYTES, MOST_RECORDS
from functions.common.errors import RejectVolumeError
from functions.common.reject_lines import reject_line
from functions.common.source.raw import RawRecord
from functions.validate.record_validator import Verdict

_BUFFER = 1 << 20


@dataclass(slots=True)
class ChunkRejects:
    """Writes the rejects of one chunk and counts them.

    The reasons of a reject can take a thousand bytes, so the rejects of short records can be much larger than the
    chunk. `max_bytes` limits their size.
    """

    path: Path
    """The rejects as JSON Lines, in the order of the source."""
    batch_id: str
    current_version: int
    """The version that is written for a record without a known version."""
    position_kind: str
    max_bytes: int
    sample_uri: str
    """The URI of the rejects that were written before the limit was exceeded."""
    by_reason: Counter[str] = field(default_factory=Counter)
    """The number of rejected records by the code of their first reason."""
    by_version: Counter[int | None] = field(default_factory=Counter)
    """The number of rejected records by their version."""
    n_bytes: int = 0
    sample: list[RawRecord] = field(default_factory=list)
    """The first rejected records, for a diagnosis."""
    _sample_bytes: int = 0

    def __post_init__(self) -> None:
        self.path.write_bytes(b"")

    @contextmanager
    def writer(self) -> Iterator[Callable[[RawRecord, Verdict], None]]:
        """Yield a function that writes the reject of one record. Call it in the order of the source.

        On exit, the written rejects are merged into the file `path`. After an error, the file serves as a sample. The
        function raises RejectVolumeError if all rejects together exceed `max_bytes`.
        """
        more = self.path.with_suffix(".more")
        try:
            with more.open("wb", _BUFFER) as file:
                yield lambda raw, verdict: self._write(file.write, raw, verdict)
        finally:
            self._merge(more)

    def _write(self, write: Callable[[bytes], object], raw: RawRecord, verdict: Verdict) -> None:
        reason, version = verdict.reasons[0].code, verdict.version.number if verdict.version else None
        line = reject_line(
            batch_id=self.batch_id,
            contract_version=self.current_version if version is None else version,
            position=raw.position,
            position_kind=self.position_kind,
            reason=reason,
            errors=[asdict(one) for one in verdict.reasons],
            record=raw.data,
            readable=verdict.is_parsed,
            truncated_from=raw.length if raw.oversize else None,
        )
        self.by_reason[reason] += 1
        self.by_version[version] += 1
        if len(self.sample) < MOST_RECORDS and self._sample_bytes < MOST_BYTES:
            self.sample.append(raw)
            self._sample_bytes += len(raw.data)
        self.n_bytes += len(line)
        if self.n_bytes > self.max_bytes:
            reasons_so_far = ", ".join(f"{code} {number}" for code, number in sorted(self.by_reason.items()))
            raise RejectVolumeError(
                f"The rejects of one chunk take more than {self.max_bytes} bytes, the limit max_reject_bytes. "
                f"Rejected so far: {self.by_reason.total()} ({reasons_so_far}). A sample is at {self.sample_uri}."
            )
        write(line)

    def _merge(self, more: Path) -> None:
        """Merge the rejects in the file `more` into the file `path`. Both files are in the order of the source."""
        if not self.path.stat().st_size:
            more.replace(self.path)
            return
        if more.stat().st_size:
            merged = self.path.with_suffix(".merged")
            with self.path.open("rb") as lines, more.open("rb") as more_lines, merged.open("wb", _BUFFER) as file:
                both = heapq.merge(_with_positions(lines), _with_positions(more_lines), key=lambda pair: pair[0])
                file.writelines(line for _, line in both)
            merged.replace(self.path)
        more.unlink()


def _with_positions(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        yield orjson.loads(line)["position"], line
