"""Events come twice, late, out of order or never, and their starter dies: each version is started once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.faults import files, ledger
from tests.faults.cloud import TRIES_OF_AN_EVENT, Cloud
from tests.faults.inject import Call, Fault
from tests.faults.table import survives

TIMES = 10


def starts_executions(call: Call) -> bool:
    return call.operation == "StartExecution"


def order_of(manifest: dict[str, Any]) -> tuple[str, str, str]:
    """What readers order batches by: the latest is current."""
    return manifest["ingested_at"], manifest["source"]["sequencer"], manifest["batch_id"]


# --- twice ------------------------------------------------------------------------------------------------------------


@survives("duplicate event, running or closed")
def test_an_event_that_comes_ten_times_at_once_starts_one_execution(cloud: Cloud) -> None:
    cloud.upload(files.mixed())
    (event,) = cloud.events
    with ThreadPoolExecutor(TIMES) as pool, cloud.injector.during("starter"):
        answers = list(pool.map(cloud.functions["starter"], [event] * TIMES))
    assert all(sum(answer.values()) == 1 for answer in answers)
    assert sum(answer["started"] for answer in answers) == 1, "the others are duplicates, though the first still runs"
    cloud.settle()
    assert len(cloud.executions) == 1
    assert len(ledger.check(cloud).published) == 1


@survives("duplicate event, running or closed")
@pytest.mark.parametrize("data", [files.mixed(), files.hopeless()], ids=["published", "failed"])
def test_an_event_that_comes_again_later_starts_nothing(cloud: Cloud, data: bytes) -> None:
    cloud.upload(data)
    (event,) = cloud.events
    cloud.deliver()
    cloud.deliver(event)
    cloud.settle()
    outputs, notices, writes = cloud.outputs(), cloud.notices, cloud.invoked["write"]
    for _ in range(TIMES):
        assert cloud.deliver(event), "an event of a batch that was started is no error"
    assert not cloud.running
    assert (cloud.outputs(), cloud.notices, cloud.invoked["write"]) == (outputs, notices, writes)
    ledger.check(cloud)


# --- several versions of a key ----------------------------------------------------------------------------------------


@survives("same key, new version")
@pytest.mark.parametrize("state", ["PlanChunks", "Validate", "Transform", "Write", "AnyRejects"])
def test_a_key_that_is_overwritten_in_flight_makes_two_batches(cloud: Cloud, state: str) -> None:
    """Whatever step comes next, it reads the version that the execution is of."""

    def overwrite(entered: str) -> None:
        if entered == state and len(cloud.uploads) == 1:
            cloud.upload(files.good(2))

    first = cloud.upload(files.mixed(1))
    cloud.deliver()
    cloud.run(before=overwrite)
    cloud.settle()
    second = cloud.uploads[1]
    published = ledger.check(cloud).published
    assert first.key == second.key
    assert [published[sent.version_id]["counts"]["published"] for sent in (first, second)] == [3, 2]


@survives("same key, new version")
@survives("events out of order")
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_versions_whose_events_come_in_any_order_keep_their_own(cloud: Cloud, order: tuple[int, ...]) -> None:
    """All are processed, and by what readers order them by, the newest version is the current one."""
    sent = [cloud.upload(files.good(number)) for number in range(3)]
    events, cloud.events = cloud.events, []
    for number in order:
        cloud.deliver(events[number])
        cloud.run()
    published = ledger.check(cloud).published
    orders = [order_of(published[each.version_id]) for each in sent]
    assert orders == sorted(orders)
    assert max(published.values(), key=order_of) == published[sent[-1].version_id]


# --- never ------------------------------------------------------------------------------------------------------------


@survives("event never delivered")
def test_a_version_whose_event_never_comes_is_started_by_the_reconciler(cloud: Cloud) -> None:
    cloud.upload(files.mixed())
    late = cloud.events.pop()
    with pytest.raises(AssertionError, match="neither published nor failed nor waiting"):
        ledger.check(cloud)
    assert cloud.reconcile()
    cloud.settle()
    assert len(ledger.check(cloud).published) == 1
    cloud.deliver(late)
    assert cloud.reconcile()
    assert not cloud.running, "the event that comes after all starts nothing"


@survives("event never delivered")
def test_the_reconciler_starts_nothing_that_is_running_or_done(cloud: Cloud) -> None:
    cloud.upload(files.good())
    cloud.deliver()
    assert cloud.reconcile()
    cloud.settle()
    assert cloud.reconcile()
    assert (len(cloud.executions), cloud.running) == (1, [])


# --- the starter dies, or is throttled --------------------------------------------------------------------------------


@survives("starter dies before or after StartExecution")
@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.LOSE_ANSWER])
@pytest.mark.parametrize("times", range(1, TRIES_OF_AN_EVENT))
def test_a_starter_that_dies_at_its_start_is_tried_again_under_the_same_name(
    cloud: Cloud, fault: Fault, times: int
) -> None:
    cloud.injector.strike(fault, starts_executions, times)
    cloud.upload(files.good())
    assert cloud.deliver()
    assert cloud.invoked["starter"] == 1 + times
    assert len(cloud.running) == 1
    cloud.settle()
    ledger.check(cloud)


@survives("StartExecution throttled for long")
def test_what_stays_throttled_waits_in_the_queue_and_is_sent_back(cloud: Cloud) -> None:
    sent = cloud.upload(files.good())
    cloud.injector.strike(Fault.THROTTLE, starts_executions, TRIES_OF_AN_EVENT)
    assert not cloud.deliver()
    assert not cloud.running
    assert ledger.check(cloud).waiting == {sent.version_id}, "its event must not be lost"
    (waiting,) = cloud.queue
    assert waiting["responsePayload"]["errorType"] == "TransientError"
    cloud.send_back()
    cloud.settle()
    assert ledger.check(cloud).published.keys() == {sent.version_id}


@survives("StartExecution throttled for long")
def test_of_an_event_of_several_files_the_whole_is_sent_back(cloud: Cloud) -> None:
    """The first of three was started: that the event comes back for the others starts it no second time."""
    for number in range(3):
        cloud.upload(files.good(number))
    records = [event["Records"][0] for event in cloud.events]
    cloud.events.clear()
    started = iter([False, *[True] * TIMES])
    cloud.injector.strike(Fault.THROTTLE, lambda call: starts_executions(call) and next(started), TRIES_OF_AN_EVENT)
    assert not cloud.deliver({"Records": records})
    assert len(cloud.running) == 1
    assert len(cloud.queue) == 1
    cloud.send_back()
    assert len(cloud.running) == 3
    cloud.settle()
    assert len(ledger.check(cloud).published) == 3
