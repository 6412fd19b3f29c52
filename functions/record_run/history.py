"""Reads from an execution's history what is billed: how long each function ran, and the number of transitions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")

EVENTS_A_FILE, EVENTS_A_CHUNK = 17, 12
STATES_A_FILE, STATES_A_CHUNK = 5, 2
"""Events and transitions of an execution without rejects and retries: in total without chunks, and per chunk."""

_ENTERED = "StateEntered"
_SCHEDULED = ("TaskScheduled", "LambdaFunctionScheduled")
_STARTED = ("TaskStarted", "LambdaFunctionStarted")
_ENDED = (
    *("TaskSucceeded", "TaskFailed", "TaskTimedOut"),
    *("LambdaFunctionSucceeded", "LambdaFunctionFailed", "LambdaFunctionTimedOut"),
)
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


@dataclass(frozen=True, slots=True)
class _Event:
    type: str
    time: datetime
    state: str
    """The state that it belongs to."""
    is_lambda: bool
    """Whether it belongs to a try of a function."""
    map_since: datetime | None
    """The start of a running Map whose inside is not shown state by state."""


def read_history(events: Iterable[Mapping[str, Any]]) -> History:
    """The billed quantities of a history, as GetExecutionHistory returns it from the first event to the last.

    Iterations of a Map run in parallel, so each event is read with the one before it in its own branch
    (`previousEventId`). An engine without that member shows no branches.
    """
    history, seen, open_tries = History(), dict[int, _Event](), dict[int, _Event]()
    time = None
    for raw in events:
        previous = raw.get("previousEventId", raw["id"] - 1)
        before, event = seen.get(previous), _event(raw, seen.get(previous))
        seen[raw["id"]], time = event, event.time
        history.events += 1
        _count(history, event, before)
        begun = open_tries.pop(previous, None)
        if event.type in (*_SCHEDULED, *_STARTED) and event.is_lambda and not event.map_since:
            open_tries[raw["id"]] = event
        elif event.type in _ENDED and begun:
            _add(history, begun, event.time)
        if event.type in ENDS:
            history.ended = True
            break
    for begun in open_tries.values():
        _add(history, begun, time or begun.time).unfinished += 1
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


def _event(raw: Mapping[str, Any], before: _Event | None) -> _Event:
    """An event, with what it inherits from the one before it."""
    kind, time = raw["type"], raw["timestamp"]
    state, is_lambda, map_since = (before.state, before.is_lambda, before.map_since) if before else ("", False, None)
    if kind.endswith(_ENTERED):
        state, is_lambda = raw["stateEnteredEventDetails"]["name"], False
        map_since = time if kind == "MapStateEntered" else None
    elif kind in _SCHEDULED:
        is_lambda = raw.get("taskScheduledEventDetails", {}).get("resourceType", "lambda") == "lambda"
    elif kind in ("MapStateStarted", "MapStateExited", *ENDS):
        map_since = None
    return _Event(kind, time, state, is_lambda, map_since)


def _count(history: History, event: _Event, before: _Event | None) -> None:
    if event.type.endswith(_ENTERED):
        history.entered += 1
    elif event.type in _SCHEDULED and event.map_since:
        history.tries.setdefault(event.state, Tries(is_span=True)).number += 1
        history.entered += 1  # a state or a retry: either is a transition
    elif event.type in _SCHEDULED:
        history.retries += before is not None and not before.type.endswith(_ENTERED)
        history.publishes += not event.is_lambda
    if before and before.map_since and not event.map_since and event.type != "MapStateStarted":
        tries = history.tries.setdefault(before.state, Tries(is_span=True))
        tries.billed_ms += _milliseconds(before.map_since, event.time)


def _add(history: History, begun: _Event, until: datetime) -> Tries:
    tries = history.tries.setdefault(begun.state, Tries())
    tries.number += 1
    tries.billed_ms += _milliseconds(begun.time, until)
    return tries


def _milliseconds(since: datetime, until: datetime) -> int:
    return max(1, -((since - until) // _MILLISECOND))
