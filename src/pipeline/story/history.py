"""From an execution's history to the states that it visited, each with its tries, and a Map with its chunks.

On AWS each event names the one before it in its own branch (`previousEventId`), so that what goes on side by side can
be told apart. The embedded AWS does not, and of a Map's inside it tells only that tasks were scheduled and ended: such
a Map has no chunks, and its failed tries have no beginning. `functions/record_run/history.py` reads the same events for
what is billed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from functions.record_failure.failure import plain_cause
from pipeline.story.model import Chunk, Ended, Step, Try

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
_FAILURES = (Ended.FAILED, Ended.TIMED_OUT)


@dataclass(eq=False)
class _Step:
    name: str
    kind: str
    entered: datetime
    branch: "_Branch"
    exited: datetime | None = None
    outcome: Ended | None = None
    tries: list[Try] = field(default_factory=list)
    chunks: list["_Branch"] = field(default_factory=list)
    shows_inside: bool = False
    """Whether a Map has said that it starts iterations."""
    scheduled: int = 0
    error: str = ""
    cause: str = ""

    @property
    def inside_untold(self) -> bool:
        return self.kind == "Map" and not self.shows_inside and self.scheduled > 0


@dataclass(eq=False)
class _Branch:
    """States that follow each other: those of the machine, or of one iteration of a Map."""

    of: _Step | None = None
    """The Map that it is an iteration of."""
    number: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    outcome: Ended | None = None
    steps: list[_Step] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Where in the machine an event belongs."""

    branch: _Branch
    step: _Step | None


def read_steps(events: Iterable[Mapping[str, Any]], definition: Mapping[str, Any] | None = None) -> tuple[Step, ...]:
    """The states that an execution visited, in order, from its history's first event on; it need not have ended.

    `definition` tells a failure that a Catch took where the history does not.
    """
    root = _Branch()
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
    return tuple(_finished(root, end, time if end is not Ended.RUNNING else None, catches))


def _place(root: _Branch, previous: _Place, event: Mapping[str, Any]) -> _Place:
    """Take an event over, and answer where it belongs."""
    kind, time, branch, step = event["type"], event["timestamp"], previous.branch, previous.step
    if kind.endswith(_ENTERED):
        step = _Step(event["stateEnteredEventDetails"]["name"], kind.removesuffix(_ENTERED), time, branch)
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


def _count_try(step: _Step, event: Mapping[str, Any]) -> None:
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
        elif outcome in _FAILURES:
            step.tries.append(Try(None, time, outcome, error, cause))


def _called(place: _Place, name: str | None) -> _Step | None:
    """The step of that name that a place is in: the one that is left may be the Map around."""
    step, branch = place.step, place.branch
    while True:
        if step and name in (None, step.name):
            return step
        if branch.of is None:
            return next((one for one in reversed(branch.steps) if one.name == name), None)
        step, branch = branch.of, branch.of.branch


def _map_of(place: _Place) -> _Step | None:
    """The Map that a place is in."""
    if place.step and place.step.kind == "Map":
        return place.step
    return place.branch.of


def _iteration(map_step: _Step, number: int, time: datetime) -> _Branch:
    """The branch of an iteration; one that is redriven begins anew."""
    map_step.chunks = [chunk for chunk in map_step.chunks if chunk.number != number]
    branch = _Branch(map_step, number, time)
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


def _resume(step: _Step | None) -> None:
    if step:
        step.exited = step.outcome = None


def _explain(step: _Step, event: Mapping[str, Any]) -> None:
    step.error, step.cause = _reason(event)


def _reason(event: Mapping[str, Any]) -> tuple[str, str]:
    """Error and cause, wherever the event's details have them."""
    details: Mapping[str, Any] = next((event[key] for key in event if key.endswith("EventDetails")), {})
    return details.get("error", ""), plain_cause(details.get("cause", ""))


def _catches(definition: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Of each state where its Catch leads to, and its Next does not."""
    for name, state in definition.get("States", {}).items():
        yield name, {catch["Next"] for catch in state.get("Catch", [])} - {state.get("Next")}


def _finished(branch: _Branch, end: Ended, ended: datetime | None, catches: Mapping[str, set[str]]) -> Iterator[Step]:
    """The steps of a branch as they were when the execution ended, or are now."""
    for at, step in enumerate(branch.steps):
        following = branch.steps[at + 1].name if at + 1 < len(branch.steps) else ""
        yield _step(step, following, end, ended, catches)


def _step(step: _Step, following: str, end: Ended, ended: datetime | None, catches: Mapping[str, set[str]]) -> Step:
    cut = Ended.FAILED if step.kind == "Fail" else end
    inner_end = cut if step.exited is None else Ended.ABORTED  # what a Map left behind
    tries = tuple(
        one if one.outcome is not Ended.RUNNING or inner_end is Ended.RUNNING else Try(one.started, ended, inner_end)
        for one in step.tries
    )
    chunks = tuple(_chunk(chunk, inner_end, step.exited or ended, catches) for chunk in step.chunks)
    last = tries[-1] if tries and tries[-1].outcome in _FAILURES else None
    outcome = _outcome(step, last, following in catches.get(step.name, set()), cut)
    error, cause = step.error, step.cause
    if outcome is not Ended.SUCCEEDED and not error:
        error, cause = (last.error, last.cause) if last else _worst(chunks)
    return Step(
        name=step.name,
        kind=step.kind,
        entered=step.entered,
        exited=step.entered if step.kind == "Fail" else step.exited,  # it is never left
        outcome=outcome,
        tries=tries,
        chunks=tuple(sorted(chunks, key=lambda chunk: chunk.number)),
        scheduled=step.scheduled + sum(inner.scheduled for chunk in chunks for inner in chunk.steps),
        inside_untold=step.inside_untold,
        error=error,
        cause=cause,
    )


def _outcome(step: _Step, last: Try | None, is_caught: bool, cut: Ended) -> Ended:
    if step.exited is None:
        if step.outcome or last:  # that failed, and nothing caught it
            return step.outcome or (last.outcome if last and cut is not Ended.RUNNING else cut)
        return cut
    failed = is_caught or step.outcome in _FAILURES or (last is not None and not step.inside_untold)
    return Ended.CAUGHT if failed else Ended.SUCCEEDED


def _chunk(branch: _Branch, end: Ended, ended: datetime | None, catches: Mapping[str, set[str]]) -> Chunk:
    assert branch.started is not None
    outcome = branch.outcome or (Ended.ABORTED if end in _FAILURES else end)
    steps = tuple(_finished(branch, outcome, branch.ended or ended, catches))
    return Chunk(branch.number, branch.started, branch.ended, outcome, steps)


def _worst(chunks: Iterable[Chunk]) -> tuple[str, str]:
    """Error and cause of the chunk that failed first."""
    failed = [chunk for chunk in chunks if chunk.outcome is Ended.FAILED and chunk.steps]
    first = min(failed, key=lambda chunk: chunk.ended or chunk.started, default=None)
    return (first.steps[-1].error, first.steps[-1].cause) if first else ("", "")


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
