"""Inject every fault into every call of every step. The output must be the same, byte by byte.

The calls are those of a recorded run without faults. Tests that are not `long` take a deterministic sample: the first
call of each kind, every third kind, and every second fault of a step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults import order_files, outcome_check
from tests.faults.executor import StoppedError
from tests.faults.fault_injection import Call, Fault, at_call, one_of_each_kind
from tests.faults.faulty_releases import done_already
from tests.faults.simulated_cloud import Cloud, clouds

pytestmark = pytest.mark.slow


def run_into_the_time_limit(cloud: Cloud) -> None:
    """Time out before Write. Only EventBridge can report this."""

    def before(state: str) -> None:
        if state == "Write":
            raise StoppedError("TIMED_OUT")

    cloud.deliver()
    cloud.run(before=before)
    cloud.settle()


def forget_and_reconcile(cloud: Cloud) -> None:
    """Lose the event, so that only the reconciler can start the file. Its second run completes the first."""
    cloud.events.clear()
    for _ in range(2):
        cloud.reconcile()
    cloud.settle()


@dataclass(frozen=True)
class FaultScenario:
    """A file and the actions on it. Faults are injected into some of the steps."""

    data: bytes
    run: Callable[[Cloud], None]
    status: str
    steps: tuple[str, ...]
    staged: bool = False
    """Whether the chunks are already processed, so that only the later steps run."""


SCENARIOS = {
    "published": FaultScenario(order_files.mixed(), Cloud.settle, "SUCCEEDED", ("starter", "validate", "transform")),
    "staged": FaultScenario(order_files.mixed(), Cloud.settle, "SUCCEEDED", ("write",), staged=True),
    "refused": FaultScenario(order_files.hopeless(), Cloud.settle, "FAILED", ("record_failure",)),
    "forgotten": FaultScenario(order_files.good(), forget_and_reconcile, "SUCCEEDED", ("reconciler",)),
    "timed out": FaultScenario(order_files.good(), run_into_the_time_limit, "TIMED_OUT", ("record_failure",)),
}


@dataclass
class RecordedScenario:
    """A recorded scenario without faults."""

    scenario: FaultScenario
    cloud: Cloud
    calls: list[Call]
    outputs: dict[str, bytes]

    def again(self) -> Cloud:
        """The cloud as it was before the scenario."""
        self.cloud.forget(*(("staging/",) if self.scenario.staged else ()))
        if self.scenario.staged:
            self.cloud.functions |= dict.fromkeys(("validate", "transform"), done_already)
        return self.cloud


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Iterator[RecordedScenario]:
    scenario = SCENARIOS[request.param]
    with clouds(CHUNK_BYTES="2500") as cloud:  # two chunks
        cloud.upload(scenario.data)
        scenario.run(cloud)
        outcome_check.check(cloud)
        yield RecordedScenario(scenario, cloud, list(cloud.injector.calls), cloud.outputs())


def run_with_fault(recorded: RecordedScenario, call: Call, fault: Fault) -> None:
    """Run the scenario again with one fault."""
    cloud, what = recorded.again(), f"{call}: {fault}"
    cloud.injector.inject(fault, at_call(call))
    recorded.scenario.run(cloud)
    assert [faulty for faulty, _ in cloud.injector.injected] == [call], f"{what}: the fault was not injected"
    assert [execution.status for execution in cloud.executions] == [recorded.scenario.status], what
    assert not cloud.queue, f"{what}: an event ended in the queue"
    outputs = cloud.outputs()
    assert outputs.keys() == recorded.outputs.keys(), what
    assert [key for key in outputs if outputs[key] != recorded.outputs[key]] == [], f"{what}: other content"
    try:
        outcome_check.check(cloud, notifications_may_repeat=_may_repeat_notification(recorded, call))
    except AssertionError as exc:
        raise AssertionError(f"{what}: {exc}") from exc


def _may_repeat_notification(recorded: RecordedScenario, call: Call) -> bool:
    """Whether the fault occurs when the notification is already sent or under way. Then it may be sent again."""
    published = next((i for i, made in enumerate(recorded.calls) if (made.step, made.operation) == _PUBLISH), None)
    return published is not None and recorded.calls.index(call) >= published


_PUBLISH = ("record_failure", "Publish")


CASES = [(name, step) for name, recorded in SCENARIOS.items() for step in recorded.steps]
"""Each scenario with the steps into which faults are injected."""


def with_each_fault(every: int) -> Any:
    """Every case with every fault. All but every `every`th are marked `long`."""
    return pytest.mark.parametrize(
        ("recorded", "step", "fault"),
        [
            pytest.param(*case, fault, marks=[pytest.mark.long] if (row + column) % every else [], id=_id(*case, fault))
            for row, case in enumerate(CASES)
            for column, fault in enumerate(Fault)
        ],
        indirect=["recorded"],
        scope="module",
    )


def _id(name: str, step: str, fault: Fault) -> str:
    return f"{name}-{step}-{fault.name.lower()}"


def calls_for(recorded: RecordedScenario, step: str, fault: Fault) -> list[Call]:
    """The calls of a step that can meet a fault."""
    return [call for call in recorded.calls if call.step == step and call.can(fault)]


@with_each_fault(every=2)
def test_a_fault_in_a_call_of_each_kind_leaves_the_output_the_same(
    recorded: RecordedScenario, step: str, fault: Fault
) -> None:
    """Every third kind of calls, with a different first one for each fault."""
    kinds = one_of_each_kind(calls_for(recorded, step, fault))
    for call in kinds[list(Fault).index(fault) % min(3, len(kinds) or 1) :: 3]:
        run_with_fault(recorded, call, fault)


@pytest.mark.long
@with_each_fault(every=1)
def test_a_fault_in_any_call_leaves_the_output_the_same(recorded: RecordedScenario, step: str, fault: Fault) -> None:
    for call in calls_for(recorded, step, fault):
        run_with_fault(recorded, call, fault)
