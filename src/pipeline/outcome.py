"""What a batch or an execution is called, in one word, wherever it is shown: status, watch, explain, report."""

from enum import StrEnum

from functions.reconciler.survey import State


class Outcome(StrEnum):
    """What became of a batch, in one word."""

    PUBLISHED = "published"
    PARTLY_REJECTED = "partly rejected"
    """Published, without the records that break the contract."""
    FAILED = "failed"
    RUNNING = "running"
    STUCK = "stuck"
    """Its execution runs for longer than any should."""
    WAITING = "waiting"
    """Its event waits in the on-failure queue."""
    NOT_STARTED = "not started"
    """No execution, no record, no event in the queue: the event is on its way, or was lost."""
    GONE = "gone"
    """An execution ended, but neither what it wrote nor the source is there any more: erased, or expired."""
    LOST = "lost"
    """Its execution succeeded, but the manifest is not there any more, though the source or a record is."""
    UNKNOWN = "unknown"
    """AWS did not say."""

    @property
    def is_published(self) -> bool:
        return self in (Outcome.PUBLISHED, Outcome.PARTLY_REJECTED)


_OUTCOMES = {
    State.FAILED: Outcome.FAILED,
    State.UNTOLD: Outcome.FAILED,
    State.RUNNING: Outcome.RUNNING,
    State.STUCK: Outcome.STUCK,
    State.LOST: Outcome.LOST,
    State.GONE: Outcome.GONE,
    State.UNKNOWN: Outcome.UNKNOWN,
}


def outcome_of(state: State, *, rejected: int = 0, waits: bool = False) -> Outcome:
    """The outcome of what a survey found in `state`.

    `rejected` is how many records its manifest counts as rejected, `waits` whether its event is in the queue.
    """
    if state is State.PUBLISHED:
        return Outcome.PARTLY_REJECTED if rejected else Outcome.PUBLISHED
    if state is State.MISSING:
        return Outcome.WAITING if waits else Outcome.NOT_STARTED
    return _OUTCOMES[state]
