"""Reads from an execution's history what is billed: how long each function ran, and the number of transitions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from functions.common.execution_history import reader
from functions.common.execution_history.model import Ended

EVENTS_A_FILE, EVENTS_A_CHUNK = 17, 12
STATES_A_FILE, STATES_A_CHUNK = 5, 2
"""Events and transitions of an execution without rejects and retries: in total without chunks, and per chunk."""

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True)
class Tries:
    """All tries of one state that invokes a function."""

    number: int = 0
    billed_ms: int = 0
    """From the start of each try to its end, rounded up: what Lambda bills, and the duration of the call."""
    unfinished: int = 0
    """Tries that were running when the execution ended; counted until then, though the function may continue."""
    is_assumed: bool = False
    """Whether the history could not be read and this is an assumption of `without_history`."""
    is_span: bool = False
    """Whether this is a Map whose tries the history doesn't show, as on the local emulator. The time that the Map took
    then replaces the sum of their times."""


@dataclass(slots=True)
class History:
    """The billed quantities of an execution."""

    tries: dict[str, Tries] = field(default_factory=dict)
    """By state that invokes a function."""
    entered: int = 0
    retries: int = 0
    publishes: int = 0
    """Notifications that SNS was asked to send."""
    events: int = 0
    ended: bool = False
    """Whether the history shows the execution's end."""

    @property
    def transitions(self) -> int:
        """States entered and retries.

        "Step Functions counts a state transition each time a step of your workflow is executed", and "each retry will
        be charged as an additional state transition" (aws.amazon.com/step-functions/pricing).
        """
        return self.entered + self.retries


def read_history(events: Iterable[Mapping[str, Any]]) -> History:
    """The billed quantities of a history, as GetExecutionHistory returns it, up to the execution's first end."""
    found = reader.read_history(_until_end(events))
    history = History(events=found.events, ended=found.outcome is not Ended.RUNNING)
    for step in found.walk():
        history.entered += 1
        history.retries += step.retries
        if step.inside_untold:
            history.entered += step.scheduled  # each is a state or a retry: either is a transition
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


def without_history(chunks: int, milliseconds: int, *, failed: bool, notifications: int) -> History:
    """The assumed quantities of an execution whose history can't be read: every step once, without retries.

    The time from its start to its end replaces the sum of the steps' times, and is attributed to the Map. For a file of
    one chunk that is a few tenths of a second too much. For parallel chunks it is too little.
    """
    tries = {
        "ProcessChunks": Tries(STATES_A_CHUNK * chunks, milliseconds, is_assumed=True, is_span=True),
        "Write": Tries(1, is_assumed=True),
        **({"RecordFailure": Tries(1, is_assumed=True)} if failed else {}),
    }
    return History(
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
