"""The state machine's definition: as it stands in the repository, and rendered as Terraform renders it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import ROOT

PATH = ROOT / "statemachine" / "pipeline.asl.json"
LAMBDA = "arn:${partition}:states:::lambda:invoke"
SNS = "arn:${partition}:states:::sns:publish"

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


def retrier_of(task: State, error: str) -> State | None:
    """The first retrier of a Task that names an error: the one that decides."""
    return next((retrier for retrier in task["Retry"] if error in retrier["ErrorEquals"]), None)


def attempts(task: State, error: str) -> int:
    """How often a Task is tried that fails with `error` every time."""
    retrier = retrier_of(task, error)
    return 1 + (retrier["MaxAttempts"] if retrier else 0)


def waits(retrier: State) -> Iterator[float]:
    """The longest wait before each retry, in seconds; with full jitter it is any up to that."""
    for number in range(retrier["MaxAttempts"]):
        yield min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"])


# --- the history of an execution ---

EVENTS_OF_A_TRY = 3  # TaskScheduled, TaskStarted, and TaskSucceeded, TaskFailed or TaskTimedOut
EVENTS_OF_A_STATE = 2  # …StateEntered, …StateExited
EVENTS_OF_AN_ITERATION = 2  # MapIterationStarted, MapIterationSucceeded
EVENTS_OF_A_MAP = 4  # MapStateEntered, MapStateStarted, MapStateSucceeded or MapStateFailed, MapStateExited
EVENTS_OF_AN_EXECUTION = 2  # ExecutionStarted, and how it ended
EVENTS_OF_AN_ABORT = 2  # TaskStateAborted, MapIterationAborted, of each iteration that another one's failure ends


def chunk_events(tries_of_each_task: int) -> int:
    """The events in the history of one chunk of which each task is tried so often."""
    inside = len(load()["States"]["ProcessChunks"]["ItemProcessor"]["States"])
    return EVENTS_OF_AN_ITERATION + inside * (EVENTS_OF_A_STATE + EVENTS_OF_A_TRY * tries_of_each_task)


def most_events(definition: Definition, chunks: int) -> int:
    """More events than any execution of so many chunks can have: every task entered, and every retrier used up."""
    return EVENTS_OF_AN_EXECUTION + sum(_most_events_of(state, chunks) for state in definition["States"].values())


def _most_events_of(state: State, chunks: int) -> int:
    if state["Type"] == "Map":
        inside = sum(_most_events_of(inner, chunks) for inner in state["ItemProcessor"]["States"].values())
        aborted = EVENTS_OF_AN_ABORT * state["MaxConcurrency"]
        return EVENTS_OF_A_MAP + aborted + chunks * (EVENTS_OF_AN_ITERATION + inside)
    return EVENTS_OF_A_STATE + EVENTS_OF_A_TRY * most_tries(state)


def most_tries(state: State) -> int:
    """How often a Task is tried at most: each retrier counts for itself. 0 of any other state."""
    return 1 + sum(retrier["MaxAttempts"] for retrier in state["Retry"]) if state["Type"] == "Task" else 0
