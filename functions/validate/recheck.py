"""Reads records again from the source if the contract's SQL flagged them, and validates them exactly."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from functions.common.source.documents import Document
from functions.common.source.raw import RawRecord
from functions.validate.chunk_rejects import ChunkRejects
from functions.validate.contract_sql.evaluation import FlaggedRecord
from functions.validate.drift import Drift
from functions.validate.record_validator import RecordValidator, Verdict


@dataclass(frozen=True, slots=True)
class Recheck:
    """Rejects or accepts the flagged records of one chunk."""

    validator: RecordValidator
    rejects: ChunkRejects
    open_document: Callable[[], Document]
    drift: Drift
    """The counts of unknown fields. The unknown fields of flagged records are counted as dropped."""

    def accepted(self, flagged: Iterable[FlaggedRecord]) -> Iterator[int]:
        """Reject the flagged records that are invalid or unfit, and yield the positions of valid records.

        Flagged records must be in the order of the source. Only one record is in memory at a time.
        """
        document: Document | None = None
        with self.rejects.writer() as reject:
            for one in flagged:
                document = document or self.open_document()
                raw = document.record_at(one.position)
                verdict = self._verdict(raw, one)
                if verdict.reasons:
                    reject(raw, verdict)
                else:
                    yield one.position

    def _verdict(self, raw: RawRecord, flagged: FlaggedRecord) -> Verdict:
        if flagged.unfit is not None:
            return self.validator.unfit_verdict(raw, flagged.unfit)
        if flagged.rules_kept is not None:
            return self.validator.rules_verdict(raw, flagged.rules_kept)
        verdict = self.validator.verdict(raw)
        if verdict.reasons and verdict.version:
            self.drift.reject(verdict.version, verdict.unknown)
        return verdict
