"""Reads an execution's history into the states that it visited, each with its tries, and a Map with its chunks.

On AWS each event names the one before it in its own branch (`previousEventId`), which separates parallel iterations.
The local emulator doesn't, and shows only that tasks inside a Map were scheduled and ended: such a Map has no chunks,
and its failed tries have no start. `functions/record_run/history.py` reads the same events for what is billed.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from functions.record_failure.failure import plain_cause
from pipeline.inspect.batch_history.model import FAILURES, Chunk, Ended, Step, Try

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
_STATE_ENDS = {
    "MapStateFailed": Ended.FAILED,
    "MapStateAborted": Ended.ABORTED,
    "TaskStateAborted": Ended.ABORTED,
    "WaitStateAborted": Ended.ABORTED,
    "ParallelStateAborted": Ended.ABORTED,
}
_EXECUTION_ENDS = {
    "ExecutionAborted": Ended.ABORTED,
    "ExecutionTimedOut": Ended.TIMED_OUT,
    "ExecutionFailed": Ended.FAILED,
    "ExecutionSucceeded": Ended.SUCCEEDED,
}


@dataclass(eq=False)
class _Branch:
    """States that follow each other: those of the machine, or of one iteration of a Map."""

    steps: list[Step] = field(default_factory=list)
    chunk: Chunk | None = None
    around: "_Place | None" = None
    """The place of the Map that this is an iteration of."""


@dataclass(frozen=True)
class _Place:
    """Where in the machine an event belongs."""

    branch: _Branch
    step: Step | None


def read_steps(events: Iterable[Mapping[str, Any]], definition: Mapping[str, Any] | None = None) -> tuple[Step, ...]:
    """The states that an execution visited, in order. `events` begin with its first; it may still be running.

    `definition` shows which failures a Catch took, where the history doesn't.
    """
    root = _Branch()
    places: dict[int, _Place] = {}
    end = Ended.RUNNING
    time: datetime | None = None
    for event in events:
        kind = event["type"]
        if end is not Ended.RUNNING and kind != "ExecutionRedriven":
            continue  # some engines add events after the end
        previous = places.get(event.get("previousEventId", event["id"] - 1), _Place(root, None))
        end, time = _EXECUTION_ENDS.get(kind, Ended.RUNNING), event["timestamp"].astimezone(UTC)
        places[event["id"]] = _read(root, previous, event, time)
    caught = {
        name: {catch["Next"] for catch in state.get("Catch", [])} - {state.get("Next")}
        for name, state in (definition or {}).get("States", {}).items()
    }
    _finish(root.steps, end, time if end is not Ended.RUNNING else None, caught)
    return tuple(root.steps)


def _read(root: _Branch, previous: _Place, event: Mapping[str, Any], time: datetime) -> _Place:
    """Add what an event says to the steps. Returns the place that the event belongs to."""
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
    elif step:
        _read_try(step, event, time)
    return previous


def _read_map(previous: _Place, event: Mapping[str, Any], time: datetime) -> _Place:
    """Add what an event about a Map, or one of its iterations, says."""
    kind = event["type"]
    is_in_map = previous.step is not None and previous.step.kind == "Map"
    place = previous if is_in_map else previous.branch.around
    if place is None or place.step is None:
        return previous
    step, index = place.step, _details(event).get("index")
    if kind == "MapIterationStarted":
        number = len(step.chunks) if index is None else index
        chunk = Chunk(number, time)
        step.chunks = [one for one in step.chunks if one.number != number]  # one that is redriven starts again
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


def _read_try(step: Step, event: Mapping[str, Any], time: datetime) -> None:
    kind = event["type"]
    is_running = bool(step.tries) and step.tries[-1].outcome is Ended.RUNNING
    if kind in _SCHEDULED:
        step.scheduled += 1
        step.inside_untold = step.kind == "Map"
        if not step.inside_untold:
            step.tries.append(Try(time))
    elif kind in _STARTED and is_running:
        step.tries[-1] = Try(time)
    elif kind in _TRY_ENDS:
        outcome, (error, cause) = _TRY_ENDS[kind], _reason(event)
        if outcome is Ended.TIMED_OUT and not error:
            error = "States.Timeout"
        if is_running and not step.inside_untold:
            step.tries[-1] = Try(step.tries[-1].started, time, outcome, error, cause)
        elif outcome in FAILURES:
            step.tries.append(Try(None, time, outcome, error, cause))


def _named(place: _Place | None, name: str | None) -> _Place | None:
    """The place of the step called `name` that a place is in; the Map around it counts too."""
    while place:
        if place.step and name in (None, place.step.name):
            return place
        branch, place = place.branch, place.branch.around
    found = next((one for one in reversed(branch.steps) if one.name == name), None)
    return _Place(branch, found) if found else None


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((event[key] for key in event if key.endswith("EventDetails")), {})


def _reason(event: Mapping[str, Any]) -> tuple[str, str]:
    """Error and cause of an event."""
    details = _details(event)
    return details.get("error", ""), plain_cause(details.get("cause", ""))


def _finish(
    steps: Sequence[Step], end: Ended, ended: datetime | None, caught: Mapping[str, Container[str | None]]
) -> None:
    """Set the outcomes of steps as of when the execution ended, or now. `caught` are the targets of Catch by state."""
    for step, following in zip_longest(steps, steps[1:]):
        is_caught = following is not None and following.name in caught.get(step.name, ())
        cut = Ended.FAILED if step.kind == "Fail" else end
        inner_end = cut if step.exited is None else Ended.ABORTED  # what a Map left running
        for one in step.tries:
            if one.outcome is Ended.RUNNING and inner_end is not Ended.RUNNING:
                one.ended, one.outcome = ended, inner_end
        for chunk in step.chunks:
            if chunk.outcome is Ended.RUNNING:
                chunk.outcome = Ended.ABORTED if inner_end in FAILURES else inner_end
            _finish(chunk.steps, chunk.outcome, chunk.ended or step.exited or ended, caught)
        step.chunks.sort(key=lambda chunk: chunk.number)
        step.scheduled += sum(inner.scheduled for chunk in step.chunks for inner in chunk.steps)
        last = step.tries[-1] if step.tries and step.tries[-1].outcome in FAILURES else None
        step.outcome = _outcome(step, last, is_caught, cut)
        reason = last or _first_failed(step.chunks)
        if step.outcome is not Ended.SUCCEEDED and not step.error and reason:
            step.error, step.cause = reason.error, reason.cause
        if step.kind == "Fail":
            step.exited = step.entered  # no event says that it was left


def _outcome(step: Step, last: Try | None, is_caught: bool, cut: Ended) -> Ended:
    if step.exited is None:
        if step.outcome is not Ended.RUNNING:
            return step.outcome
        return last.outcome if last and cut is not Ended.RUNNING else cut
    failed = is_caught or step.outcome in FAILURES or (last is not None and not step.inside_untold)
    return Ended.CAUGHT if failed else Ended.SUCCEEDED


def _first_failed(chunks: Iterable[Chunk]) -> Step | None:
    """The step that failed in the chunk that failed first."""
    failed = [chunk for chunk in chunks if chunk.outcome is Ended.FAILED and chunk.steps]
    first = min(failed, key=lambda chunk: chunk.ended or chunk.started, default=None)
    return first.steps[-1] if first else None


def not_reached(steps: Iterable[Step], definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The states of a definition that were not visited, in its order, except inside a Map with `inside_untold`."""
    visited = {one.name for step in steps for one in step.walk()}
    opaque = {step.name for step in steps if step.inside_untold}
    return tuple(name for name in _states(definition, opaque) if name not in visited)


def _states(definition: Mapping[str, Any], opaque: set[str]) -> Iterator[str]:
    for name, state in definition.get("States", {}).items():
        yield name
        if name not in opaque:
            yield from _states(state.get("ItemProcessor", {}), opaque)
