"""Builds the failure record and the notification of a failed execution."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from functions.common.batch import Batch, Source, title_of
from functions.common.causes import plain_cause
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.notification import Notification
from functions.common.errors import Remedy, next_step_for, remedy_for

_CAUSES = {
    "TIMED_OUT": ("States.Timeout", "The execution ran longer than the state machine's timeout."),
    "ABORTED": ("ExecutionAborted", "Someone stopped the execution."),
}
_NO_CAUSE = "A step exceeded its timeout, or its function didn't respond."  # the only errors that have no cause
_UNKNOWN = ("UnknownError", "The execution failed without naming an error. See its history in Step Functions.")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed execution."""

    batch: Batch
    execution: str
    """The execution's name."""
    status: str
    """FAILED, TIMED_OUT or ABORTED."""
    error: str
    cause: str

    @property
    def key(self) -> str:
        """The key of the failure record in the processed bucket."""
        return self.batch.failure_key(self.execution)

    @classmethod
    def from_state_machine(cls, event: Mapping[str, Any]) -> Self:
        """Parse the input of the state RecordFailure."""
        failure = event["failure"]
        batch = Batch.from_input(event["batch"])
        return cls(batch, event["execution"], "FAILED", failure["Error"], plain_cause(failure["Cause"] or _NO_CAUSE))

    @classmethod
    def from_status_change(cls, event: Mapping[str, Any]) -> Self:
        """Parse a status change event from EventBridge. `error` and `cause` are null if the execution timed out."""
        detail = event["detail"]
        error, cause = _CAUSES.get(detail["status"], _UNKNOWN)
        return cls(
            _batch_of(detail),
            detail["name"],
            detail["status"],
            detail.get("error") or error,
            plain_cause(detail.get("cause") or cause),
        )


def _batch_of(detail: Mapping[str, Any]) -> Batch:
    """Return the batch in an execution's input, or a batch of the dataset `unknown` if the input has none."""
    try:
        return Batch.from_input(json.loads(detail["input"]))
    except (TypeError, ValueError, KeyError):
        nothing = Source(bucket="unknown", key="unknown", version_id="", size=0, etag="", sequencer="")
        return Batch("unknown", detail["name"], 1, nothing, ingested_at="", chunk_bytes=0, last_chunk=0)


def record(failure: Failure, *, committed: bool, rejects_uri: str | None) -> FailureRecord:
    """Return the failure record. `committed` says whether the batch has a manifest.

    `notified_by` is null in the returned record. It is set when a sent notification is confirmed.
    """
    next_step, remedy = next_step_for(failure.error), remedy_for(failure.error)
    if committed:
        remedy = Remedy.NOTHING
        next_step = "No action is needed. The batch is published, and only a step after the commit failed."
    return FailureRecord(
        failure_version=1,
        dataset=failure.batch.dataset,
        batch_id=failure.batch.batch_id,
        execution=failure.execution,
        status=failure.status,
        error=failure.error,
        cause=failure.cause,
        next_step=next_step,
        remedy=remedy,
        published=committed,
        rejects=rejects_uri,
        notified_by=None,
        source=failure.batch.source,
        ingested_at=failure.batch.ingested_at,
    )


def notification(failure_record: FailureRecord, record_uri: str) -> Notification:
    """Return the notification of a failure. The subject truncates a long error name."""
    outcome = "was published, but a step after that failed" if failure_record.published else "was not published"
    rejects = f"Rejected records: {failure_record.rejects}\n" if failure_record.rejects else ""
    return Notification(
        subject=f"{failure_record.dataset}: a file {outcome} ({failure_record.error})",
        message=(
            f"{title_of(failure_record.source.bucket, failure_record.source.key)} {outcome}.\n\n"
            f"{failure_record.error}: {failure_record.cause}\n\n"
            f"Next: {failure_record.next_step}\n\n"
            f"{rejects}Failure record: {record_uri}\n"
            f"Batch: {failure_record.batch_id}\n"
            f"Execution: {failure_record.execution}\n"
        ),
    )
