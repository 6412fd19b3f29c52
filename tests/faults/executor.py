"""Run executions in this process as the definition says: its Retry and Catch, with the real functions, without waits.

moto's engine does the same in threads and ten times slower; test_executor.py compares the two. Paths are as strict as
on AWS: a missing path ends the execution with States.Runtime, which nothing catches.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.faults.process_kills import Killed
from tests.statemachine import definition as asl
from tests.statemachine.path_walk import MissingPathError, fill, put, read

CRASHES = (
    *("Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout", "Lambda.Unknown", "States.Timeout"),
    *("Runtime.Unknown", "Runtime.InitError", "Sandbox.Failure"),
    *("Extension.LaunchError", "Extension.InitError", "Extension.ExitError", "Extension.Crash"),
)
"""The errors for a function whose process crashes or times out, also before its first event."""


class CrashError(Exception):
    """A function's process ends. `name` is the error that Step Functions reports."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class StoppedError(Exception):
    """The execution is ended from outside. `Executor.before` raises it."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status
        """TIMED_OUT or ABORTED."""


class _TaskError(Exception):
    """The error of a failed state."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


class _ExecutionError(_TaskError):
    """The error of a failed execution, which nothing catches."""


@dataclass
class Ended:
    """A finished execution."""

    status: str
    error: str | None = None
    cause: str | None = None
    output: Any = None


