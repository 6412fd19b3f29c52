"""Any events in any order: in the end every file is published or has failed, as its content requires.

The rules are the actions of producers, AWS and operators. The model is the content of the files.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.faults import order_files, outcome_check
from tests.faults.executor import StoppedError
from tests.faults.fault_injection import Call, Fault
from tests.faults.fault_table import survives
from tests.faults.simulated_cloud import ATTEMPTS_PER_EVENT, HANDLERS, Cloud
from tests.statemachine import definition as asl

pytestmark = pytest.mark.slow

CONTENTS: dict[Callable[[int], bytes], str] = {
    order_files.good: "ab",
    order_files.mixed: "abc",
    order_files.hopeless: "",
    order_files.empty: "",
}
"""The orders of each kind of file that must be published. A file without any must fail."""

any_one = st.integers(0, 99)
"""The index of an existing object, modulo their number."""


class AnyOrder(RuleBasedStateMachine):
    """A simulated AWS where anything can happen."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        cloud.begin()
        cloud.functions = dict(HANDLERS)
        self.cloud = cloud
        self.model: dict[str, set[str]] = {}
        """The orders of each version that must be published."""
        self.delivered: list[Any] = []
        self.reported: list[Any] = []
        self.repeats = False
        """Whether a notification may be sent twice because its response was lost."""

    # --- producers ---

    @rule(make=st.sampled_from(list(CONTENTS)), name=st.sampled_from(["x.jsonl", "y.jsonl"]))
    def upload_or_overwrite(self, make: Callable[[int], bytes], name: str) -> None:
        number = len(self.model)
        sent = self.cloud.upload(make(number), name)
        self.model[sent.version_id] = {f"{number}-{letter}" for letter in CONTENTS[make]}

    # --- S3 and Lambda ---

    @precondition(lambda self: self.cloud.events)
    @rule(which=any_one, throttled=st.booleans())
    def deliver(self, which: int, throttled: bool) -> None:
        event = self.cloud.events.pop(which % len(self.cloud.events))
        self.delivered.append(event)
        if throttled:
            times = ATTEMPTS_PER_EVENT
            self.cloud.injector.inject(Fault.THROTTLE, lambda call: call.operation == "StartExecution", times)
        self.cloud.deliver(event)
        self.stop_faults()

    @precondition(lambda self: self.delivered)
    @rule(which=any_one)
    def deliver_again(self, which: int) -> None:
        self.cloud.deliver(self.delivered[which % len(self.delivered)])

    @precondition(lambda self: self.cloud.events)
    @rule(which=any_one)
    def lose_an_event(self, which: int) -> None:
        self.cloud.events.pop(which % len(self.cloud.events))

    # --- Step Functions ---

    @precondition(lambda self: self.cloud.running)
    @rule(which=any_one)
    def run(self, which: int) -> None:
        self.cloud.run(self.cloud.running[which % len(self.cloud.running)])
        self.stop_faults()

    @precondition(lambda self: self.cloud.running)
    @rule(
        which=any_one,
        state=st.sampled_from(list(asl.states(asl.load()))),
        status=st.sampled_from(["TIMED_OUT", "ABORTED"]),
    )
    def end_from_outside(self, which: int, state: str, status: str) -> None:
        def before(entered: str) -> None:
            if entered == state:
                raise StoppedError(status)

        self.cloud.run(self.cloud.running[which % len(self.cloud.running)], before)

    # --- EventBridge ---

    @precondition(lambda self: self.cloud.status_changes)
    @rule(which=any_one)
    def report_status(self, which: int) -> None:
        event = self.cloud.status_changes.pop(which % len(self.cloud.status_changes))
        self.reported.append(event)
        self.cloud.report_status(event)
        self.stop_faults()

    @precondition(lambda self: self.reported)
    @rule(which=any_one)
    def report_status_again(self, which: int) -> None:
        self.cloud.report_status(self.reported[which % len(self.reported)])

    @precondition(lambda self: self.cloud.status_changes)
    @rule(which=any_one)
    def lose_a_status_change(self, which: int) -> None:
        """The reconciler finds failures without a notification."""
        name = self.cloud.status_changes.pop(which % len(self.cloud.status_changes))["detail"]["name"]
        self.cloud.reconcile()
        assert name in [event["detail"]["name"] for event in (*self.reported, *self.cloud.status_changes)]

    # --- operators and schedules ---

    @precondition(lambda self: self.cloud.queue)
    @rule()
    def send_back(self) -> None:
        self.cloud.send_back()

    @rule()
    def reconcile(self) -> None:
        self.cloud.reconcile()
        self.stop_faults()

    @precondition(lambda self: self.failed())
    @rule(which=any_one)
    def replay(self, which: int) -> None:
        self.cloud.replay(self.failed()[which % len(self.failed())])

    # --- faults of AWS ---

    @rule(
        what=st.sampled_from(["deliver", "run", "report_status", "reconcile"]),
        which=any_one,
        number=st.integers(1, 60),
        fault=st.sampled_from(Fault),
        times=st.sampled_from([1, 2, inf]),
    )
    def with_a_fault(self, what: str, which: int, number: int, fault: Fault, times: float) -> None:
        """The `number`th call meets a fault, and so do the following calls of its step."""
        seen, step = 0, ""

        def where(call: Call) -> bool:
            nonlocal seen, step
            seen += 1
            step = call.step if seen == number else step
            return call.step == step and call.can(fault)

        self.cloud.injector.inject(fault, where, times)
        if what == "deliver" and self.cloud.events:
            self.deliver(which, throttled=False)
        elif what == "run" and self.cloud.running:
            self.run(which)
        elif what == "report_status" and self.cloud.status_changes:
            self.report_status(which)
        else:
            self.reconcile()

    # --- the expected result ---

    def stop_faults(self) -> None:
        """Inject no more faults."""
        self.repeats |= any(
            call.operation == "Publish" or call.step == "record_failure" for call, _ in self.cloud.injector.injected
        )
        self.cloud.injector.clear()

    def failed(self) -> list[str]:
        """The batches that have neither a manifest nor a running execution."""
        committed = {key.rpartition("/")[2].removesuffix(".json") for key in self.cloud.objects("manifests/")}
        batches = {name.partition("-replay-")[0] for name in (execution.name for execution in self.cloud.executions)}
        running = {name.partition("-replay-")[0] for name in self.cloud.running}
        return sorted(batches - running - committed)

    def teardown(self) -> None:
        """Recover everything that can be recovered, and check that the result equals the model."""
        cloud = self.cloud
        self.stop_faults()
        cloud.settle()
        cloud.reconcile()
        cloud.send_back()
        cloud.settle()
        for batch_id in self.failed():
            cloud.replay(batch_id)
        cloud.settle()
        account = outcome_check.check(cloud, notifications_may_repeat=self.repeats)
        found = {version: self.published(manifest) for version, manifest in account.published.items()}
        assert found == {version: orders for version, orders in self.model.items() if orders}
        assert account.failed.keys() == {version for version, orders in self.model.items() if not orders}
        assert not account.waiting

    def published(self, manifest: dict[str, Any]) -> set[str]:
        """The orders of a batch, as in its CSV."""
        lines = self.cloud.objects()[manifest["tables"]["orders"]["csv"]["key"]].decode().splitlines()
        return {line.partition(",")[0] for line in lines[1:]}


def play(cloud: Cloud, examples: int, steps: int) -> None:
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(lambda: AnyOrder(cloud), settings=chosen)


@survives("duplicate event, running or closed")
@survives("events out of order")
@survives("event never delivered")
def test_every_file_has_its_outcome_after_events_in_any_order(cloud: Cloud) -> None:
    play(cloud, examples=7, steps=20)


@pytest.mark.long
def test_every_file_has_its_outcome_after_many_events_in_any_order(cloud: Cloud) -> None:
    play(cloud, examples=100, steps=40)
