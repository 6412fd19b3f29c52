"""The rejects that SQL finds: fetched once more as they stand in the source, judged, and merged into the others."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import orjson

from functions.common.reject_codes import Reason
from functions.common.source.documents import Document, record_at
from functions.validate.chunk_rejects import ChunkRejects
from functions.validate.record_validator import RecordValidator, parsed, reject_line_of

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class FlaggedRecords:
    """Rejects records that had passed the sieve, as they stand in the source, which is read once more for it."""

    connection: duckdb.DuckDBPyConnection
    validator: RecordValidator
    rejects: ChunkRejects
    open_document: Callable[[], Document]
    rejected: Path

    def reject(self, query: str, reasons: Sequence[Reason] = ()) -> Path:
        """Reject what a query gives (see `not_kept`); the file in the answer has the positions of those that are valid.

        A row is a position, the verdict of each rule or NULL, and the number of one of `reasons` or NULL.

        The rejects stay in the order of the source, and nothing is held in memory but one record.
        """
        cleared, late = self.rejected.with_suffix(".cleared"), self.rejected.with_suffix(".late")
        rows = self.connection.execute(query)
        try:
            with cleared.open("w") as cleared_file, late.open("wb", _BUFFER) as late_file:
                row = rows.fetchone()
                raws = iter(self.open_document().records if row else ())
                while row:
                    position, kept, reason = row
                    raw = record_at(position, raws)
                    record = parsed(raw)
                    if reason is not None:
                        verdict = self.validator.unfit_verdict(record, reasons[reason])
                    elif kept is not None:
                        verdict = self.validator.rules_verdict(record, kept)
                    else:
                        verdict = self.validator.verdict(raw, record)
                    if verdict.reasons:
                        late_file.write(reject_line_of(self.rejects, raw, record, verdict))
                    else:
                        cleared_file.write(f"{position}\n")
                    row = rows.fetchone()
        finally:  # also where there are too many: they are the sample
            _merge_by_position(self.rejected, late)
        return cleared


def _merge_by_position(rejected: Path, late: Path) -> None:
    """Merge the reject lines of `late` into `rejected`; both are in the order of the source."""
    if late.stat().st_size:
        merged = rejected.with_suffix(".merged")
        with (
            rejected.open("rb") as early_lines,
            late.open("rb") as late_lines,
            merged.open("wb", _BUFFER) as merged_file,
        ):
            in_order = heapq.merge(_with_positions(early_lines), _with_positions(late_lines), key=lambda pair: pair[0])
            merged_file.writelines(line for _, line in in_order)
        merged.replace(rejected)
    late.unlink()


def _with_positions(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        yield orjson.loads(line)["position"], line