@dataclass
class Executor:
    """One execution."""

    functions: Mapping[str, Callable[[Any], Any]]
    """The functions by name: `validate`."""
    publish: Callable[[Mapping[str, str]], Any]
    """Sends a notification; raises boto3's errors."""
    before: Callable[[str], None] = lambda _: None
    """Called with the name of each state that is entered, and between its attempts. It may raise StoppedError."""
    definition: asl.Definition = field(default_factory=asl.load)
    history: list[dict[str, Any]] = field(default_factory=list)
    """In the form that GetExecutionHistory returns."""
    waits: list[float] = field(default_factory=list)
    """The longest possible wait of each retry, in seconds."""

    def run(self, name: str, data: Any) -> Ended:
        """Run the execution called `name` to its end."""
        self._note("ExecutionStarted")
        try:
            output = self._machine(self.definition, data, {"Execution": {"Name": name}})
        except StoppedError as exc:
            kind = {"TIMED_OUT": "ExecutionTimedOut", "ABORTED": "ExecutionAborted"}[exc.status]
            self._note(kind)
            return Ended(exc.status, "States.Timeout" if exc.status == "TIMED_OUT" else None)
        except _TaskError as exc:
            self._note("ExecutionFailed", executionFailedEventDetails={"error": exc.error, "cause": exc.cause})
            return Ended("FAILED", exc.error, exc.cause)
        self._note("ExecutionSucceeded")
        return Ended("SUCCEEDED", output=output)

    def _note(self, kind: str, **details: Any) -> None:
        number = len(self.history) + 1
        moment = {"timestamp": datetime.now(UTC), "id": number, "previousEventId": number - 1}
        self.history.append({**moment, "type": kind, **details})

    def _machine(self, machine: asl.Definition, data: Any, context: Any) -> Any:
        """The output of a machine: the whole one, or that of a Map for one item."""
        name: str | None = machine["StartAt"]
        while name is not None:
            state = machine["States"][name]
            self.before(name)
            self._note(f"{state['Type']}StateEntered", stateEnteredEventDetails={"name": name})
            name, data = self._state(name, state, data, context)
        return data

    def _state(self, name: str, state: asl.State, data: Any, context: Any) -> tuple[str | None, Any]:
        """The next state and its input."""
        try:
            if state["Type"] == "Fail":
                raise _ExecutionError(*(read(state[path], data, context) for path in ("ErrorPath", "CausePath")))
            following, output = self._do(name, state, data, context)
        except MissingPathError as exc:
            cause = f"An error occurred while executing the state '{name}': {exc}"
            raise _ExecutionError("States.Runtime", cause) from exc
        except _ExecutionError:
            raise
        except _TaskError as exc:
            catcher = next((c for c in state.get("Catch", ()) if _matches(c["ErrorEquals"], exc.error)), None)
            if catcher is None:
                raise
            following = catcher["Next"]
            output = put(catcher["ResultPath"], data, {"Error": exc.error, "Cause": exc.cause})
        self._note(f"{state['Type']}StateExited", stateExitedEventDetails={"name": name})
        return following, output

    def _do(self, name: str, state: asl.State, data: Any, context: Any) -> tuple[str | None, Any]:
        match state["Type"]:
            case "Pass":
                output = fill(state["Parameters"], data, context)
            case "Map":
                output = put(state["ResultPath"], data, self._map(state, data, context))
            case "Task":
                result = self._retried(name, state, fill(state["Parameters"], data, context))
                if "ResultSelector" in state:
                    result = fill(state["ResultSelector"], result, context)
                output = put(state.get("ResultPath", "$"), data, result)
            case "Choice":
                chosen = (r["Next"] for r in state["Choices"] if read(r["Variable"], data, context) > r[_GREATER])
                return next(chosen, state["Default"]), data
            case "Succeed":
                return None, data
            case unknown:
                raise NotImplementedError(f"{unknown}: implement such a state in tests/faults/executor.py")
        return state.get("Next"), output

    def _map(self, state: asl.State, data: Any, context: Any) -> list[Any]:
        """Process the items in sequence. The first failed item is the failure of the Map."""
        items = read(state["ItemsPath"], data, context)
        self._note("MapStateStarted", mapStateStartedEventDetails={"length": len(items)})
        outputs = []
        for index, item in enumerate(items):
            of_item = {**context, "Map": {"Item": {"Value": item}}}
            self._note("MapIterationStarted", mapIterationStartedEventDetails={"index": index})
            try:
                given = fill(state["ItemSelector"], data, of_item)
                outputs.append(self._machine(state["ItemProcessor"], given, of_item))
            except _TaskError:
                self._note("MapIterationFailed", mapIterationFailedEventDetails={"index": index})
                self._note("MapStateFailed")
                raise
            self._note("MapIterationSucceeded", mapIterationSucceededEventDetails={"index": index})
        self._note("MapStateSucceeded")
        return outputs

    def _retried(self, name: str, task: asl.State, asked: Any) -> Any:
        """The result of a task. Each retrier counts separately, and the first that names the error decides."""
        used = [0] * len(task["Retry"])
        while True:
            try:
                return self._try(task, asked)
            except _TaskError as exc:
                number, retrier = next(
                    ((n, r) for n, r in enumerate(task["Retry"]) if _matches(r["ErrorEquals"], exc.error)), (0, None)
                )
                if retrier is None or used[number] >= retrier["MaxAttempts"]:
                    raise
                self.waits.append(list(asl.waits(retrier))[used[number]])
                used[number] += 1
                self.before(name)

    def _try(self, task: asl.State, asked: Any) -> Any:
        self._note("TaskScheduled")
        self._note("TaskStarted")
        try:
            function = asl.function_of(task)
            result = self._invoke(function, asked["Payload"]) if function else self._send(asked)
        except _TaskError as exc:
            kind = "TaskTimedOut" if exc.error == "States.Timeout" else "TaskFailed"
            details = {"error": exc.error, "cause": exc.cause}
            self._note(kind, **{f"{kind[0].lower()}{kind[1:]}EventDetails": details})
            raise
        self._note("TaskSucceeded", taskSucceededEventDetails={"resource": task["Resource"]})
        return result

    def _invoke(self, function: str, payload: Any) -> Any:
        """The result of a Lambda function. Only the class name identifies an error, as on Lambda."""
        try:
            answer = self.functions[function](json.loads(json.dumps(payload)))
        except Killed:
            raise _TaskError("Runtime.ExitError", _cause("Runtime.ExitError", "exit status 1")) from None
        except CrashError as exc:
            raise _TaskError(exc.name, "" if exc.name == "States.Timeout" else _cause(exc.name, "ended")) from exc
        except Exception as exc:
            raise _TaskError(type(exc).__name__, _cause(type(exc).__name__, str(exc))) from exc
        return {"StatusCode": 200, "Payload": json.loads(json.dumps(answer))}

    def _send(self, asked: Mapping[str, str]) -> Any:
        try:
            return dict(self.publish(asked))
        except ClientError as exc:
            raise _TaskError(f"SNS.{exc.response['Error']['Code']}Exception", str(exc)) from exc
        except BotoCoreError as exc:
            raise _TaskError("SNS.SdkClientException", str(exc)) from exc


_GREATER = "NumericGreaterThan"


def _matches(names: list[str], error: str) -> bool:
    return error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def _cause(error: str, message: str) -> str:
    return json.dumps({"errorMessage": message, "errorType": error, "stackTrace": []})
