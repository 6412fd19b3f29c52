"""What an execution did, for `templates/state_machine.svg.jinja`, which draws the state machine of this release.

States and transitions come from the definition that ran: it may be that of another release, or of a fork.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.inspect.batch_history.model import Ended, Execution, Step
from pipeline.inspect.report.marks import NOT_REACHED, NOT_RECORDED, SUCCEEDED, Mark, mark_of

Definition = Mapping[str, Any]
Way = tuple[str, str, bool]
"""A transition: from a state, to a state, and whether a Catch leads there."""


@dataclass(frozen=True)
class Drawing:
    """The state machine of an execution, and what the execution did in it."""

    start: str
    marks: Mapping[str, Mark]
    """By the name of each state, in the definition's order, with the states inside a Map."""
    comments: Mapping[str, str]
    ways: Sequence[Way]
    """All transitions, each once."""
    taken: Set[Way]


def drawing_of(execution: Execution, definition: Definition) -> Drawing:
    """The drawing of an execution of this definition, in the Amazon States Language."""
    states = dict(_states(definition))
    ways = tuple(dict.fromkeys(way for name, state in states.items() for way in _ways(name, state)))
    visits: dict[str, list[Step]] = {}
    for step in execution.steps:
        for one in step.walk():
            visits.setdefault(one.name, []).append(one)
    marks = dict.fromkeys(states, NOT_REACHED) | {name: mark_of(steps) for name, steps in visits.items()}
    taken = set(_taken(execution.steps, ways))
    for step in execution.steps:
        for chunk in step.chunks:
            taken.update(_taken(chunk.steps, ways))
        if step.inside_untold:
            inside = dict(_inside(states.get(step.name, {})))
            is_certain = step.outcome is Ended.SUCCEEDED and not any(map(_branches, inside.values()))
            marks |= dict.fromkeys(inside, SUCCEEDED if is_certain else NOT_RECORDED)
            taken.update(way for way in ways if is_certain and way[0] in inside)
    comments = {name: state.get("Comment", "") for name, state in states.items()}
    return Drawing(definition["StartAt"], marks, comments, ways, taken)


def _states(machine: Definition) -> Iterator[tuple[str, Definition]]:
    """Every state by its name, those inside others too."""
    for name, state in machine["States"].items():
        yield name, state
        yield from _inside(state)


def _inside(state: Definition) -> Iterator[tuple[str, Definition]]:
    """The states inside a Map or a Parallel."""
    machines = [state[field] for field in ("ItemProcessor", "Iterator") if field in state]
    for machine in [*machines, *state.get("Branches", ())]:
        yield from _states(machine)


def _branches(state: Definition) -> bool:
    """Whether more than one state can follow."""
    return "Choices" in state or "Catch" in state


def _ways(name: str, state: Definition) -> Iterator[Way]:
    yield from ((name, state[field], False) for field in ("Next", "Default") if field in state)
    yield from ((name, rule["Next"], False) for rule in state.get("Choices", ()))
    yield from ((name, catcher["Next"], True) for catcher in state.get("Catch", ()))


def _taken(steps: Sequence[Step], ways: Sequence[Way]) -> Iterator[Way]:
    """The transitions between steps, one after the other; of Next and Catch to the same state the right one."""
    for step, following in pairwise(steps):
        caught = step.outcome in (Ended.CAUGHT, Ended.FAILED, Ended.TIMED_OUT)
        possible = [way for way in ways if way[:2] == (step.name, following.name)]
        yield from sorted(possible, key=lambda way: way[2] is not caught)[:1]
