"""Defines the failure record of an execution, which `record_failure` writes."""

from typing import ClassVar

from functions.common.batch import Source
from functions.common.documents.document import StoredDocument


class FailureRecord(StoredDocument, frozen=True, kw_only=True):
    """Describes what failed, why, what to do about it, and whether a notification was sent."""

    kind: ClassVar[str] = "failure record"

    failure_version: int
    dataset: str
    batch_id: str
    execution: str
    status: str
    """FAILED, TIMED_OUT or ABORTED."""
    error: str
    cause: str
    next_step: str
    remedy: str = ""
    """A `functions.common.errors.Remedy`. Empty in records of earlier releases."""
    published: bool
    """Whether the batch has a manifest. If so, only a step after the commit failed."""
    rejects: str | None
    """The S3 URI of the rejects file, or None."""
    notified_by: str | None = ""
    """The sender of the notification: `state_machine` or `record_failure`. None until the sending is confirmed. Empty
    in records of earlier releases, in which the state machine sent the notification."""
    source: Source
    ingested_at: str

    @property
    def is_notified(self) -> bool:
        """Whether the record confirms that a notification of the failure was sent."""
        return self.notified_by is not None

    @property
    def rejects_key(self) -> str | None:
        """The key of the rejects file in the processed bucket, or None."""
        return self.rejects.removeprefix("s3://").partition("/")[2] if self.rejects else None
