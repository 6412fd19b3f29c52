"""Decides how each state of an execution ended, and which states the execution didn't reach."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from functions.common.execution_history.model import FAILURES, Chunk, Ended, Step, Try
from functions.common.execution_history.reader import read_history


def read_steps(events: Iterable[Mapping[str, Any]], definition: Mapping[str, Any] | None = None) -> tuple[Step, ...]:
    """Return the states that an execution visited, in order. The execution may still be running.

    `events` must begin with the execution's first event. If the history doesn't show which failures a Catch handled,
    `definition` does.
    """
    history = read_history(events)
    caught = {
        name: {catch["Next"] for catch in state.get("Catch", [])} - {state.get("Next")}
        for name, state in (definition or {}).get("States", {}).items()
    }
    _finish(history.steps, history.outcome, history.time if history.outcome is not Ended.RUNNING else None, caught)
    return tuple(history.steps)


def not_reached(steps: Iterable[Step], definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the definition's unvisited states, in its order, except for states in a Map with `inside_untold`."""
    visited = {one.name for step in steps for one in step.walk()}
    opaque = {step.name for step in steps if step.inside_untold}
    return tuple(name for name in _states(definition, opaque) if name not in visited)


def _finish(
    steps: Sequence[Step], end: Ended, ended: datetime | None, caught: Mapping[str, Container[str | None]]
) -> None:
    """Set the outcomes of steps at the end of the execution, or now. `caught` has the targets of Catch by state."""
    for step, following in zip_longest(steps, steps[1:]):
        is_caught = following is not None and following.name in caught.get(step.name, ())
        cut = Ended.FAILED if step.kind == "Fail" else end
        inner_end = cut if step.exited is None else Ended.ABORTED  # tasks that a Map left running
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
            step.exited = step.entered  # no event shows that the state was exited


def _outcome(step: Step, last: Try | None, is_caught: bool, cut: Ended) -> Ended:
    if step.exited is None:
        if step.outcome is not Ended.RUNNING:
            return step.outcome
        return last.outcome if last and cut is not Ended.RUNNING else cut
    failed = is_caught or step.outcome in FAILURES or (last is not None and not step.inside_untold)
    return Ended.CAUGHT if failed else Ended.SUCCEEDED


def _first_failed(chunks: Iterable[Chunk]) -> Step | None:
    """Return the step that failed in the chunk that failed first."""
    failed = [chunk for chunk in chunks if chunk.outcome is Ended.FAILED and chunk.steps]
    first = min(failed, key=lambda chunk: chunk.ended or chunk.started, default=None)
    return first.steps[-1] if first else None


def _states(definition: Mapping[str, Any], opaque: set[str]) -> Iterator[str]:
    for name, state in definition.get("States", {}).items():
        yield name
        if name not in opaque:
            yield from _states(state.get("ItemProcessor", {}), opaque)
