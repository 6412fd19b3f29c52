"""The errors that AWS names: every one is known, and definition, next step, `explain` and runbook agree about it."""

import re
from dataclasses import replace

import pytest
from awslambdaric.lambda_runtime_exception import FaultException
from botocore.session import Session

from functions.common import errors
from functions.common.aws_errors import LASTING, PASSING
from functions.common.batch_state import BatchState
from functions.common.errors import PipelineError, Remedy, next_step_for, remedy_for
from pipeline import ROOT
from pipeline.inspect.batch_history.diagnosis import diagnosed
from tests import documents
from tests.report import stories
from tests.statemachine import definition as asl

PAGES = [ROOT / "docs" / name for name in ("reference/aws-errors.md", "reference/errors.md", "guides/recover.md")]
SECTIONS = [section for page in PAGES for section in re.split(r"^##+ ", page.read_text("utf-8"), flags=re.MULTILINE)]
LAMBDA_TASKS = {name: task for name, task in asl.tasks(asl.load()).items() if task["Resource"] == asl.LAMBDA}

DEATHS = {
    *("Extension.LaunchError", "Extension.InitError", "Extension.ExitError", "Extension.Crash"),
    *("Runtime.InitError", "Runtime.ExitError", "Runtime.Unknown", "Runtime.OutOfMemory"),
    *("Sandbox.Timedout", "Sandbox.Failure", "Lambda.Unknown", "States.Timeout"),
}
"""Errors of a function's process that ends or times out without an error of the function itself."""

FINAL_RUNTIME_ERRORS = {
    *("Runtime.InvalidWorkingDir", "Runtime.InvalidEntrypoint"),
    *("Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.UserCodeSyntaxError"),
    *("Runtime.BuiltInModuleConflict", "Runtime.MalformedHandlerName"),
}
"""A package that can't start: the next start fails in the same way."""

NOT_OURS = {
    "Runtime.MarshalError": "what our functions return is JSON; if not, a fault of the code",
    "Runtime.UnmarshalError": "an event is always JSON",
    "Runtime.LambdaContextUnmarshalError": "no client context is sent",
    "Runtime.LambdaRuntimeClientError": "raised by concurrent runtimes only",
    "Runtime.BeforeSnapshotError": "no SnapStart: /tmp is too large for it",
    "Runtime.AfterRestoreError": "no SnapStart: /tmp is too large for it",
}
"""Constants of the runtime's client that no function here can end with."""

OF_WHAT_NO_FUNCTION_HAS = re.compile(r"(EC2|ENI|EFS|S3Files|SnapStart|Subnet|InvalidSecurityGroup|InvalidSubnet)")
"""Errors of private networks, file systems and snapshots."""

OF_THE_REQUEST = {
    *("InvalidParameterValueException", "InvalidRequestContentException", "RequestTooLargeException"),
    *("SerializedRequestEntityTooLargeException", "UnsupportedMediaTypeException", "ServiceQuotaExceededException"),
    *("RecursiveInvocationException", "ModeNotSupportedException", "NoPublishedVersionException"),
    "DurableExecutionAlreadyStartedException",
}
"""Errors of a call's payload or type: AWS refuses the same call again."""


def own_retries(names: set[str]) -> set[str]:
    """The names that aren't classes of this project."""
    return {name for name in names if not hasattr(errors, name)}


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_a_task_retries_the_errors_that_may_pass_and_no_others(name: str) -> None:
    retried = {error for retrier in LAMBDA_TASKS[name]["Retry"] for error in retrier["ErrorEquals"]}
    assert own_retries(retried) == set(PASSING)
    assert not set(LASTING) & retried


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_every_error_of_a_dying_function_is_retried_once(name: str) -> None:
    """The machine may be the cause, so one retry is useful. A file that is too large for a function fails again."""
    assert {error: asl.attempts(LAMBDA_TASKS[name], error) for error in DEATHS} == dict.fromkeys(DEATHS, 2)


def test_every_error_of_the_python_runtime_is_known() -> None:
    constants = {value for name, value in vars(FaultException).items() if name.isupper() and isinstance(value, str)}
    assert constants, "awslambdaric names its errors elsewhere"
    assert constants <= FINAL_RUNTIME_ERRORS | NOT_OURS.keys()
    assert set(LASTING) >= FINAL_RUNTIME_ERRORS


def test_every_error_of_a_call_is_known() -> None:
    """If a new botocore adds an error, decide whether it is transient, and add it to PASSING or LASTING."""
    shapes = Session().get_service_model("lambda").operation_model("Invoke").error_shapes
    named = {shape.name for shape in shapes}
    assert len(named) > 30
    unknown = {
        name
        for name in named - OF_THE_REQUEST
        if f"Lambda.{name}" not in {*PASSING, *LASTING} and not OF_WHAT_NO_FUNCTION_HAS.match(name)
    }
    assert not unknown


@pytest.mark.parametrize("error", [*PASSING, *LASTING, "Lambda.EFSIOException"])
def test_the_next_step_of_an_aws_error_includes_a_replay(error: str) -> None:
    step = next_step_for(error)
    assert step != PipelineError.next_step
    assert "run the batch again" in step.lower()
    first = step.removeprefix("Nothing is wrong with the file. ").startswith("Run the batch again")
    assert first == (remedy_for(error) is Remedy.REPLAY) == (error in PASSING)


@pytest.mark.parametrize("error", [*PASSING, *LASTING])
def test_explain_tries_a_replay_first_where_the_next_step_does(error: str) -> None:
    failed = stories.failed()
    step = "Look at the function's log, and run the batch again."
    record = documents.failure_record(next_step=step, notified_by="state_machine")
    for failure in (record, None):
        run = replace(failed.executions[-1], error=error, failure=failure)
        first = diagnosed(replace(failed, executions=(run,)), BatchState.FAILED, stories.WRITTEN).actions[0]
        is_first = remedy_for(error) is Remedy.REPLAY
        assert first.command.startswith("pipeline replay") == is_first
        assert not is_first or first.sentence == next_step_for(error)


@pytest.mark.parametrize(
    "error", [*PASSING, *(error for error in LASTING if error != "ExecutionAborted")]
)  # whose section asks who it was
def test_the_runbook_tries_a_replay_first_where_the_next_step_does(error: str) -> None:
    section = next((text for text in SECTIONS if error in text.partition("\n")[0].split(", ")), None)
    assert section, f"docs/reference/ has no section {error}"
    if "[`" in section.partition("**Look, do.**")[2]:  # it refers to an alarm's section
        alarm = section.partition("**Look, do.** [`")[2].partition("`")[0]
        [section] = [text for text in SECTIONS if text.startswith(f"{alarm}\n")]
    advice = section.partition("**Do.**")[2]
    words = ("memory_mb", "deploy-infra", "back to", "Enable the key")
    changes = [advice.index(word) for word in words if word in advice]
    assert "replay" in advice
    assert (advice.index("replay") < min(changes, default=len(advice))) == (remedy_for(error) is Remedy.REPLAY)
