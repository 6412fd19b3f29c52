"""What an execution did, for `templates/state_machine.svg.jinja`, which draws the state machine of this release.

States and transitions come from the definition that ran, which may be that of another release or of a fork.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.inspect.batch_history.model import FAILURES, Ended, Execution, Step
from pipeline.inspect.report.state_outcomes import NOT_REACHED, NOT_RECORDED, SUCCEEDED, Mark, mark_of

Definition = Mapping[str, Any]
Transition = tuple[str, str, bool]
"""From a state, to a state, and whether a Catch leads there."""


@dataclass(frozen=True)
class Drawing:
    """The state machine of an execution, and what the execution did in it."""

    start: str
    marks: Mapping[str, Mark]
    """By the name of each state, in the definition's order, including states inside a Map."""
    comments: Mapping[str, str]
    transitions: Sequence[Transition]
    """All transitions, each once."""
    taken: Set[Transition]


def drawing_of(execution: Execution, definition: Definition) -> Drawing:
    """The drawing of an execution of this definition, in the Amazon States Language."""
    states = dict(_states(definition))
    found = (one for name, state in states.items() for one in _transitions(name, state))
    transitions = tuple(dict.fromkeys(found))
    visits: dict[str, list[Step]] = {}
    for step in execution.steps:
        for one in step.walk():
            visits.setdefault(one.name, []).append(one)
    marks = dict.fromkeys(states, NOT_REACHED) | {name: mark_of(steps) for name, steps in visits.items()}
    taken = set(_taken(execution.steps, transitions))
    for step in execution.steps:
        for chunk in step.chunks:
            taken.update(_taken(chunk.steps, transitions))
        if step.inside_untold:
            inside = dict(_inside(states.get(step.name, {})))
            has_branches = any("Choices" in state or "Catch" in state for state in inside.values())
            is_certain = step.outcome is Ended.SUCCEEDED and not has_branches
            marks |= dict.fromkeys(inside, SUCCEEDED if is_certain else NOT_RECORDED)
            taken.update(one for one in transitions if is_certain and one[0] in inside)
    comments = {name: state.get("Comment", "") for name, state in states.items()}
    return Drawing(definition["StartAt"], marks, comments, transitions, taken)


def _states(machine: Definition) -> Iterator[tuple[str, Definition]]:
    """Every state with its name, including states inside others."""
    for name, state in machine["States"].items():
        yield name, state
        yield from _inside(state)


def _inside(state: Definition) -> Iterator[tuple[str, Definition]]:
    """The states inside a Map or a Parallel."""
    machines = [state[field] for field in ("ItemProcessor", "Iterator") if field in state]
    for machine in [*machines, *state.get("Branches", ())]:
        yield from _states(machine)


def _transitions(name: str, state: Definition) -> Iterator[Transition]:
    yield from ((name, state[field], False) for field in ("Next", "Default") if field in state)
    yield from ((name, rule["Next"], False) for rule in state.get("Choices", ()))
    yield from ((name, catcher["Next"], True) for catcher in state.get("Catch", ()))


def _taken(steps: Sequence[Step], transitions: Sequence[Transition]) -> Iterator[Transition]:
    """The transitions between consecutive steps. If Next and Catch have the same target, the outcome decides."""
    for step, following in pairwise(steps):
        caught = step.outcome in (Ended.CAUGHT, *FAILURES)
        possible = [one for one in transitions if one[:2] == (step.name, following.name)]
        yield from sorted(possible, key=lambda one: one[2] is not caught)[:1]
