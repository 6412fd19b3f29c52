"""The outcome of a batch or an execution, as status, watch, explain and report show it."""

from enum import StrEnum

from functions.common.batch_state import BatchState


class Outcome(StrEnum):
    """The outcome of a batch, what it means, its color on a terminal, and its look in a report."""

    sentence: str
    color: str
    look: str

    def __new__(cls, value: str, sentence: str = "", color: str = "", look: str = "") -> "Outcome":
        """Make a member: a string with more attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence, member.color, member.look = sentence, color, look
        return member

    PUBLISHED = "published", "Every record is accounted for.", "green", "succeeded"
    PARTLY_REJECTED = (
        *("partly rejected", "Published without the records that break the contract."),
        *("yellow", "warned"),
    )
    FAILED = "failed", "Failed: nothing was published.", "red", "failed"
    RUNNING = "running", "It is running.", "cyan", "running"
    STUCK = "stuck", "Its execution has been running for too long.", "red", "failed"
    WAITING = (
        *("waiting", "Not started: its event could not be handled, and is in the failed-event queue."),
        *("red", "stopped"),
    )
    NOT_STARTED = (
        *("not started", "Not started: it has no execution, and the failed-event queue has no event about it."),
        *("yellow", "unreached"),
    )
    IGNORED = "ignored", "Ignored: the contract excludes its name, and nothing started it.", "dim", "unreached"
    GONE = (
        *("gone", "It was processed, but its outputs and its source were deleted or have expired."),
        *("dim", "unreached"),
    )
    LOST = (
        *("lost", "Its execution succeeded, but its manifest was deleted, so nothing of it counts as published."),
        *("red", "failed"),
    )
    UNKNOWN = "unknown", "AWS did not return its state.", "yellow", "unreached"

    @property
    def is_published(self) -> bool:
        return self in (Outcome.PUBLISHED, Outcome.PARTLY_REJECTED)


def outcome_of(state: BatchState, *, rejected: int = 0, waits: bool = False, is_ignored: bool = False) -> Outcome:
    """The outcome of a batch in `state`.

    `rejected` is the number of rejected records in its manifest. `waits`: its event is in the failed-event queue.
    `is_ignored`: the contract ignores its key.
    """
    if state is BatchState.PUBLISHED:
        return Outcome.PARTLY_REJECTED if rejected else Outcome.PUBLISHED
    if state is BatchState.MISSING:
        return Outcome.WAITING if waits else Outcome.IGNORED if is_ignored else Outcome.NOT_STARTED
    return Outcome.FAILED if state is BatchState.NOT_NOTIFIED else Outcome(state.value)
