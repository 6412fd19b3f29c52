"""What became of each state in an execution, and which transitions it took: the story in the terms of the drawing."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pipeline.inspect.batch_history.model import Ended, Execution, Step
from pipeline.inspect.report.drawing import Mark
from pipeline.inspect.report.graph import CATCH, Machine, State, Transition

_LOOKS = {
    Ended.SUCCEEDED: "succeeded",
    Ended.CAUGHT: "failed",
    Ended.FAILED: "failed",
    Ended.TIMED_OUT: "failed",
    Ended.ABORTED: "stopped",
    Ended.RUNNING: "running",
}
_WORDS = {"Succeed": "reached", "Fail": "reached", "Choice": "passed", "Pass": "passed"}
_WORST = ("failed", "stopped", "running", "retried", "succeeded")


def marks_of(execution: Execution, machine: Machine) -> dict[str, Mark]:
    """The mark of each state that was reached, by its name."""
    visits: dict[str, list[Step]] = {}
    for step in execution.steps:
        for one in step.walk():
            visits.setdefault(one.name, []).append(one)
    marks = {name: mark_of(steps) for name, steps in visits.items()}
    for step in execution.steps:
        if step.inside_untold and step.name in machine.states:
            marks |= _inside(step, machine.states[step.name])
    return marks


def look(step: Step) -> str:
    """The outcome of a drawing's or a timeline's mark for one visit of a state."""
    if step.kind == "Fail" and step.outcome is not Ended.RUNNING:
        return "failed"
    retried = step.retries or any(inner.retries for inner in step.walk()) or (step.inside_untold and step.tries)
    return "retried" if step.outcome is Ended.SUCCEEDED and retried else _LOOKS[step.outcome]


def mark_of(steps: Sequence[Step]) -> Mark:
    """One mark for all visits of a state: the worst of what became of them, and how many were tried again."""
    looks = [look(step) for step in steps]
    worst = min(looks, key=_WORST.index)
    if len(steps) > 1:
        number, of_all = looks.count(worst), f" of {len(steps)}"
        return Mark(worst, f"{number}{of_all if number < len(steps) else ''} {worst}")
    return Mark(worst, _words(steps[0]))


def _words(step: Step) -> str:
    outcome = "failed" if step.outcome is Ended.CAUGHT else str(step.outcome)
    if step.chunks:
        done = sum(chunk.outcome is Ended.SUCCEEDED for chunk in step.chunks)
        total = len(step.chunks)
        return f"{total} chunk{'s' * (total > 1)}" if done == total else f"{done} of {total} chunks"
    if step.outcome in (Ended.SUCCEEDED, Ended.FAILED) and step.kind in _WORDS:
        return _WORDS[step.kind]
    if step.retries:
        return f"{outcome}, {len(step.tries)} tries"
    return outcome


def _inside(step: Step, state: State) -> Iterator[tuple[str, Mark]]:
    """The states of a Map of which the history does not tell them apart: where all went well, so did each."""
    well = step.outcome is Ended.SUCCEEDED
    for machine in state.machines:
        for inner in machine.all_states():
            certain = well and all(one.kind == "next" for one in machine.transitions)
            yield inner.name, Mark("succeeded", "succeeded") if certain else Mark("untold", "not recorded")


def taken_by(execution: Execution, machine: Machine) -> set[Transition]:
    """The transitions that an execution took."""
    taken = set(_taken(execution.steps, machine))
    for step in execution.steps:
        for inner in machine.states[step.name].machines if step.name in machine.states else ():
            for chunk in step.chunks:
                taken |= set(_taken(chunk.steps, inner))
            if step.inside_untold and step.outcome is Ended.SUCCEEDED:
                taken |= {one for one in inner.transitions if one.kind == "next"}
    return taken


def _taken(steps: Sequence[Step], machine: Machine) -> Iterator[Transition]:
    for step, following in pairwise(steps):
        ways = [one for one in machine.transitions if (one.source, one.target) == (step.name, following.name)]
        caught = step.outcome in (Ended.CAUGHT, Ended.FAILED, Ended.TIMED_OUT)
        yield from sorted(ways, key=lambda one: (one.kind == CATCH) != caught)[:1]
