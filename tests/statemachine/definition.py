"""The state machine's definition: as it stands in the repository, and rendered as Terraform renders it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import ROOT

PATH = ROOT / "statemachine" / "pipeline.asl.json"
LAMBDA = "arn:aws:states:::lambda:invoke"
SNS = "arn:aws:states:::sns:publish"

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")

Definition = dict[str, Any]
State = dict[str, Any]


def load() -> Definition:
    """The definition before it is rendered; it is JSON already."""
    definition: Definition = json.loads(PATH.read_text("utf-8"))
    return definition


def render(values: Mapping[str, str]) -> Definition:
    """The definition with its placeholders filled in, as by Terraform's `templatefile`.

    Plain `${name}` is all that is done here of Terraform's templates; test_definition.py sees that the file has
    nothing else. A placeholder without a value is an error there, and a KeyError here.
    """
    definition: Definition = json.loads(_PLACEHOLDER.sub(lambda match: values[match[1]], PATH.read_text("utf-8")))
    return definition


def placeholders(text: str) -> set[str]:
    """The names of the placeholders in a text."""
    return set(_PLACEHOLDER.findall(text))


def machines(definition: Definition) -> Iterator[Definition]:
    """The state machine itself, and the one that each Map runs for its items."""
    yield definition
    for state in definition["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


def states(definition: Definition) -> dict[str, State]:
    """Every state by name, those inside a Map too."""
    return {name: state for machine in machines(definition) for name, state in machine["States"].items()}


def tasks(definition: Definition) -> dict[str, State]:
    """Every Task by name, those inside a Map too."""
    return {name: state for name, state in states(definition).items() if state["Type"] == "Task"}


def function_of(task: State) -> str | None:
    """The function that a Task of the unrendered definition invokes: `validate` for `${validate_arn}`."""
    names = placeholders(task["Parameters"].get("FunctionName", ""))
    return names.pop().removesuffix("_arn") if names else None


def successors(state: State) -> list[str]:
    """The names of the states that can follow a state in its machine."""
    rules = [*state.get("Choices", ()), *state.get("Catch", ())]
    return [*(rule["Next"] for rule in rules), *(state[field] for field in ("Next", "Default") if field in state)]


def reachable(machine: Definition, start: str) -> set[str]:
    """The states that can be entered from `start`, itself among them."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += successors(machine["States"][name])
    return found


def attempts(task: State, error: str) -> int:
    """How often a Task is tried that fails with `error` every time."""
    retrier = next((retrier for retrier in task["Retry"] if error in retrier["ErrorEquals"]), None)
    return 1 + (retrier["MaxAttempts"] if retrier else 0)


# --- the history of an execution ---

EVENTS_OF_A_TRY = 3  # TaskScheduled, TaskStarted, and TaskSucceeded, TaskFailed or TaskTimedOut
EVENTS_OF_A_STATE = 2  # …StateEntered, …StateExited
EVENTS_OF_AN_ITERATION = 2  # MapIterationStarted, MapIterationSucceeded
EVENTS_OUTSIDE = 200
"""More than all else can have: the execution's and the Map's own, the aborted iterations of a failure (2 more for each
of those under way), Write and RecordFailure with every retrier used up (13 tries each), NotifyFailure."""


def chunk_events(tries_of_each_task: int) -> int:
    """The events in the history of one chunk of which each task is tried so often."""
    inside = len(load()["States"]["ProcessChunks"]["ItemProcessor"]["States"])
    return EVENTS_OF_AN_ITERATION + inside * (EVENTS_OF_A_STATE + EVENTS_OF_A_TRY * tries_of_each_task)
