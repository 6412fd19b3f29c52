"""The state machine definition: as it is in the repository, and rendered as Terraform renders it."""

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
    """The definition before it is rendered. It is already valid JSON."""
    definition: Definition = json.loads(PATH.read_text("utf-8"))
    return definition


def render(values: Mapping[str, str]) -> Definition:
    """The definition with its placeholders replaced, as Terraform's `templatefile` does.

    Only plain `${name}` is supported; test_definition.py checks that the file has no other template syntax.
    A placeholder without a value is an error in Terraform and a KeyError here.
    """
    definition: Definition = json.loads(_PLACEHOLDER.sub(lambda match: values[match[1]], PATH.read_text("utf-8")))
    return definition


def placeholders(text: str) -> set[str]:
    """The names of the placeholders in a string."""
    return set(_PLACEHOLDER.findall(text))


def machines(definition: Definition) -> Iterator[Definition]:
    """The state machine itself, and the nested machine that each Map runs for its items."""
    yield definition
    for state in definition["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


def states(definition: Definition) -> dict[str, State]:
    """Every state by name, including those inside a Map."""
    return {name: state for machine in machines(definition) for name, state in machine["States"].items()}


def tasks(definition: Definition) -> dict[str, State]:
    """Every Task by name, including those inside a Map."""
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
    """The states that can be reached from `start`, including `start`."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += successors(machine["States"][name])
    return found


def retrier_of(task: State, error: str) -> State | None:
    """The first retrier of a Task that names an error. That one decides."""
    return next((retrier for retrier in task["Retry"] if error in retrier["ErrorEquals"]), None)


def attempts(task: State, error: str) -> int:
    """The number of attempts of a Task that always fails with `error`."""
    retrier = retrier_of(task, error)
    return 1 + (retrier["MaxAttempts"] if retrier else 0)


def waits(retrier: State) -> Iterator[float]:
    """The longest wait before each retry, in seconds. With full jitter a wait is anything up to it."""
    for number in range(retrier["MaxAttempts"]):
        yield min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"])


# --- the history of an execution ---

EVENTS_PER_ATTEMPT = 3  # TaskScheduled, TaskStarted, and TaskSucceeded, TaskFailed or TaskTimedOut
EVENTS_PER_STATE = 2  # …StateEntered, …StateExited
EVENTS_PER_ITERATION = 2  # MapIterationStarted, MapIterationSucceeded
EVENTS_PER_MAP = 4  # MapStateEntered, MapStateStarted, MapStateSucceeded or MapStateFailed, MapStateExited
EVENTS_PER_EXECUTION = 2  # ExecutionStarted, and how it ended
EVENTS_PER_ABORT = 2  # TaskStateAborted, MapIterationAborted, for each iteration that the failure of another one ends


def chunk_events(attempts_of_each_task: int) -> int:
    """The number of history events of one chunk whose tasks each need this many attempts."""
    inside = len(load()["States"]["ProcessChunks"]["ItemProcessor"]["States"])
    return EVENTS_PER_ITERATION + inside * (EVENTS_PER_STATE + EVENTS_PER_ATTEMPT * attempts_of_each_task)


def max_events(definition: Definition, chunks: int) -> int:
    """An upper bound for the events of an execution with so many chunks: every task runs, every retrier is used up."""
    return EVENTS_PER_EXECUTION + sum(_max_events_of(state, chunks) for state in definition["States"].values())


def _max_events_of(state: State, chunks: int) -> int:
    if state["Type"] == "Map":
        inside = sum(_max_events_of(inner, chunks) for inner in state["ItemProcessor"]["States"].values())
        aborted = EVENTS_PER_ABORT * state["MaxConcurrency"]
        return EVENTS_PER_MAP + aborted + chunks * (EVENTS_PER_ITERATION + inside)
    return EVENTS_PER_STATE + EVENTS_PER_ATTEMPT * max_attempts(state)


def max_attempts(state: State) -> int:
    """The maximum number of attempts of a Task: each retrier counts separately. 0 for any other state."""
    return 1 + sum(retrier["MaxAttempts"] for retrier in state["Retry"]) if state["Type"] == "Task" else 0
