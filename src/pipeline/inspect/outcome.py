"""What a batch or an execution is called, in one word, wherever it is shown: status, watch, explain, report."""

from collections.abc import Mapping
from enum import StrEnum

from functions.common.batch_state import BatchState


class Outcome(StrEnum):
    """What became of a batch, in a word or two; SENTENCES says what each means."""

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
    Outcome.STUCK: "Its execution has been running for longer than any should.",
    Outcome.WAITING: "Not started: its event could not be handled, and is in the on-failure queue.",
    Outcome.NOT_STARTED: "Not started: it has no execution, and no event about it is in the on-failure queue.",
    Outcome.IGNORED: "Ignored: the contract excludes its name, and nothing has started it.",
    Outcome.GONE: "It was processed, but its outputs and its source were deleted or have expired.",
    Outcome.LOST: "Its execution succeeded, but its manifest was deleted: nothing of it counts as published.",
    Outcome.UNKNOWN: "AWS did not say what became of it.",
}
"""What each outcome means, for people."""

_OUTCOMES = {
    BatchState.FAILED: Outcome.FAILED,
    BatchState.UNTOLD: Outcome.FAILED,
    BatchState.RUNNING: Outcome.RUNNING,
    BatchState.STUCK: Outcome.STUCK,
    BatchState.LOST: Outcome.LOST,
    BatchState.GONE: Outcome.GONE,
    BatchState.UNKNOWN: Outcome.UNKNOWN,
}


def outcome_of(state: BatchState, *, rejected: int = 0, waits: bool = False, is_ignored: bool = False) -> Outcome:
    """The outcome of what a survey found in `state`.

    `rejected` is how many records its manifest counts as rejected, `waits` whether its event is in the queue, and
    `is_ignored` whether the contract ignores its key.
    """
    if state is BatchState.PUBLISHED:
        return Outcome.PARTLY_REJECTED if rejected else Outcome.PUBLISHED
    if state is BatchState.MISSING:
        return Outcome.WAITING if waits else Outcome.IGNORED if is_ignored else Outcome.NOT_STARTED
    return _OUTCOMES[state]
