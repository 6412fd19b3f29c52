"""Decides whether a whole file fails because it has no records, no valid records, or too many rejects."""

from functions.common.errors import EmptyFileError, NoValidRecordsError, PipelineError, TooManyRejectsError
from functions.write.reconciliation import Totals


def refusal(totals: Totals, max_reject_ratio: float, rejects_uri: str) -> PipelineError | None:
    """Return the error if the whole file fails (EmptyFileError, NoValidRecordsError, TooManyRejectsError), or None.

    `max_reject_ratio` applies to records (rejected / received) and to bytes (unreadable / received), because a single
    unreadable line may contain thousands of records.
    """
    if totals.received == 0:
        return EmptyFileError("The file has no records: it is empty, blank, or an empty array.")
    error = _refusal_for_rejects(totals, max_reject_ratio, rejects_uri)
    if error:
        error.rejected_by_reason = totals.rejected_by_reason
    return error


def _refusal_for_rejects(totals: Totals, max_reject_ratio: float, rejects_uri: str) -> PipelineError | None:
    diagnosis = f" {totals.diagnosis}" if totals.diagnosis else ""
    reasons = ", ".join(f"{reason} {number}" for reason, number in totals.rejected_by_reason.items())
    if totals.valid == 0:
        return NoValidRecordsError(
            f"The file has no valid records. Rejected: {totals.rejected} ({reasons}). See {rejects_uri}.{diagnosis}"
        )
    records_share = totals.rejected / totals.received  # 0.29 × 100 would be below 29
    bytes_share = totals.unreadable_bytes / totals.received_bytes
    if max(records_share, bytes_share) > max_reject_ratio:
        return TooManyRejectsError(
            f"{totals.rejected} of {totals.received} records violate the contract ({reasons}), a share of "
            f"{records_share:.4g}. {totals.unreadable_bytes} of {totals.received_bytes} bytes could not be read as "
            f"records, a share of {bytes_share:.4g}. max_reject_ratio allows a share of {max_reject_ratio:g} for each. "
            f"See {rejects_uri}.{diagnosis}"
        )
    return None
