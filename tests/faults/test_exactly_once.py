"""Events are delivered twice, late, out of order or never, and the starter crashes: each version starts once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.faults import order_files, outcome_check
from tests.faults.fault_injection import Call, Fault
from tests.faults.fault_table import survives
from tests.faults.simulated_cloud import ATTEMPTS_PER_EVENT, Cloud

TIMES = 10


def starts_executions(call: Call) -> bool:
    return call.operation == "StartExecution"


def order_of(manifest: dict[str, Any]) -> tuple[str, str, str]:
    """Readers order batches by this. The highest is current."""
    return manifest["ingested_at"], manifest["source"]["sequencer"], manifest["batch_id"]


# --- twice ------------------------------------------------------------------------------------------------------------


@survives("duplicate event, running or closed")
def test_an_event_that_is_delivered_ten_times_starts_one_execution(cloud: Cloud) -> None:
    cloud.upload(order_files.mixed())
    (event,) = cloud.events
    with ThreadPoolExecutor(TIMES) as pool, cloud.injector.during("starter"):
        results = list(pool.map(cloud.functions["starter"], [event] * TIMES))
    assert all(sum(result.values()) == 1 for result in results)
    assert sum(result["started"] for result in results) == 1, (
        "the other events are duplicates, even while the first execution runs"
    )
    cloud.settle()
    assert len(cloud.executions) == 1
    assert len(outcome_check.check(cloud).published) == 1


@survives("duplicate event, running or closed")
@pytest.mark.parametrize("data", [order_files.mixed(), order_files.hopeless()], ids=["published", "failed"])
def test_an_event_that_is_delivered_again_after_the_batch_ended_starts_nothing(cloud: Cloud, data: bytes) -> None:
    cloud.upload(data)
    (event,) = cloud.events
    cloud.deliver()
    cloud.deliver(event)
    cloud.settle()
    outputs, notifications, writes = cloud.outputs(), cloud.notifications, cloud.invoked["write"]
    for _ in range(TIMES):
        assert cloud.deliver(event), "an event of a started batch isn't an error"
    assert not cloud.running
    assert (cloud.outputs(), cloud.notifications, cloud.invoked["write"]) == (outputs, notifications, writes)
    outcome_check.check(cloud)


# --- several versions of a key ----------------------------------------------------------------------------------------


@survives("same key, new version")
@pytest.mark.parametrize("state", ["PlanChunks", "Validate", "Transform", "Write", "AnyRejects"])
def test_a_key_that_is_overwritten_during_an_execution_makes_two_batches(cloud: Cloud, state: str) -> None:
    """Every later step reads the version of its execution."""

    def overwrite(entered: str) -> None:
        if entered == state and len(cloud.uploads) == 1:
            cloud.upload(order_files.good(2))

    first = cloud.upload(order_files.mixed(1))
    cloud.deliver()
    cloud.run(before=overwrite)
    cloud.settle()
    second = cloud.uploads[1]
    published = outcome_check.check(cloud).published
    assert first.key == second.key
    assert [published[sent.version_id]["counts"]["published"] for sent in (first, second)] == [3, 2]


@survives("same key, new version")
@survives("events out of order")
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_versions_keep_their_order_if_their_events_arrive_in_any_order(cloud: Cloud, order: tuple[int, ...]) -> None:
    """All are processed. In the order that readers use, the newest version is the current one."""
    sent = [cloud.upload(order_files.good(number)) for number in range(3)]
    events, cloud.events = cloud.events, []
    for number in order:
        cloud.deliver(events[number])
        cloud.run()
    published = outcome_check.check(cloud).published
    orders = [order_of(published[each.version_id]) for each in sent]
    assert orders == sorted(orders)
    assert max(published.values(), key=order_of) == published[sent[-1].version_id]


# --- never ------------------------------------------------------------------------------------------------------------


@survives("event never delivered")
def test_the_reconciler_starts_a_version_whose_event_is_lost(cloud: Cloud) -> None:
    cloud.upload(order_files.mixed())
    late = cloud.events.pop()
    with pytest.raises(AssertionError, match="neither published nor failed nor waiting"):
        outcome_check.check(cloud)
    assert cloud.reconcile()
    cloud.settle()
    assert len(outcome_check.check(cloud).published) == 1
    cloud.deliver(late)
    assert cloud.reconcile()
    assert not cloud.running, "the late event must start nothing"


@survives("event never delivered")
def test_the_reconciler_does_not_start_a_running_or_finished_batch_again(cloud: Cloud) -> None:
    cloud.upload(order_files.good())
    cloud.deliver()
    assert cloud.reconcile()
    cloud.settle()
    assert cloud.reconcile()
    assert (len(cloud.executions), cloud.running) == (1, [])


# --- the starter crashes, or is throttled -----------------------------------------------------------------------------


@survives("starter dies before or after StartExecution")
@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.LOSE_RESPONSE])
@pytest.mark.parametrize("times", range(1, ATTEMPTS_PER_EVENT))
def test_a_starter_that_crashes_at_startexecution_is_retried_with_the_same_name(
    cloud: Cloud, fault: Fault, times: int
) -> None:
    cloud.injector.inject(fault, starts_executions, times)
    cloud.upload(order_files.good())
    assert cloud.deliver()
    assert cloud.invoked["starter"] == 1 + times
    assert len(cloud.running) == 1
    cloud.settle()
    outcome_check.check(cloud)


@survives("StartExecution throttled for a long time")
def test_an_event_whose_start_stays_throttled_waits_in_the_queue_until_it_is_sent_back(cloud: Cloud) -> None:
    sent = cloud.upload(order_files.good())
    cloud.injector.inject(Fault.THROTTLE, starts_executions, ATTEMPTS_PER_EVENT)
    assert not cloud.deliver()
    assert not cloud.running
    assert outcome_check.check(cloud).waiting == {sent.version_id}, "its event must not be lost"
    (waiting,) = cloud.queue
    assert waiting["responsePayload"]["errorType"] == "TransientError"
    cloud.send_back()
    cloud.settle()
    assert outcome_check.check(cloud).published.keys() == {sent.version_id}


@survives("StartExecution throttled for a long time")
def test_an_event_with_several_files_is_sent_back_as_a_whole(cloud: Cloud) -> None:
    """The first of three was started. When the event returns for the others, it must not start again."""
    for number in range(3):
        cloud.upload(order_files.good(number))
    records = [event["Records"][0] for event in cloud.events]
    cloud.events.clear()
    started = iter([False, *[True] * TIMES])
    cloud.injector.inject(Fault.THROTTLE, lambda call: starts_executions(call) and next(started), ATTEMPTS_PER_EVENT)
    assert not cloud.deliver({"Records": records})
    assert len(cloud.running) == 1
    assert len(cloud.queue) == 1
    cloud.send_back()
    assert len(cloud.running) == 3
    cloud.settle()
    assert len(outcome_check.check(cloud).published) == 3
