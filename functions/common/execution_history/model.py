"""Models the states that an execution visited, with their tries and chunks. All times are UTC."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Ended(StrEnum):
    """The outcome of a state, a try or a chunk."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CAUGHT = "caught"
    """It failed, and a Catch handled the failure."""
    TIMED_OUT = "timed out"
    ABORTED = "aborted"
    RUNNING = "running"


FAILURES = (Ended.FAILED, Ended.TIMED_OUT)


@dataclass(slots=True)
class Try:
    """One try of a task."""

    started: datetime | None
    """The start time, or the scheduling time if the history shows no start. None if it shows neither."""
    ended: datetime | None = None
    outcome: Ended = Ended.RUNNING
    error: str = ""
    cause: str = ""
    """The error message, without the stack trace."""

    @property
    def seconds(self) -> float | None:
        return seconds_between(self.started, self.ended)


@dataclass(slots=True)
class Step:
    """One visit to a state."""

    name: str
    kind: str
    """The type of the state: Pass, Task, Map, Choice, Succeed or Fail."""
    entered: datetime
    exited: datetime | None = None
    outcome: Ended = Ended.RUNNING
    tries: list[Try] = field(default_factory=list)
    """The tries of a Task, in order. For a Map with `inside_untold`, the failed tries of its tasks, without a start."""
    chunks: list["Chunk"] = field(default_factory=list)
    """The chunks of a Map, sorted by number, if the history shows them."""
    scheduled: int = 0
    """The number of scheduled tasks, including tasks in the chunks of a Map."""
    inside_untold: bool = False
    """Whether the history of this Map shows only that tasks were scheduled and ended, as on the local emulator."""
    error: str = ""
    cause: str = ""

    @property
    def retries(self) -> int:
        """The number of tries after the first, without tries inside a Map."""
        return max(0, len(self.tries) - 1) if not self.inside_untold else 0

    @property
    def seconds(self) -> float | None:
        return seconds_between(self.entered, self.exited)

    def walk(self) -> Iterator["Step"]:
        """Yield this step and all steps inside it."""
        yield self
        for chunk in self.chunks:
            for step in chunk.steps:
                yield from step.walk()


@dataclass(slots=True)
class Chunk:
    """One iteration of a Map, which processes one chunk of the file."""

    number: int
    """The chunk's number, starting with 0."""
    started: datetime
    ended: datetime | None = None
    outcome: Ended = Ended.RUNNING
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """One call of an AWS service by a task."""

    state: str
    service: str
    """The service: `lambda` or `sns`."""
    attempt: Try
    could_start: bool = True
    """Whether Step Functions could start the call."""


@dataclass(slots=True)
class History:
    """The steps and calls that the events of an execution show."""

    steps: list[Step] = field(default_factory=list)
    """The visited states, in order. Only `outcomes.read_steps` sets their final outcomes."""
    calls: list[Call] = field(default_factory=list)
    """The calls of all tasks, in the order of their scheduling, except inside a Map with `inside_untold`."""
    events: int = 0
    outcome: Ended = Ended.RUNNING
    time: datetime | None = None
    """The time of the last event. None without events."""

    def walk(self) -> Iterator[Step]:
        """Yield all steps, including steps inside other steps."""
        for step in self.steps:
            yield from step.walk()


def seconds_between(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else (until - since) / timedelta(seconds=1)
