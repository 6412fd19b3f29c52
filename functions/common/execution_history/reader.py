"""Reads the events of an execution, and returns the states that it visited, with their tries and a Map's chunks.

On AWS, each event names the previous event in its branch (`previousEventId`), which separates parallel iterations. On
the local emulator, events name no previous event, and show only that tasks inside a Map were scheduled and ended. Such
a Map has no chunks, and its failed tries have no start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from functions.common.causes import plain_cause
from functions.common.execution_history.model import FAILURES, Call, Chunk, Ended, History, Step, Try

_ENTERED, _EXITED = "StateEntered", "StateExited"
_SCHEDULED = ("TaskScheduled", "LambdaFunctionScheduled")
_STARTED = ("TaskStarted", "LambdaFunctionStarted")
_NOT_STARTED = ("TaskStartFailed", "TaskSubmitFailed", "LambdaFunctionScheduleFailed", "LambdaFunctionStartFailed")
_TRY_ENDS = {
    "TaskSucceeded": Ended.SUCCEEDED,
    "LambdaFunctionSucceeded": Ended.SUCCEEDED,
    "TaskTimedOut": Ended.TIMED_OUT,
    "LambdaFunctionTimedOut": Ended.TIMED_OUT,
    "TaskFailed": Ended.FAILED,
    "LambdaFunctionFailed": Ended.FAILED,
    **dict.fromkeys(_NOT_STARTED, Ended.FAILED),
}
_CHUNK_ENDS = {
    "MapIterationSucceeded": Ended.SUCCEEDED,
    "MapIterationFailed": Ended.FAILED,
    "MapIterationAborted": Ended.ABORTED,
}
_STATE_ENDS = {
    "MapStateFailed": Ended.FAILED,
    "MapStateAborted": Ended.ABORTED,
    "TaskStateAborted": Ended.ABORTED,
    "WaitStateAborted": Ended.ABORTED,
    "ParallelStateAborted": Ended.ABORTED,
}
EXECUTION_ENDS = {
    "ExecutionAborted": Ended.ABORTED,
    "ExecutionTimedOut": Ended.TIMED_OUT,
    "ExecutionFailed": Ended.FAILED,
    "ExecutionSucceeded": Ended.SUCCEEDED,
}


@dataclass(eq=False)
class _Branch:
    """Consecutive states of the state machine, or of one iteration of a Map."""

    steps: list[Step] = field(default_factory=list)
    chunk: Chunk | None = None
    around: "_Place | None" = None
    """The place of the Map, if the branch is an iteration of a Map."""


@dataclass(frozen=True)
class _Place:
    """The place in the state machine to which an event belongs."""

    branch: _Branch
    step: Step | None
    call: Call | None = None
    """The running try."""


def read_history(events: Iterable[Mapping[str, Any]]) -> History:
    """Return what an execution's events show. `events` are in order from the first; the execution may be running."""
    history = History()
    root, places = _Branch(history.steps), dict[int, _Place]()
    for event in events:
        kind = event["type"]
        if history.outcome is not Ended.RUNNING and kind != "ExecutionRedriven":
            continue  # some engines add events after the end
        previous = places.get(event.get("previousEventId", event["id"] - 1), _Place(root, None))
        history.events += 1
        history.outcome = EXECUTION_ENDS.get(kind, Ended.RUNNING)
        history.time = event["timestamp"].astimezone(UTC)
        places[event["id"]] = _read(history, root, previous, event, history.time)
    return history


def _read(history: History, root: _Branch, previous: _Place, event: Mapping[str, Any], time: datetime) -> _Place:
    """Add an event to the history, and return the place to which the event belongs."""
    kind, branch, step = event["type"], previous.branch, previous.step
    if kind.endswith(_ENTERED):
        step = Step(event["stateEnteredEventDetails"]["name"], kind.removesuffix(_ENTERED), time)
        branch.steps.append(step)
        return _Place(branch, step)
    if kind.endswith(_EXITED):
        left = _named(previous, event.get("stateExitedEventDetails", {}).get("name"))
        if left and left.step:
            left.step.exited = time
        return left or previous
    if kind == "ExecutionRedriven":
        step = root.steps[-1] if root.steps else None
        if step:
            step.exited, step.outcome = None, Ended.RUNNING
        return _Place(root, step)
    if kind.startswith(("MapIteration", "MapState")):
        return _read_map(previous, event, time)
    if step and kind in _STATE_ENDS:
        step.outcome = _STATE_ENDS[kind]
    elif step and kind in _SCHEDULED:
        return replace(previous, call=_schedule(history, step, event, time))
    elif previous.call and kind in _STARTED:
        previous.call.attempt.started = time
    elif step and kind in _TRY_ENDS:
        _end_try(step, previous.call, event, time)
        return replace(previous, call=None)
    return previous


def _read_map(previous: _Place, event: Mapping[str, Any], time: datetime) -> _Place:
    """Add an event about a Map, or about one of its iterations, and return the place to which the event belongs."""
    kind = event["type"]
    is_in_map = previous.step is not None and previous.step.kind == "Map"
    place = previous if is_in_map else previous.branch.around
    if place is None or place.step is None:
        return previous
    step, index = place.step, _details(event).get("index")
    if kind == "MapIterationStarted":
        number = len(step.chunks) if index is None else index
        chunk = Chunk(number, time)
        step.chunks = [one for one in step.chunks if one.number != number]  # a redriven chunk starts again
        step.chunks.append(chunk)
        return _Place(_Branch(chunk.steps, chunk, place), None)
    if kind in _CHUNK_ENDS:
        # an iteration that the Map aborts has its event in the Map's branch
        ended = previous.branch.chunk or next((one for one in step.chunks if one.number == index), None)
        if ended:
            ended.ended, ended.outcome = time, _CHUNK_ENDS[kind]
        return previous
    if kind in _STATE_ENDS:
        step.outcome, (step.error, step.cause) = _STATE_ENDS[kind], _reason(event)
    return place


def _schedule(history: History, step: Step, event: Mapping[str, Any], time: datetime) -> Call | None:
    """Add a scheduled task, and return its call, or None inside a Map that the history doesn't separate into chunks."""
    step.scheduled += 1
    step.inside_untold = step.kind == "Map"
    if step.inside_untold:
        return None
    step.tries.append(Try(time))
    service = event.get("taskScheduledEventDetails", {}).get("resourceType", "lambda")
    history.calls.append(Call(step.name, service, step.tries[-1]))
    return history.calls[-1]


def _end_try(step: Step, call: Call | None, event: Mapping[str, Any], time: datetime) -> None:
    outcome, (error, cause) = _TRY_ENDS[event["type"]], _reason(event)
    if outcome is Ended.TIMED_OUT and not error:
        error = "States.Timeout"
    if call:
        call.could_start = event["type"] not in _NOT_STARTED
        one = call.attempt
        one.ended, one.outcome, one.error, one.cause = time, outcome, error, cause
    elif outcome in FAILURES:
        step.tries.append(Try(None, time, outcome, error, cause))


def _named(place: _Place | None, name: str | None) -> _Place | None:
    """Return the place of the step called `name`, which may be the given place, a Map around it, or an earlier step."""
    while place:
        if place.step and name in (None, place.step.name):
            return place
        branch, place = place.branch, place.branch.around
    found = next((one for one in reversed(branch.steps) if one.name == name), None)
    return _Place(branch, found) if found else None


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((event[key] for key in event if key.endswith("EventDetails")), {})


def _reason(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return the error and the cause of an event."""
    details = _details(event)
    return details.get("error", ""), plain_cause(details.get("cause", ""))
