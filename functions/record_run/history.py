"""Reads the billed quantities from an execution's history, such as function durations and state transitions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from functions.common.execution_history import reader
from functions.common.execution_history.model import Ended

EVENTS_A_FILE, EVENTS_A_CHUNK = 17, 12
STATES_A_FILE, STATES_A_CHUNK = 5, 2
"""The number of events and states of an execution without rejects and retries, excluding chunks and per chunk."""

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True)
class Tries:
    """All tries of one state that invokes a function."""

    number: int = 0
    billed_ms: int = 0
    """The time from the start to the end of each try, rounded up and added up: billed time and call overhead."""
    unfinished: int = 0
    """The number of tries that were running when the execution ended. Their time counts until then."""
    is_assumed: bool = False
    """Whether `without_history` assumed these values, because the history could not be read."""
    is_span: bool = False
    """Whether the tries belong to a Map whose tries the history doesn't show, as on the local emulator. If so, the
    duration of the Map replaces the sum of the tries' durations."""


@dataclass(slots=True)
class BilledQuantities:
    """The billed quantities of an execution."""

    tries: dict[str, Tries] = field(default_factory=dict)
    """The tries of each state that invokes a function, by the state's name."""
    entered: int = 0
    retries: int = 0
    publishes: int = 0
    """The number of notifications that were published to SNS."""
    events: int = 0
    ended: bool = False
    """Whether the history shows the execution's end."""

    @property
    def transitions(self) -> int:
        """The number of entered states and retries.

        "Step Functions counts a state transition each time a step of your workflow is executed", and "each retry will
        be charged as an additional state transition" (aws.amazon.com/step-functions/pricing).
        """
        return self.entered + self.retries


def read_history(events: Iterable[Mapping[str, Any]]) -> BilledQuantities:
    """Return the billed quantities of a history, as GetExecutionHistory returns it, until the execution first ended."""
    found = reader.read_history(_until_end(events))
    history = BilledQuantities(events=found.events, ended=found.outcome is not Ended.RUNNING)
    for step in found.walk():
        history.entered += 1
        history.retries += step.retries
        if step.inside_untold:
            history.entered += step.scheduled  # each is a state or a retry, and both are transitions
            tries = history.tries.setdefault(step.name, Tries(is_span=True))
            tries.number += step.scheduled
            tries.billed_ms += _milliseconds(step.entered, step.exited or found.time)
    for call in sorted(found.calls, key=lambda call: call.attempt.ended is None):
        if call.service != "lambda":
            history.publishes += 1
        elif call.could_start:
            tries = history.tries.setdefault(call.state, Tries())
            tries.number += 1
            tries.billed_ms += _milliseconds(call.attempt.started, call.attempt.ended or found.time)
            tries.unfinished += call.attempt.ended is None
    return history


def without_history(chunks: int, milliseconds: int, *, failed: bool, notifications: int) -> BilledQuantities:
    """Return the assumed quantities of an execution whose history can't be read: every step once, without retries.

    The duration of the execution replaces the sum of the steps' durations, and is attributed to the Map. For a file
    with one chunk, this is a few tenths of a second too long. For parallel chunks, it is too short.
    """
    tries = {
        "ProcessChunks": Tries(STATES_A_CHUNK * chunks, milliseconds, is_assumed=True, is_span=True),
        "Write": Tries(1, is_assumed=True),
        **({"RecordFailure": Tries(1, is_assumed=True)} if failed else {}),
    }
    return BilledQuantities(
        tries=tries,
        entered=STATES_A_FILE + STATES_A_CHUNK * chunks + notifications,
        publishes=notifications,
        events=EVENTS_A_FILE + EVENTS_A_CHUNK * chunks,
        ended=True,
    )


def _until_end(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for event in events:
        yield event
        if event["type"] in reader.EXECUTION_ENDS:
            return


def _milliseconds(since: datetime | None, until: datetime | None) -> int:
    return max(1, -((since - until) // _MILLISECOND)) if since and until else 0
