"""Steps that fail temporarily, permanently, or after their work is done: the definition retries, one notification."""

from math import inf
from typing import Any

import pytest

from functions.common import errors
from functions.common.errors import PipelineError, SourceNotVisibleError, TransientError
from tests.faults import outcome_check
from tests.faults.executor import CRASHES
from tests.faults.fault_injection import Fault, at_every_attempt
from tests.faults.fault_table import survives
from tests.faults.faulty_releases import crashing, done_already, raising
from tests.faults.sampling import sampled
from tests.faults.scenarios import Scenario
from tests.faults.simulated_cloud import Cloud
from tests.statemachine import definition as asl

pytestmark = pytest.mark.slow

TASKS = asl.tasks(asl.load())
STEPS = ("validate", "transform", "write")
TRIES = {asl.function_of(task): asl.attempts(task, TransientError.__name__) for task in TASKS.values()}
"""How often a step is tried that AWS is not there for."""

RETRIED = (TransientError, SourceNotVisibleError)
DATA_ERRORS = [
    name
    for name, error in vars(errors).items()
    if isinstance(error, type) and issubclass(error, PipelineError) and error not in RETRIED
]


def check_failed(cloud: Cloud, error: str) -> dict[str, Any]:
    """Check that the only execution failed with this error, with a record and one notification. Returns the record."""
    assert [(execution.status, execution.error) for execution in cloud.executions] == [("FAILED", error)]
    ((record,),) = outcome_check.check(cloud).failed.values()
    assert (record["error"], record["published"], record["notified_by"]) == (error, False, "state_machine")
    assert len(cloud.notifications) == 1
    return record


# --- AWS is unavailable -----------------------------------------------------------------------------------------------


@survives("transient fault 1…N−1 times in any step")
@pytest.mark.parametrize(("step", "times"), [(step, times) for step in STEPS for times in (1, TRIES[step] - 1)])
def test_the_output_is_the_same_after_a_temporary_fault(scenario: Scenario, step: str, times: int) -> None:
    cloud = scenario.again()
    first = next(call for call in scenario.calls if call.step == step)
    cloud.injector.inject(Fault.THROTTLE, at_every_attempt(first), times)
    cloud.settle()
    assert len(cloud.injector.injected) == len(cloud.waits) == times
    assert cloud.outputs() == scenario.outputs
    outcome_check.check(cloud)


@survives("transient fault past the last retry")
@pytest.mark.parametrize("step", STEPS)
def test_a_permanent_fault_is_notified_and_a_replay_publishes(scenario: Scenario, step: str) -> None:
    cloud = scenario.again()
    last = [call for call in scenario.calls if call.step == step][-1]
    cloud.injector.inject(Fault.THROTTLE, at_every_attempt(last), inf)
    cloud.settle()
    assert len(cloud.injector.injected) == TRIES[step]
    assert check_failed(cloud, "TransientError")["next_step"].startswith("Nothing is wrong with the file.")
    scenario.replay_publishes()


# --- the process of a function ends -----------------------------------------------------------------------------------


@survives("timeout, out of memory, os._exit in any step")
@pytest.mark.parametrize(("step", "crash"), sampled(STEPS, CRASHES, every=3))
def test_the_output_is_the_same_after_one_crash(scenario: Scenario, step: str, crash: str) -> None:
    cloud = scenario.again()
    cloud.functions[step] = crashing(step, crash, 1, when_done=True)
    cloud.settle()
    assert cloud.waits == [5]
    assert cloud.outputs() == scenario.outputs
    outcome_check.check(cloud)


@survives("timeout, out of memory, os._exit in any step")
@pytest.mark.parametrize(("step", "crash"), sampled(STEPS, CRASHES, every=3))
def test_a_second_crash_fails_the_execution(scenario: Scenario, step: str, crash: str) -> None:
    cloud = scenario.again()
    cloud.functions[step] = crashing(step, crash, inf, when_done=False)
    cloud.settle()
    assert cloud.invoked[step] == 2
    assert check_failed(cloud, crash)["cause"]
    scenario.replay_publishes()


# --- the data ---------------------------------------------------------------------------------------------------------


@survives("data error")
@pytest.mark.parametrize(("step", "error"), sampled(STEPS, DATA_ERRORS, every=3))
def test_data_errors_are_not_retried(scenario: Scenario, step: str, error: str) -> None:
    cloud = scenario.again()
    cloud.functions |= {**dict.fromkeys(STEPS, done_already), step: raising(error)}
    cloud.settle()
    assert (cloud.waits, cloud.invoked[step]) == ([], 1)
    record = check_failed(cloud, error)
    assert (record["cause"], record["next_step"]) == ("as it is", getattr(errors, error).next_step)


# --- after the commit -------------------------------------------------------------------------------------------------


@survives("write succeeded, response lost")
@pytest.mark.parametrize("error", ["Lambda.SdkClientException", "States.Timeout", "Runtime.ExitError"])
def test_a_retry_finds_a_commit_whose_response_was_lost(scenario: Scenario, error: str) -> None:
    cloud = scenario.again()
    cloud.functions["write"] = crashing("write", error, 1, when_done=True)
    cloud.settle()
    assert cloud.invoked["write"] == 2
    assert [execution.status for execution in cloud.executions] == ["SUCCEEDED"]
    assert cloud.outputs() == scenario.outputs
    assert len(cloud.notifications) == 1, "the notification of its reject"
    outcome_check.check(cloud)


@survives("a late failure after the commit")
@pytest.mark.parametrize("error", ["States.Timeout", "TransientError", "KeyError"])
def test_a_failure_after_the_commit_is_recorded_as_published(scenario: Scenario, error: str) -> None:
    cloud = scenario.again()
    cloud.functions["write"] = crashing("write", error, inf, when_done=True)
    cloud.settle()
    assert [(execution.status, execution.error) for execution in cloud.executions] == [("FAILED", error)]
    account = outcome_check.check(cloud)
    assert (len(account.published), account.failed) == (1, {}), "the manifest outranks the failure record"
    assert scenario.outputs.items() <= cloud.outputs().items()
    (notification,) = cloud.notifications
    assert "was published, but a step after that failed" in notification["subject"]
    assert "Next: No action is needed" in notification["message"]
