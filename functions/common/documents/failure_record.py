"""The failure record of an execution, which `record_failure` writes."""

from typing import ClassVar

from functions.common.batch import Source
from functions.common.documents.document import StoredDocument


class FailureRecord(StoredDocument, frozen=True, kw_only=True):
    """What failed, why, what to do about it, and whether somebody was notified."""

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
    """A `functions.common.errors.Remedy`; empty in a record of a release that did not write this member."""
    published: bool
    """Whether a manifest outranks this record: then only what came after the commit failed."""
    rejects: str | None
    """The address of the file of rejects; None if there is none."""
    notified_by: str | None = ""
    """`state_machine` or `record_failure`; None until it is known that a notification was sent. Empty in a record of a
    release that did not write this member: its state machine sent the notification."""
    source: Source
    ingested_at: str

    @property
    def is_notified(self) -> bool:
        """Whether a notification of the failure was sent."""
        return self.notified_by is not None

    @property
    def rejects_key(self) -> str | None:
        """Where the rejects are in the processed bucket; None if there are none."""
        return self.rejects.removeprefix("s3://").partition("/")[2] if self.rejects else None
