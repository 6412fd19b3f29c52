"""Executions that are ended from outside or die in their failure branch, and notices that cannot be sent."""

from collections.abc import Callable
from math import inf

import pytest

from tests.faults import files, ledger
from tests.faults.cloud import HANDLERS, TRIES_OF_AN_EVENT, Cloud
from tests.faults.executor import CRASHES, StoppedError
from tests.faults.inject import Call, Fault
from tests.faults.releases import crashing
from tests.faults.sampling import sampled
from tests.faults.table import survives
from tests.statemachine.definition_cases import TRIES

ENDINGS = ("TIMED_OUT", "ABORTED")

# --- ended from outside -----------------------------------------------------------------------------------------------


def stop_at(state: str, status: str) -> Callable[[str], None]:
    def before(entered: str) -> None:
        if entered == state:
            raise StoppedError(status)

    return before


@survives("execution times out or is aborted")
@pytest.mark.parametrize(
    ("state", "status"),
    sampled(["Validate", "Transform", "Write", "AnyRejects", "NotifyRejects", "Published"], ENDINGS, every=2),
)
def test_an_execution_that_is_ended_is_told_of_once(cloud: Cloud, state: str, status: str) -> None:
    """However often EventBridge delivers its event; the batch is published or not, and a replay completes it."""
    cloud.upload(files.mixed())
    cloud.deliver()
    cloud.run(before=stop_at(state, status))
    (event,) = cloud.status_changes
    for _ in range(3):
        assert cloud.tell(event)
    cloud.status_changes.clear()
    account = ledger.check(cloud)
    committed = state not in ("Validate", "Transform", "Write")
    assert (len(account.published), len(account.failed)) == ((1, 0) if committed else (0, 1))
    assert cloud.invoked["record_failure"] == 3
    cloud.replay(cloud.executions[0].name)
    cloud.settle()
    assert len(ledger.check(cloud).published) == 1


@survives("execution times out or is aborted")
@pytest.mark.parametrize(
    ("state", "status"), sampled(["DescribeFailure", "RecordFailure", "NotifyFailure", "Failed"], ENDINGS, every=2)
)
def test_a_failure_branch_that_is_ended_is_completed(cloud: Cloud, state: str, status: str) -> None:
    cloud.upload(files.hopeless())
    cloud.deliver()
    cloud.run(before=stop_at(state, status))
    cloud.settle()
    ((record,),) = ledger.check(cloud).failed.values()
    assert record["status"] == ("FAILED" if state in ("NotifyFailure", "Failed") else status)


# --- the notice -------------------------------------------------------------------------------------------------------


def publishes(call: Call) -> bool:
    return (call.step, call.operation) == ("state machine", "Publish")


@survives("notification fails")
@pytest.mark.parametrize(
    ("data", "fault"), [(files.hopeless(), Fault.FAIL), (files.mixed(), Fault.THROTTLE)], ids=["failure", "rejects"]
)
def test_a_notice_that_cannot_be_sent_is_sent_by_the_backstop(cloud: Cloud, data: bytes, fault: Fault) -> None:
    cloud.upload(data)
    cloud.deliver()
    cloud.injector.strike(fault, publishes, inf)
    cloud.run()
    assert cloud.waits == [2, 4, 8, 16, 32]
    assert (cloud.executions[0].status, cloud.notices) == ("FAILED", [])
    event = cloud.status_changes[0]
    cloud.settle()
    assert len(cloud.notices) == 1
    cloud.tell(event)
    ledger.check(cloud)


@survives("notification fails")
@pytest.mark.parametrize("data", [files.hopeless(), files.mixed()], ids=["failure", "rejects"])
def test_a_notice_that_fails_for_a_while_is_sent_once(cloud: Cloud, data: bytes) -> None:
    cloud.upload(data)
    cloud.injector.strike(Fault.THROTTLE, publishes, 5)
    cloud.settle()
    assert len(cloud.notices) == 1
    ledger.check(cloud)


# --- the record -------------------------------------------------------------------------------------------------------


@survives("transient fault past the last retry")
def test_a_record_that_cannot_be_written_for_long_is_written_when_it_can(cloud: Cloud) -> None:
    """The notice goes out without it, and EventBridge's event waits in the queue until somebody sends it back."""
    cloud.upload(files.hopeless())
    cloud.injector.strike(Fault.FAIL, lambda call: call.place.startswith("failures/"), inf)
    cloud.settle()
    assert cloud.invoked["record_failure"] == TRIES + TRIES_OF_AN_EVENT
    (notice,) = cloud.notices
    assert "its failure record could not be written" in notice["message"]
    assert len(cloud.queue) == 1
    cloud.injector.clear()
    cloud.send_back()
    ledger.check(cloud)
    assert cloud.notices == [notice]


@survives("timeout, out of memory, os._exit in any step")
@pytest.mark.parametrize(("times", "crash"), sampled([1, inf], CRASHES, every=2))
def test_where_the_record_crashes_somebody_is_told_all_the_same(cloud: Cloud, crash: str, times: float) -> None:
    cloud.upload(files.hopeless())
    cloud.functions["record_failure"] = crashing("record_failure", crash, times, when_done=True)
    cloud.settle()
    assert [execution.status for execution in cloud.executions] == ["FAILED"]
    assert len(cloud.queue) == (times == inf)
    cloud.functions = dict(HANDLERS)
    cloud.send_back()
    ledger.check(cloud)


@survives("data error")
@pytest.mark.parametrize(
    ("data", "error"), [(files.hopeless(), "NoValidRecordsError"), (files.empty(), "EmptyFileError")]
)
def test_a_file_that_is_no_good_is_tried_once(cloud: Cloud, data: bytes, error: str) -> None:
    cloud.upload(data)
    cloud.settle()
    assert (cloud.waits, {cloud.invoked[step] for step in ("validate", "transform", "write")}) == ([], {1})
    assert [execution.error for execution in cloud.executions] == [error]
    ((record,),) = ledger.check(cloud).failed.values()
    assert record["error"] == error
