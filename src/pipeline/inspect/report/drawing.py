"""Describes an execution for the drawing of the state machine in `templates/state_machine.svg.jinja`."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from functions.common.execution_history.model import FAILURES, Ended, Step
from pipeline.inspect.batch_history.model import Execution
from pipeline.inspect.report.state_outcomes import NOT_RECORDED, SUCCEEDED, Mark, mark_of

Transition = tuple[str, str, bool]
"""The state before, the state after, and whether a Catch leads from one to the other."""

INSIDE_MAP: Sequence[str] = ("Validate", "Transform")
"""The states inside the Map, in order. They don't branch, so a Map that succeeded visited all of them."""


@dataclass(frozen=True)
class Drawing:
    """The states and transitions of an execution, for the drawing."""

    marks: Mapping[str, Mark]
    """The marks of all visited states by name, including states inside a Map."""
    taken: Set[Transition]


def drawing_of(execution: Execution) -> Drawing:
    """Return the marks of the visited states, and the transitions between them, for an execution."""
    visits: dict[str, list[Step]] = {}
    for step in execution.steps:
        for one in step.walk():
            visits.setdefault(one.name, []).append(one)
    marks = {name: mark_of(steps) for name, steps in visits.items()}
    taken = set(_taken(execution.steps))
    for step in execution.steps:
        for chunk in step.chunks:
            taken.update(_taken(chunk.steps))
        if step.inside_untold:
            has_succeeded = step.outcome is Ended.SUCCEEDED
            marks |= dict.fromkeys(INSIDE_MAP, SUCCEEDED if has_succeeded else NOT_RECORDED)
            taken.update((one, other, False) for one, other in pairwise(INSIDE_MAP) if has_succeeded)
    return Drawing(marks, taken)


def _taken(steps: Sequence[Step]) -> Iterator[Transition]:
    """Yield the transitions between consecutive steps."""
    for step, following in pairwise(steps):
        yield step.name, following.name, step.outcome in (Ended.CAUGHT, *FAILURES)
