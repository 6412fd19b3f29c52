"""Executions that end from outside or fail in their failure branch, and notifications that cannot be sent."""

from collections.abc import Callable
from math import inf

import pytest

from tests.faults import order_files, outcome_check
from tests.faults.executor import CRASHES, StoppedError
from tests.faults.fault_injection import Call, Fault
from tests.faults.fault_table import survives
from tests.faults.faulty_releases import crashing
from tests.faults.sampling import sampled
from tests.faults.simulated_cloud import ATTEMPTS_PER_EVENT, HANDLERS, Cloud
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
def test_an_execution_that_is_ended_from_outside_is_notified_once(cloud: Cloud, state: str, status: str) -> None:
    """EventBridge may deliver its event several times. The batch is published or not, and a replay completes it."""
    cloud.upload(order_files.mixed())
    cloud.deliver()
    cloud.run(before=stop_at(state, status))
    (event,) = cloud.status_changes
    for _ in range(3):
        assert cloud.report_status(event)
    cloud.status_changes.clear()
    account = outcome_check.check(cloud)
    committed = state not in ("Validate", "Transform", "Write")
    assert (len(account.published), len(account.failed)) == ((1, 0) if committed else (0, 1))
    assert cloud.invoked["record_failure"] == 3
    cloud.replay(cloud.executions[0].name)
    cloud.settle()
    assert len(outcome_check.check(cloud).published) == 1


@survives("execution times out or is aborted")
@pytest.mark.parametrize(
    ("state", "status"), sampled(["DescribeFailure", "RecordFailure", "NotifyFailure", "Failed"], ENDINGS, every=2)
)
def test_a_failure_branch_that_is_ended_from_outside_is_completed(cloud: Cloud, state: str, status: str) -> None:
    cloud.upload(order_files.hopeless())
    cloud.deliver()
    cloud.run(before=stop_at(state, status))
    cloud.settle()
    ((record,),) = outcome_check.check(cloud).failed.values()
    assert record["status"] == ("FAILED" if state in ("NotifyFailure", "Failed") else status)


# --- the notification -------------------------------------------------------------------------------------------------


def publishes(call: Call) -> bool:
    return (call.step, call.operation) == ("state machine", "Publish")


@survives("notification fails")
@pytest.mark.parametrize(
    ("data", "fault"),
    [(order_files.hopeless(), Fault.FAIL), (order_files.mixed(), Fault.THROTTLE)],
    ids=["failure", "rejects"],
)
def test_a_notification_that_cannot_be_sent_is_sent_by_the_backstop(cloud: Cloud, data: bytes, fault: Fault) -> None:
    cloud.upload(data)
    cloud.deliver()
    cloud.injector.inject(fault, publishes, inf)
    cloud.run()
    assert cloud.waits == [2, 4, 8, 16, 32]
    assert (cloud.executions[0].status, cloud.notifications) == ("FAILED", [])
    event = cloud.status_changes[0]
    cloud.settle()
    assert len(cloud.notifications) == 1
    cloud.report_status(event)
    outcome_check.check(cloud)


@survives("notification fails")
@pytest.mark.parametrize("data", [order_files.hopeless(), order_files.mixed()], ids=["failure", "rejects"])
def test_a_notification_that_fails_temporarily_is_sent_once(cloud: Cloud, data: bytes) -> None:
    cloud.upload(data)
    cloud.injector.inject(Fault.THROTTLE, publishes, 5)
    cloud.settle()
    assert len(cloud.notifications) == 1
    outcome_check.check(cloud)


# --- the record -------------------------------------------------------------------------------------------------------


@survives("transient fault past the last retry")
def test_a_failure_record_that_cannot_be_written_is_written_after_its_event_is_sent_back(cloud: Cloud) -> None:
    """The notification goes out without it, and EventBridge's event waits in the queue until somebody sends it back."""
    cloud.upload(order_files.hopeless())
    cloud.injector.inject(Fault.FAIL, lambda call: call.place.startswith("failures/"), inf)
    cloud.settle()
    assert cloud.invoked["record_failure"] == TRIES + ATTEMPTS_PER_EVENT
    (notification,) = cloud.notifications
    assert "its failure record could not be written" in notification["message"]
    assert len(cloud.queue) == 1
    cloud.injector.clear()
    cloud.send_back()
    outcome_check.check(cloud)
    assert cloud.notifications == [notification]


@survives("timeout, out of memory, os._exit in any step")
@pytest.mark.parametrize(("times", "crash"), sampled([1, inf], CRASHES, every=2))
def test_a_notification_is_sent_if_record_failure_crashes(cloud: Cloud, crash: str, times: float) -> None:
    cloud.upload(order_files.hopeless())
    cloud.functions["record_failure"] = crashing("record_failure", crash, times, when_done=True)
    cloud.settle()
    assert [execution.status for execution in cloud.executions] == ["FAILED"]
    assert len(cloud.queue) == (times == inf)
    cloud.functions = dict(HANDLERS)
    cloud.send_back()
    outcome_check.check(cloud)


@survives("data error")
@pytest.mark.parametrize(
    ("data", "error"), [(order_files.hopeless(), "NoValidRecordsError"), (order_files.empty(), "EmptyFileError")]
)
def test_a_file_without_valid_records_is_tried_once(cloud: Cloud, data: bytes, error: str) -> None:
    cloud.upload(data)
    cloud.settle()
    assert (cloud.waits, {cloud.invoked[step] for step in ("validate", "transform", "write")}) == ([], {1})
    assert [execution.error for execution in cloud.executions] == [error]
    ((record,),) = outcome_check.check(cloud).failed.values()
    assert record["error"] == error
