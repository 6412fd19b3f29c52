"""The outcome of a batch or an execution, as status, watch, explain and report show it."""

from collections.abc import Mapping
from enum import StrEnum

from functions.common.batch_state import BatchState


class Outcome(StrEnum):
    """The outcome of a batch; SENTENCES says what each one means."""

    PUBLISHED = "published"
    PARTLY_REJECTED = "partly rejected"
    FAILED = "failed"
    RUNNING = "running"
    STUCK = "stuck"
    WAITING = "waiting"
    NOT_STARTED = "not started"
    IGNORED = "ignored"
    GONE = "gone"
    LOST = "lost"
    UNKNOWN = "unknown"

    @property
    def is_published(self) -> bool:
        return self in (Outcome.PUBLISHED, Outcome.PARTLY_REJECTED)


SENTENCES: Mapping[Outcome, str] = {
    Outcome.PUBLISHED: "Every record is accounted for.",
    Outcome.PARTLY_REJECTED: "Published without the records that break the contract.",
    Outcome.FAILED: "Failed: nothing was published.",
    Outcome.RUNNING: "It is running.",
    Outcome.STUCK: "Its execution has been running for too long.",
    Outcome.WAITING: "Not started: its event could not be handled, and is in the failed-event queue.",
    Outcome.NOT_STARTED: "Not started: it has no execution, and the failed-event queue has no event about it.",
    Outcome.IGNORED: "Ignored: the contract excludes its name, and nothing started it.",
    Outcome.GONE: "It was processed, but its outputs and its source were deleted or have expired.",
    Outcome.LOST: "Its execution succeeded, but its manifest was deleted, so nothing of it counts as published.",
    Outcome.UNKNOWN: "AWS did not return its state.",
}
"""What each outcome means."""


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
