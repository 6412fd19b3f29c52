"""From an execution's history to the states that it visited, each with its tries, and a Map with its chunks.

On AWS each event names the one before it in its own branch (`previousEventId`), so that what goes on side by side can
be told apart. The embedded AWS does not, and of a Map's inside it tells only that tasks were scheduled and ended: such
a Map has no chunks, and its failed tries have no beginning. `functions/record_run/history.py` reads the same events for
what is billed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from functions.record_failure.failure import plain_cause
from pipeline.inspect.batch_history.model import Ended, Step, Try
from pipeline.inspect.batch_history.open_steps import FAILURES, Branch, OpenStep, finished

_ENTERED, _EXITED = "StateEntered", "StateExited"
_SCHEDULED = ("TaskScheduled", "LambdaFunctionScheduled")
_STARTED = ("TaskStarted", "LambdaFunctionStarted")
_TRY_ENDS = {
    "TaskSucceeded": Ended.SUCCEEDED,
    "LambdaFunctionSucceeded": Ended.SUCCEEDED,
    "TaskTimedOut": Ended.TIMED_OUT,
    "LambdaFunctionTimedOut": Ended.TIMED_OUT,
    "TaskFailed": Ended.FAILED,
    "TaskStartFailed": Ended.FAILED,
    "TaskSubmitFailed": Ended.FAILED,
    "LambdaFunctionFailed": Ended.FAILED,
    "LambdaFunctionScheduleFailed": Ended.FAILED,
    "LambdaFunctionStartFailed": Ended.FAILED,
}
_CHUNK_ENDS = {
    "MapIterationSucceeded": Ended.SUCCEEDED,
    "MapIterationFailed": Ended.FAILED,
    "MapIterationAborted": Ended.ABORTED,
}
_ABORTED = ("TaskStateAborted", "MapStateAborted", "WaitStateAborted", "ParallelStateAborted")
_CUT_OFF = {
    "ExecutionAborted": Ended.ABORTED,
    "ExecutionTimedOut": Ended.TIMED_OUT,
    "ExecutionFailed": Ended.FAILED,
    "ExecutionSucceeded": Ended.SUCCEEDED,
}


@dataclass(frozen=True)
class _Place:
    """Where in the machine an event belongs."""

    branch: Branch
    step: OpenStep | None


def read_steps(events: Iterable[Mapping[str, Any]], definition: Mapping[str, Any] | None = None) -> tuple[Step, ...]:
    """The states that an execution visited, in order, from its history's first event on; it need not have ended.

    `definition` tells a failure that a Catch took where the history does not.
    """
    root = Branch()
    places: dict[int, _Place] = {}
    end = Ended.RUNNING
    time: datetime | None = None
    for event in events:
        kind = event["type"]
        if end is not Ended.RUNNING and kind != "ExecutionRedriven":
            continue  # what an engine says after the end
        previous = places.get(event.get("previousEventId", event["id"] - 1), _Place(root, None))
        end, time = _CUT_OFF.get(kind, Ended.RUNNING), event["timestamp"].astimezone(UTC)
        places[event["id"]] = _place(root, previous, {**event, "timestamp": time})
    catches = dict(_catches(definition or {}))
    return tuple(finished(root, end, time if end is not Ended.RUNNING else None, catches))


def _place(root: Branch, previous: _Place, event: Mapping[str, Any]) -> _Place:
    """Take an event over, and answer where it belongs."""
    kind, time, branch, step = event["type"], event["timestamp"], previous.branch, previous.step
    if kind.endswith(_ENTERED):
        step = OpenStep(event["stateEnteredEventDetails"]["name"], kind.removesuffix(_ENTERED), time, branch)
        branch.steps.append(step)
    elif kind.endswith(_EXITED):
        step = _called(previous, event.get("stateExitedEventDetails", {}).get("name"))
        if step:
            step.exited, branch = time, step.branch
    elif kind == "MapIterationStarted":
        map_step = _map_of(previous)
        if map_step:
            number = event.get("mapIterationStartedEventDetails", {}).get("index", len(map_step.chunks))
            branch, step = _iteration(map_step, number, time), None
    elif kind in _CHUNK_ENDS:
        return _end_chunk(previous, event, _CHUNK_ENDS[kind])
    elif kind.startswith("MapState"):
        step = _map_of(previous)
        branch = step.branch if step else branch
        if step and kind == "MapStateStarted":
            step.shows_inside = True
        elif step and kind in ("MapStateFailed", "MapStateAborted"):
            step.outcome = Ended.FAILED if kind == "MapStateFailed" else Ended.ABORTED
            _explain(step, event)
    elif kind in _ABORTED and step:
        step.outcome = Ended.ABORTED
    elif kind == "ExecutionRedriven":
        branch, step = root, root.steps[-1] if root.steps else None
        _resume(step)
    elif step:
        _count_try(step, event)
    return _Place(branch, step)


def _count_try(step: OpenStep, event: Mapping[str, Any]) -> None:
    kind, time = event["type"], event["timestamp"]
    under_way = bool(step.tries) and step.tries[-1].outcome is Ended.RUNNING
    if kind in _SCHEDULED:
        step.scheduled += 1
        if not step.inside_untold:
            step.tries.append(Try(time, None, Ended.RUNNING))
    elif kind in _STARTED and under_way:
        step.tries[-1] = Try(time, None, Ended.RUNNING)
    elif kind in _TRY_ENDS:
        outcome, (error, cause) = _TRY_ENDS[kind], _reason(event)
        if outcome is Ended.TIMED_OUT and not error:
            error = "States.Timeout"
        if under_way and not step.inside_untold:
            step.tries[-1] = Try(step.tries[-1].started, time, outcome, error, cause)
        elif outcome in FAILURES:
            step.tries.append(Try(None, time, outcome, error, cause))


def _called(place: _Place, name: str | None) -> OpenStep | None:
    """The step of that name that a place is in: the one that is left may be the Map around."""
    step, branch = place.step, place.branch
    while True:
        if step and name in (None, step.name):
            return step
        if branch.of is None:
            return next((one for one in reversed(branch.steps) if one.name == name), None)
        step, branch = branch.of, branch.of.branch


def _map_of(place: _Place) -> OpenStep | None:
    """The Map that a place is in."""
    if place.step and place.step.kind == "Map":
        return place.step
    return place.branch.of


def _iteration(map_step: OpenStep, number: int, time: datetime) -> Branch:
    """The branch of an iteration; one that is redriven begins anew."""
    map_step.chunks = [chunk for chunk in map_step.chunks if chunk.number != number]
    branch = Branch(map_step, number, time)
    map_step.chunks.append(branch)
    return branch


def _end_chunk(previous: _Place, event: Mapping[str, Any], outcome: Ended) -> _Place:
    branch = previous.branch
    details: Mapping[str, Any] = next((event[key] for key in event if key.startswith("mapIteration")), {})
    map_step = _map_of(previous)
    if branch.of is None and map_step:  # an iteration is aborted by the Map, not from within
        branch = next((one for one in map_step.chunks if one.number == details.get("index")), branch)
    if branch.of is None:
        return previous
    branch.ended, branch.outcome = event["timestamp"], outcome
    return _Place(branch, previous.step if previous.branch is branch else None)


def _resume(step: OpenStep | None) -> None:
    if step:
        step.exited = step.outcome = None


def _explain(step: OpenStep, event: Mapping[str, Any]) -> None:
    step.error, step.cause = _reason(event)


def _reason(event: Mapping[str, Any]) -> tuple[str, str]:
    """Error and cause, wherever the event's details have them."""
    details: Mapping[str, Any] = next((event[key] for key in event if key.endswith("EventDetails")), {})
    return details.get("error", ""), plain_cause(details.get("cause", ""))


def _catches(definition: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Of each state where its Catch leads to, and its Next does not."""
    for name, state in definition.get("States", {}).items():
        yield name, {catch["Next"] for catch in state.get("Catch", [])} - {state.get("Next")}


def not_reached(steps: Iterable[Step], definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The states of a definition that were not visited, in its order, but for those inside a Map that does not tell."""
    visited = {one.name for step in steps for one in step.walk()}
    untold = {step.name for step in steps if step.inside_untold}
    return tuple(name for name in _states(definition, untold) if name not in visited)


def _states(definition: Mapping[str, Any], untold: set[str]) -> Iterator[str]:
    for name, state in definition.get("States", {}).items():
        yield name
        if name not in untold:
            yield from _states(state.get("ItemProcessor", {}), untold)
