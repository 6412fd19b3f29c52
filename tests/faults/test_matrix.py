"""Every call of every step meets every fault once, and what comes out is the same to the byte.

The calls are those of a recorded run without faults. The tests that are not `long` take a sample by a fixed rule: of
calls that differ only in the object, of one kind, the first; and of each three kinds one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.faults import files, ledger
from tests.faults.cloud import Cloud, clouds
from tests.faults.executor import StoppedError
from tests.faults.inject import Call, Fault, at, one_of_each_kind
from tests.faults.releases import done_already


def run_into_the_time_limit(cloud: Cloud) -> None:
    """Run out of time before Write, so that EventBridge alone can tell of it."""

    def before(state: str) -> None:
        if state == "Write":
            raise StoppedError("TIMED_OUT")

    cloud.deliver()
    cloud.run(before=before)
    cloud.settle()


def forget_and_reconcile(cloud: Cloud) -> None:
    """Lose the event, so that the reconciler alone can start the file: what one run leaves undone, the next does."""
    cloud.events.clear()
    for _ in range(2):
        cloud.reconcile()
    cloud.settle()


@dataclass(frozen=True)
class Scene:
    """A file and what is done with it, in which some steps are struck."""

    data: bytes
    play: Callable[[Cloud], None]
    status: str
    steps: tuple[str, ...]
    staged: bool = False
    """Whether the chunks are done already, and only what comes after them is run."""


SCENES = {
    "published": Scene(files.mixed(), Cloud.settle, "SUCCEEDED", ("starter", "validate", "transform")),
    "staged": Scene(files.mixed(), Cloud.settle, "SUCCEEDED", ("write",), staged=True),
    "refused": Scene(files.hopeless(), Cloud.settle, "FAILED", ("record_failure",)),
    "forgotten": Scene(files.good(), forget_and_reconcile, "SUCCEEDED", ("reconciler",)),
    "timed out": Scene(files.good(), run_into_the_time_limit, "TIMED_OUT", ("record_failure",)),
}


@dataclass
class Played:
    """A scene that was played without faults."""

    scene: Scene
    cloud: Cloud
    calls: list[Call]
    outputs: dict[str, bytes]

    def again(self) -> Cloud:
        """The cloud as it was before the scene."""
        self.cloud.forget(*(("staging/",) if self.scene.staged else ()))
        if self.scene.staged:
            self.cloud.functions |= dict.fromkeys(("validate", "transform"), done_already)
        return self.cloud


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    scene = SCENES[request.param]
    with clouds(CHUNK_BYTES="2500") as cloud:  # two chunks
        cloud.upload(scene.data)
        scene.play(cloud)
        ledger.check(cloud)
        yield Played(scene, cloud, list(cloud.injector.calls), cloud.outputs())


def strike(played: Played, call: Call, fault: Fault) -> None:
    """Play the scene once more, with one fault in it."""
    cloud, what = played.again(), f"{call}: {fault}"
    cloud.injector.strike(fault, at(call))
    played.scene.play(cloud)
    assert [struck for struck, _ in cloud.injector.struck] == [call], f"{what}: the fault was not met"
    assert [execution.status for execution in cloud.executions] == [played.scene.status], what
    assert not cloud.queue, f"{what}: an event ended in the queue"
    outputs = cloud.outputs()
    assert outputs.keys() == played.outputs.keys(), what
    assert [key for key in outputs if outputs[key] != played.outputs[key]] == [], f"{what}: other bytes"
    try:
        ledger.check(cloud, notices_may_repeat=_comes_after_a_notice(played, call))
    except AssertionError as exc:
        raise AssertionError(f"{what}: {exc}") from exc


def _comes_after_a_notice(played: Played, call: Call) -> bool:
    """Whether the notice is on its way when the fault comes; then it is sent again rather than never."""
    published = next((i for i, made in enumerate(played.calls) if (made.step, made.operation) == _PUBLISH), None)
    return published is not None and played.calls.index(call) >= published


_PUBLISH = ("record_failure", "Publish")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each scene with its own steps."""
    if "step" in metafunc.fixturenames:
        cases = [(name, step) for name, scene in SCENES.items() for step in scene.steps]
        metafunc.parametrize(("played", "step"), cases, indirect=["played"], scope="module")


each_fault = pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())


def struck_in(played: Played, step: str, fault: Fault) -> list[Call]:
    """The calls of a step that can meet a fault."""
    return [call for call in played.calls if call.step == step and call.can(fault)]


@each_fault
def test_calls_of_each_kind_meet_the_fault(played: Played, step: str, fault: Fault) -> None:
    """Of each three kinds of calls one meets this fault, the next one the next fault."""
    place = list(Fault).index(fault)
    kinds = one_of_each_kind(struck_in(played, step, fault))
    for call in kinds[place % min(3, len(kinds) or 1) :: 3]:
        strike(played, call, fault)


@pytest.mark.long
@each_fault
def test_every_call_meets_the_fault(played: Played, step: str, fault: Fault) -> None:
    for call in struck_in(played, step, fault):
        strike(played, call, fault)
