"""What a failure is called and what it says: the record that is kept, and the notice that is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from functions.common.batch import Batch, Source, title_of
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.notification import Notification
from functions.common.errors import Remedy, next_step_for, remedy_for

_MAX_CAUSE = 2000
_CAUSES = {
    "TIMED_OUT": ("States.Timeout", "The execution ran longer than the state machine allows."),
    "ABORTED": ("ExecutionAborted", "Somebody stopped the execution."),
}
_NO_CAUSE = "A step ran longer than it may, or its function never answered."  # all that comes without a cause
_UNKNOWN = ("UnknownError", "The execution failed without naming an error; look at its history.")


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
        """Where its record is."""
        return self.batch.failure_key(self.execution)

    @classmethod
    def from_state_machine(cls, event: Mapping[str, Any]) -> Self:
        """The failure that the state RecordFailure hands over."""
        failure = event["failure"]
        batch = Batch.from_input(event["batch"])
        return cls(batch, event["execution"], "FAILED", failure["Error"], plain_cause(failure["Cause"] or _NO_CAUSE))

    @classmethod
    def from_status_change(cls, event: Mapping[str, Any]) -> Self:
        """The failure that EventBridge tells of; `error` and `cause` are null for an execution that timed out."""
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
    """The batch of an execution; of one that the starter did not start, a batch that says so."""
    try:
        return Batch.from_input(json.loads(detail["input"]))
    except (TypeError, ValueError, KeyError):
        nothing = Source(bucket="unknown", key="unknown", version_id="", size=0, etag="", sequencer="")
        return Batch("unknown", detail["name"], 1, nothing, ingested_at="", chunk_bytes=0, last_chunk=0)


def plain_cause(cause: str) -> str:
    """The sentence in a cause: of a Lambda function's error its message, without type and stack trace."""
    try:
        message = json.loads(cause)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        message = cause
    return str(message)[:_MAX_CAUSE]


def record(failure: Failure, *, committed: bool, rejects_uri: str | None) -> FailureRecord:
    """The failure record: what failed, why, and what to do. `committed` says that a manifest outranks it.

    `notified_by` is null until it is known that somebody was told: `state_machine` or `record_failure` then.
    """
    next_step, remedy = next_step_for(failure.error), remedy_for(failure.error)
    if committed:
        remedy = Remedy.NOTHING
        next_step = "Nothing: the batch is published, its manifest stands, and only what came after it failed."
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


def notice(failure_record: FailureRecord, record_uri: str) -> Notification:
    """The notification of a failure. Who stops an execution may call the error anything, so its subject may be cut."""
    outcome = "was published, but a step after that failed" if failure_record.published else "was not published"
    rejects = f"The rejected records: {failure_record.rejects}\n" if failure_record.rejects else ""
    return Notification(
        subject=f"{failure_record.dataset}: a file {outcome} ({failure_record.error})",
        message=(
            f"{title_of(failure_record.source.bucket, failure_record.source.key)} {outcome}.\n\n"
            f"{failure_record.error}: {failure_record.cause}\n\n"
            f"Next: {failure_record.next_step}\n\n"
            f"{rejects}The failure record: {record_uri}\n"
            f"Batch: {failure_record.batch_id}\n"
            f"Execution: {failure_record.execution}\n"
        ),
    )
