"""The states that an execution visited, with their tries and chunks. All times are UTC."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Ended(StrEnum):
    """How a state, a try or a chunk ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CAUGHT = "caught"
    """It failed, and a Catch took the failure."""
    TIMED_OUT = "timed out"
    ABORTED = "aborted"
    RUNNING = "running"


FAILURES = (Ended.FAILED, Ended.TIMED_OUT)


@dataclass(slots=True)
class Try:
    """One try of a task."""

    started: datetime | None
    """When it started, or was scheduled where the history doesn't show the start; None where it shows neither."""
    ended: datetime | None = None
    outcome: Ended = Ended.RUNNING
    error: str = ""
    cause: str = ""
    """The sentence alone, without stack trace."""

    @property
    def seconds(self) -> float | None:
        return seconds_between(self.started, self.ended)


@dataclass(slots=True)
class Step:
    """One visit of a state."""

    name: str
    kind: str
    """Pass, Task, Map, Choice, Succeed or Fail."""
    entered: datetime
    exited: datetime | None = None
    outcome: Ended = Ended.RUNNING
    tries: list[Try] = field(default_factory=list)
    """Of a Task, in order. Of a Map with `inside_untold`: the failed tries of its tasks, without a start."""
    chunks: list["Chunk"] = field(default_factory=list)
    """Of a Map, by number, as far as the history shows them."""
    scheduled: int = 0
    """How many tasks were scheduled, including those in a Map's chunks."""
    inside_untold: bool = False
    """Whether the history shows of this Map only that tasks were scheduled and ended, as the local emulator's does."""
    error: str = ""
    cause: str = ""

    @property
    def retries(self) -> int:
        """Tries after the first, without those inside a Map."""
        return max(0, len(self.tries) - 1) if not self.inside_untold else 0

    @property
    def seconds(self) -> float | None:
        return seconds_between(self.entered, self.exited)

    def walk(self) -> Iterator["Step"]:
        """This step and all steps inside it."""
        yield self
        for chunk in self.chunks:
            for step in chunk.steps:
                yield from step.walk()


@dataclass(slots=True)
class Chunk:
    """One iteration of a Map: one chunk of the file."""

    number: int
    """From 0."""
    started: datetime
    ended: datetime | None = None
    outcome: Ended = Ended.RUNNING
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """A try as a call of a service."""

    state: str
    service: str
    """`lambda` or `sns`."""
    attempt: Try
    could_start: bool = True
    """Whether Step Functions could start it."""


@dataclass(slots=True)
class History:
    """What the events of an execution show."""

    steps: list[Step] = field(default_factory=list)
    """The states visited, in order. Only `outcomes.read_steps` sets the final outcomes."""
    calls: list[Call] = field(default_factory=list)
    """The calls of all tasks, in the order of their scheduling, except inside a Map with `inside_untold`."""
    events: int = 0
    outcome: Ended = Ended.RUNNING
    time: datetime | None = None
    """The time of the last event; None without events."""

    def walk(self) -> Iterator[Step]:
        """All steps, including those inside others."""
        for step in self.steps:
            yield from step.walk()


def seconds_between(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else (until - since) / timedelta(seconds=1)
