"""The outcomes of batches and executions, as status, watch, explain and report show them."""

from enum import StrEnum

from functions.common.batch_state import BatchState


class Outcome(StrEnum):
    """The outcome of a batch, with a sentence about it, its color on a terminal, and its look in a report."""

    sentence: str
    color: str
    look: str

    def __new__(cls, value: str, sentence: str = "", color: str = "", look: str = "") -> "Outcome":
        """Create a member: a string with more attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence, member.color, member.look = sentence, color, look
        return member

    PUBLISHED = "published", "Every record is accounted for.", "green", "succeeded"
    PARTLY_REJECTED = (
        *("partly rejected", "Published without the records that violate the contract."),
        *("yellow", "warned"),
    )
    FAILED = "failed", "Failed: nothing was published.", "red", "failed"
    RUNNING = "running", "The execution is running.", "cyan", "running"
    STUCK = "stuck", "Its execution has been running for too long.", "red", "failed"
    WAITING = (
        *("waiting", "Not started: its event could not be handled and is in the failed-event queue."),
        *("red", "stopped"),
    )
    NOT_STARTED = (
        *("not started", "Not started: it has no execution, and no event in the failed-event queue."),
        *("yellow", "unreached"),
    )
    IGNORED = "ignored", "Ignored: the contract excludes its key, and nothing started it.", "dim", "unreached"
    GONE = (
        *("gone", "Processed, but its outputs and its source were deleted or have expired."),
        *("dim", "unreached"),
    )
    LOST = (
        *("lost", "Its execution succeeded, but its manifest was deleted, so none of its outputs count as published."),
        *("red", "failed"),
    )
    UNKNOWN = "unknown", "AWS did not return its state.", "yellow", "unreached"

    @property
    def is_published(self) -> bool:
        return self in (Outcome.PUBLISHED, Outcome.PARTLY_REJECTED)


def outcome_of(state: BatchState, *, rejected: int = 0, waits: bool = False, is_ignored: bool = False) -> Outcome:
    """Return the outcome of a batch in `state`.

    `rejected` is the number of rejected records in its manifest. `waits` means that its event is in the failed-event
    queue, and `is_ignored` that the contract ignores its key.
    """
    if state is BatchState.PUBLISHED:
        return Outcome.PARTLY_REJECTED if rejected else Outcome.PUBLISHED
    if state is BatchState.MISSING:
        return Outcome.WAITING if waits else Outcome.IGNORED if is_ignored else Outcome.NOT_STARTED
    return Outcome.FAILED if state is BatchState.NOT_NOTIFIED else Outcome(state.value)
