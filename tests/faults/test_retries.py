"""Steps that fail for a while, for good, or when their work is done: retried by the definition, and told once."""

from math import inf
from typing import Any

import pytest

from functions.common import errors
from functions.common.errors import PipelineError, SourceNotVisibleError, TransientError
from tests.faults import ledger
from tests.faults.cloud import Cloud
from tests.faults.executor import CRASHES
from tests.faults.inject import Fault, at_each
from tests.faults.releases import crashing, done_already, raising
from tests.faults.sampling import sampled
from tests.faults.scenes import Scene
from tests.faults.table import survives
from tests.statemachine import definition as asl

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


def fails(cloud: Cloud, error: str) -> dict[str, Any]:
    """See that the only execution has failed so, with a record and one notice; the record."""
    assert [(execution.status, execution.error) for execution in cloud.executions] == [("FAILED", error)]
    ((record,),) = ledger.check(cloud).failed.values()
    assert (record["error"], record["published"], record["notified_by"]) == (error, False, "state_machine")
    assert len(cloud.notices) == 1
    return record


# --- AWS is not there -------------------------------------------------------------------------------------------------


@survives("transient fault 1…N−1 times in any step")
@pytest.mark.parametrize(("step", "times"), [(step, times) for step in STEPS for times in (1, TRIES[step] - 1)])
def test_a_fault_that_passes_leaves_no_trace(scene: Scene, step: str, times: int) -> None:
    cloud = scene.again()
    first = next(call for call in scene.calls if call.step == step)
    cloud.injector.strike(Fault.THROTTLE, at_each(first), times)
    cloud.settle()
    assert len(cloud.injector.struck) == len(cloud.waits) == times
    assert cloud.outputs() == scene.outputs
    ledger.check(cloud)


@survives("transient fault past the last retry")
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_that_lasts_is_told_and_a_replay_publishes(scene: Scene, step: str) -> None:
    cloud = scene.again()
    last = [call for call in scene.calls if call.step == step][-1]
    cloud.injector.strike(Fault.THROTTLE, at_each(last), inf)
    cloud.settle()
    assert len(cloud.injector.struck) == TRIES[step]
    assert fails(cloud, "TransientError")["next_step"].startswith("Nothing is wrong with the file.")
    scene.replay_publishes()


# --- a function's end -------------------------------------------------------------------------------------------------


@survives("timeout, out of memory, os._exit in any step")
@pytest.mark.parametrize(("step", "crash"), sampled(STEPS, CRASHES, every=3))
def test_a_crash_is_borne_once(scene: Scene, step: str, crash: str) -> None:
    cloud = scene.again()
    cloud.functions[step] = crashing(step, crash, 1, when_done=True)
    cloud.settle()
    assert cloud.waits == [5]
    assert cloud.outputs() == scene.outputs
    ledger.check(cloud)


@survives("timeout, out of memory, os._exit in any step")
@pytest.mark.parametrize(("step", "crash"), sampled(STEPS, CRASHES, every=3))
def test_a_second_crash_is_a_failure(scene: Scene, step: str, crash: str) -> None:
    cloud = scene.again()
    cloud.functions[step] = crashing(step, crash, inf, when_done=False)
    cloud.settle()
    assert cloud.invoked[step] == 2
    assert fails(cloud, crash)["cause"]
    scene.replay_publishes()


# --- the data ---------------------------------------------------------------------------------------------------------


@survives("data error")
@pytest.mark.parametrize(("step", "error"), sampled(STEPS, DATA_ERRORS, every=3))
def test_no_error_of_the_data_is_tried_again(scene: Scene, step: str, error: str) -> None:
    cloud = scene.again()
    cloud.functions |= {**dict.fromkeys(STEPS, done_already), step: raising(error)}
    cloud.settle()
    assert (cloud.waits, cloud.invoked[step]) == ([], 1)
    record = fails(cloud, error)
    assert (record["cause"], record["next_step"]) == ("as it is", getattr(errors, error).next_step)


# --- after the commit -------------------------------------------------------------------------------------------------


@survives("write succeeded, response lost")
@pytest.mark.parametrize("error", ["Lambda.SdkClientException", "States.Timeout", "Runtime.ExitError"])
def test_a_commit_whose_answer_is_lost_is_found_by_the_retry(scene: Scene, error: str) -> None:
    cloud = scene.again()
    cloud.functions["write"] = crashing("write", error, 1, when_done=True)
    cloud.settle()
    assert cloud.invoked["write"] == 2
    assert [execution.status for execution in cloud.executions] == ["SUCCEEDED"]
    assert cloud.outputs() == scene.outputs
    assert len(cloud.notices) == 1, "of its reject"
    ledger.check(cloud)


@survives("a late failure after the commit")
@pytest.mark.parametrize("error", ["States.Timeout", "TransientError", "KeyError"])
def test_a_failure_after_the_commit_leaves_the_batch_published_and_says_so(scene: Scene, error: str) -> None:
    cloud = scene.again()
    cloud.functions["write"] = crashing("write", error, inf, when_done=True)
    cloud.settle()
    assert [(execution.status, execution.error) for execution in cloud.executions] == [("FAILED", error)]
    account = ledger.check(cloud)
    assert (len(account.published), account.failed) == (1, {}), "the manifest outranks the failure record"
    assert scene.outputs.items() <= cloud.outputs().items()
    (notice,) = cloud.notices
    assert "was published, but a step after that failed" in notice["subject"]
    assert "Next: Nothing" in notice["message"]
