"""Whatever happens in whatever order: in the end every file is published or has failed, as its content says.

The rules are what producers, AWS and operators do; the model is what is in the files.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.faults import files, ledger
from tests.faults.cloud import HANDLERS, TRIES_OF_AN_EVENT, Cloud
from tests.faults.executor import StoppedError
from tests.faults.inject import Call, Fault
from tests.faults.table import survives
from tests.statemachine import definition as asl

CONTENTS: dict[Callable[[int], bytes], str] = {
    files.good: "ab",
    files.mixed: "abc",
    files.hopeless: "",
    files.empty: "",
}
"""Of each kind of file the orders that must be published; of none, the file must fail."""

any_one = st.integers(0, 99)
"""Which of those that there are."""


class AnyOrder(RuleBasedStateMachine):
    """A cloud to which anything can happen."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        cloud.begin()
        cloud.functions = dict(HANDLERS)
        self.cloud = cloud
        self.model: dict[str, set[str]] = {}
        """Of each version the orders that are to be published."""
        self.delivered: list[Any] = []
        self.told: list[Any] = []
        self.repeats = False
        """Whether a notice may have been sent twice, since its answer was lost."""

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
            times = TRIES_OF_AN_EVENT
            self.cloud.injector.strike(Fault.THROTTLE, lambda call: call.operation == "StartExecution", times)
        self.cloud.deliver(event)
        self.calm()

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
        self.calm()

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
    def tell(self, which: int) -> None:
        event = self.cloud.status_changes.pop(which % len(self.cloud.status_changes))
        self.told.append(event)
        self.cloud.tell(event)
        self.calm()

    @precondition(lambda self: self.told)
    @rule(which=any_one)
    def tell_again(self, which: int) -> None:
        self.cloud.tell(self.told[which % len(self.told)])

    @precondition(lambda self: self.cloud.status_changes)
    @rule(which=any_one)
    def lose_a_status_change(self, which: int) -> None:
        """The reconciler sees which failures nobody was told of."""
        name = self.cloud.status_changes.pop(which % len(self.cloud.status_changes))["detail"]["name"]
        self.cloud.reconcile()
        assert name in [event["detail"]["name"] for event in (*self.told, *self.cloud.status_changes)]

    # --- operators and schedules ---

    @precondition(lambda self: self.cloud.queue)
    @rule()
    def send_back(self) -> None:
        self.cloud.send_back()

    @rule()
    def reconcile(self) -> None:
        self.cloud.reconcile()
        self.calm()

    @precondition(lambda self: self.failed())
    @rule(which=any_one)
    def replay(self, which: int) -> None:
        self.cloud.replay(self.failed()[which % len(self.failed())])

    # --- faults of AWS ---

    @rule(
        what=st.sampled_from(["deliver", "run", "tell", "reconcile"]),
        which=any_one,
        number=st.integers(1, 60),
        fault=st.sampled_from(Fault),
        times=st.sampled_from([1, 2, inf]),
    )
    def with_a_fault(self, what: str, which: int, number: int, fault: Fault, times: float) -> None:
        """The `number`th call meets a fault, and so do the next ones of its step."""
        seen, step = 0, ""

        def where(call: Call) -> bool:
            nonlocal seen, step
            seen += 1
            step = call.step if seen == number else step
            return call.step == step and call.can(fault)

        self.cloud.injector.strike(fault, where, times)
        if what == "deliver" and self.cloud.events:
            self.deliver(which, throttled=False)
        elif what == "run" and self.cloud.running:
            self.run(which)
        elif what == "tell" and self.cloud.status_changes:
            self.tell(which)
        else:
            self.reconcile()

    # --- what must come of it ---

    def calm(self) -> None:
        """Let nothing be struck any more."""
        self.repeats |= any(
            call.operation == "Publish" or call.step == "record_failure" for call, _ in self.cloud.injector.struck
        )
        self.cloud.injector.clear()

    def failed(self) -> list[str]:
        """The batches that have neither a manifest nor an execution under way."""
        committed = {key.rpartition("/")[2].removesuffix(".json") for key in self.cloud.objects("manifests/")}
        batches = {name.partition("-replay-")[0] for name in (execution.name for execution in self.cloud.executions)}
        running = {name.partition("-replay-")[0] for name in self.cloud.running}
        return sorted(batches - running - committed)

    def teardown(self) -> None:
        """Mend everything that can be mended, and see that the model is what came out."""
        cloud = self.cloud
        self.calm()
        cloud.settle()
        cloud.reconcile()
        cloud.send_back()
        cloud.settle()
        for batch_id in self.failed():
            cloud.replay(batch_id)
        cloud.settle()
        account = ledger.check(cloud, notices_may_repeat=self.repeats)
        found = {version: self.published(manifest) for version, manifest in account.published.items()}
        assert found == {version: orders for version, orders in self.model.items() if orders}
        assert account.failed.keys() == {version for version, orders in self.model.items() if not orders}
        assert not account.waiting

    def published(self, manifest: dict[str, Any]) -> set[str]:
        """The orders of a batch, as its CSV has them."""
        lines = self.cloud.objects()[manifest["tables"]["orders"]["csv"]["key"]].decode().splitlines()
        return {line.partition(",")[0] for line in lines[1:]}


def play(cloud: Cloud, examples: int, steps: int) -> None:
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(lambda: AnyOrder(cloud), settings=chosen)


@survives("duplicate event, running or closed")
@survives("events out of order")
@survives("event never delivered")
def test_in_any_order_every_file_has_its_outcome(cloud: Cloud) -> None:
    play(cloud, examples=7, steps=20)


@pytest.mark.long
def test_in_any_order_for_long(cloud: Cloud) -> None:
    play(cloud, examples=100, steps=40)
