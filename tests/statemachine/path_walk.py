"""Walk every path through the definition, as strict about `$.` paths as AWS and stricter than emulators.

A missing `$.path` is null on an emulator. On AWS it is `States.Runtime`, which nothing catches. Here it raises a
MissingPathError that names the state.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.statemachine.definition import LAMBDA, Definition, State, function_of

MAX_PAYLOAD = 262_144
"""Bytes that a state can be given or hand on: step-functions/latest/dg/service-quotas."""

_ARGUMENT = re.compile(r"'(?:[^'\\]|\\.)*'|\$[\w.$]*|-?\d+|true|false")


class MissingPathError(Exception):
    """A state reads a value that does not exist."""


@dataclass(frozen=True)
class Walk:
    """A walk through every branch: each task succeeds once and fails once, each choice takes both directions."""

    definition: Definition
    invoke: Callable[[str, Any], Any]
    """The result of a function, by its name, for a payload."""
    error: Mapping[str, str]
    """The input of a Catch: `Error` and `Cause`. AWS passes an empty cause if an error has none."""

    def visits(self, data: Any, execution: str) -> Iterator[tuple[str, Any, Any]]:
        """Every state that is entered, with its input and its arguments: the parameters of a Task, error and cause
        of a Fail, the output of any other state. Raises MissingPathError."""
        yield from self._walk(self.definition, self.definition["StartAt"], data, {"Execution": {"Name": execution}})

    def _walk(self, machine: Definition, name: str, data: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
        state = machine["States"][name]
        try:
            asked, outputs = self._step(state, data, context)
        except MissingPathError as exc:
            raise MissingPathError(f"{name}: {exc}") from exc
        yield name, data, asked
        if state["Type"] == "Map":
            for item in read(state["ItemsPath"], data, context):
                of_item = {**context, "Map": {"Item": {"Value": item}}}
                start = fill(state["ItemSelector"], data, of_item)
                yield from self._walk(state["ItemProcessor"], state["ItemProcessor"]["StartAt"], start, of_item)
        for successor, output in outputs:
            yield from self._walk(machine, successor, output, context)

    def _step(self, state: State, data: Any, context: Any) -> tuple[Any, list[tuple[str, Any]]]:
        """The arguments of a state, and each successor with its input."""
        caught = [(rule["Next"], put(rule["ResultPath"], data, dict(self.error))) for rule in state.get("Catch", ())]
        match state["Type"]:
            case "Pass":
                output = fill(state["Parameters"], data, context)
                return output, [(state["Next"], output)]
            case "Map":
                return data, [(state["Next"], put(state["ResultPath"], data, [])), *caught]
            case "Task":
                asked = fill(state["Parameters"], data, context)
                result = self._result(state, asked)
                if "ResultSelector" in state:
                    result = fill(state["ResultSelector"], result, context)
                output = put(state.get("ResultPath", "$"), data, result)
                return asked, [*((state[field], output) for field in ("Next",) if field in state), *caught]
            case "Choice":
                for rule in state["Choices"]:
                    assert isinstance(read(rule["Variable"], data, context), int), f"{rule['Variable']} isn't a number"
                return data, [(name, data) for name in (*(rule["Next"] for rule in state["Choices"]), state["Default"])]
            case "Fail":
                return tuple(read(state[field], data, context) for field in ("ErrorPath", "CausePath")), []
            case _:
                return data, []

    def _result(self, task: State, asked: Any) -> Any:
        if task["Resource"] == LAMBDA:
            return {"StatusCode": 200, "Payload": self.invoke(function_of(task) or "", asked["Payload"])}
        return {"MessageId": "1"}


def read(path: str, data: Any, context: Any) -> Any:
    """The value of a path, of a path into the context object (`$$.`) or of an intrinsic function."""
    if path.startswith("States."):
        return _call(path, data, context)
    place = context if path.startswith("$$") else data
    for field in path.lstrip("$").split(".")[1:]:
        if not isinstance(place, dict) or field not in place:
            raise MissingPathError(f"there is no {path} in {json.dumps(place)[:500]}")
        place = place[field]
    return place


def fill(template: Any, data: Any, context: Any) -> Any:
    """A payload template with its paths (the fields that end in `.$`) resolved."""
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): read(value, data, context) if key.endswith(".$") else fill(value, data, context)
        for key, value in template.items()
    }


def put(path: str | None, data: Any, result: Any) -> Any:
    """The input with the result at the ResultPath: null drops the result, `$` replaces the input."""
    if path is None:
        return data
    if path == "$":
        return result
    field = path.removeprefix("$.")
    assert "." not in field, f"ResultPath {path} is deeper than this walk supports"
    return {**data, field: result}


def _call(call: str, data: Any, context: Any) -> Any:
    name, _, rest = call.partition("(")
    arguments = [_argument(text, data, context) for text in _ARGUMENT.findall(rest.removesuffix(")"))]
    match name:
        case "States.ArrayRange":
            first, last, step = arguments
            return list(range(first, last + 1, step))
        case "States.JsonMerge":
            first, second, deep = arguments
            assert deep is False, "AWS merges shallowly only"
            return {**first, **second}
        case "States.Format":
            template, *values = arguments
            assert template.count("{}") == len(values), f"AWS refuses a template with other than {len(values)} values"
            assert all(isinstance(value, str | int | float) for value in values), "AWS formats no objects or arrays"
            return "".join(
                part for pair in zip(template.split("{}"), [*map(str, values), ""], strict=True) for part in pair
            )
        case _:
            raise NotImplementedError(f"{name}: implement it in tests/statemachine/path_walk.py")


def _argument(text: str, data: Any, context: Any) -> Any:
    if text.startswith("$"):
        return read(text, data, context)
    return text[1:-1] if text.startswith("'") else json.loads(text)
