"""A state machine's definition as a graph: its states, and the transitions that it allows between them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NEXT, CHOICE, DEFAULT, CATCH = "next", "choice", "default", "catch"


@dataclass(frozen=True)
class Transition:
    """One way from a state to another of the same machine."""

    source: str
    target: str
    kind: str
    """NEXT, CHOICE, DEFAULT or CATCH."""
    condition: str = ""
    """When a CHOICE or a CATCH is taken, in words."""


@dataclass(frozen=True)
class State:
    """One state, and the machines that it runs inside: one for a Map's items, several for a Parallel."""

    name: str
    kind: str
    """Its Type: Task, Map, Choice, …"""
    comment: str
    machines: tuple["Machine", ...]


@dataclass(frozen=True)
class Machine:
    """A state machine, or what a Map or a Parallel runs."""

    start: str
    states: Mapping[str, State]
    transitions: tuple[Transition, ...]

    def all_states(self) -> Iterator[State]:
        """Every state, those inside others too."""
        for state in self.states.values():
            yield state
            for machine in state.machines:
                yield from machine.all_states()


def machine_of(definition: Mapping[str, Any]) -> Machine:
    """The graph of a definition in the Amazon States Language, rendered or not."""
    states = definition["States"]
    return Machine(
        definition["StartAt"],
        {name: _state(name, state) for name, state in states.items()},
        tuple(transition for name, state in states.items() for transition in _transitions(name, state)),
    )


def _state(name: str, state: Mapping[str, Any]) -> State:
    inner = [state[field] for field in ("ItemProcessor", "Iterator") if field in state] + state.get("Branches", [])
    return State(name, state["Type"], state.get("Comment", ""), tuple(machine_of(machine) for machine in inner))


def _transitions(name: str, state: Mapping[str, Any]) -> Iterator[Transition]:
    if "Next" in state:
        yield Transition(name, state["Next"], NEXT)
    for rule in state.get("Choices", ()):
        yield Transition(name, rule["Next"], CHOICE, f"if {_condition(rule)}")
    if "Default" in state:
        yield Transition(name, state["Default"], DEFAULT, "else")
    for catcher in state.get("Catch", ()):
        yield Transition(name, catcher["Next"], CATCH, f"on {', '.join(catcher['ErrorEquals'])}")


def _condition(rule: Mapping[str, Any]) -> str:
    """A Choice's rule in words: `$.written.rejected` and `NumericGreaterThan` are `written.rejected greater than 0`."""
    if "Condition" in rule:
        return str(rule["Condition"])
    for word in ("And", "Or"):
        if word in rule:
            return f" {word.lower()} ".join(f"({_condition(part)})" for part in rule[word])
    if "Not" in rule:
        return f"not ({_condition(rule['Not'])})"
    operator, value = next((key, value) for key, value in rule.items() if key not in ("Variable", "Next", "Comment"))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operator).lower()
    words = re.sub(r"^(numeric|string|timestamp|boolean) ", "", words)
    return f"{rule['Variable'].removeprefix('$.')} {words} {value}"
