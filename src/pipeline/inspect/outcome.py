"""What a batch or an execution is called, in one word, wherever it is shown: status, watch, explain, report."""

from enum import StrEnum

from functions.common.survey import BatchState


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
    BatchState.FAILED: Outcome.FAILED,
    BatchState.UNTOLD: Outcome.FAILED,
    BatchState.RUNNING: Outcome.RUNNING,
    BatchState.STUCK: Outcome.STUCK,
    BatchState.LOST: Outcome.LOST,
    BatchState.GONE: Outcome.GONE,
    BatchState.UNKNOWN: Outcome.UNKNOWN,
}


def outcome_of(state: BatchState, *, rejected: int = 0, waits: bool = False) -> Outcome:
    """The outcome of what a survey found in `state`.

    `rejected` is how many records its manifest counts as rejected, `waits` whether its event is in the queue.
    """
    if state is BatchState.PUBLISHED:
        return Outcome.PARTLY_REJECTED if rejected else Outcome.PUBLISHED
    if state is BatchState.MISSING:
        return Outcome.WAITING if waits else Outcome.NOT_STARTED
    return _OUTCOMES[state]
