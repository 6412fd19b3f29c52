"""Every call of every step meets every fault once, and what comes out is the same to the byte.

The calls are those of a recorded run without faults. The tests that are not `long` take a sample by a fixed rule: of
calls that differ only in the object, of one kind, the first; of three kinds one; and of two faults of a step one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
class Play:
    """A file and what is done with it, in which some steps are struck."""

    data: bytes
    run: Callable[[Cloud], None]
    status: str
    steps: tuple[str, ...]
    staged: bool = False
    """Whether the chunks are done already, and only what comes after them is run."""


PLAYS = {
    "published": Play(files.mixed(), Cloud.settle, "SUCCEEDED", ("starter", "validate", "transform")),
    "staged": Play(files.mixed(), Cloud.settle, "SUCCEEDED", ("write",), staged=True),
    "refused": Play(files.hopeless(), Cloud.settle, "FAILED", ("record_failure",)),
    "forgotten": Play(files.good(), forget_and_reconcile, "SUCCEEDED", ("reconciler",)),
    "timed out": Play(files.good(), run_into_the_time_limit, "TIMED_OUT", ("record_failure",)),
}


@dataclass
class Played:
    """A play without faults."""

    play: Play
    cloud: Cloud
    calls: list[Call]
    outputs: dict[str, bytes]

    def again(self) -> Cloud:
        """The cloud as it was before the play."""
        self.cloud.forget(*(("staging/",) if self.play.staged else ()))
        if self.play.staged:
            self.cloud.functions |= dict.fromkeys(("validate", "transform"), done_already)
        return self.cloud


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    play = PLAYS[request.param]
    with clouds(CHUNK_BYTES="2500") as cloud:  # two chunks
        cloud.upload(play.data)
        play.run(cloud)
        ledger.check(cloud)
        yield Played(play, cloud, list(cloud.injector.calls), cloud.outputs())


def strike(played: Played, call: Call, fault: Fault) -> None:
    """The same once more, with one fault in it."""
    cloud, what = played.again(), f"{call}: {fault}"
    cloud.injector.strike(fault, at(call))
    played.play.run(cloud)
    assert [struck for struck, _ in cloud.injector.struck] == [call], f"{what}: the fault was not met"
    assert [execution.status for execution in cloud.executions] == [played.play.status], what
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


CASES = [(name, step) for name, played in PLAYS.items() for step in played.steps]
"""Each play with the steps that are struck in it."""


def with_each_fault(every: int) -> Any:
    """Every case with every fault; all but every `every`th are marked `long`."""
    return pytest.mark.parametrize(
        ("played", "step", "fault"),
        [
            pytest.param(*case, fault, marks=[pytest.mark.long] if (row + column) % every else [], id=_id(*case, fault))
            for row, case in enumerate(CASES)
            for column, fault in enumerate(Fault)
        ],
        indirect=["played"],
        scope="module",
    )


def _id(name: str, step: str, fault: Fault) -> str:
    return f"{name}-{step}-{fault.name.lower()}"


def struck_in(played: Played, step: str, fault: Fault) -> list[Call]:
    """The calls of a step that can meet a fault."""
    return [call for call in played.calls if call.step == step and call.can(fault)]


@with_each_fault(every=2)
def test_calls_of_each_kind_meet_the_fault(played: Played, step: str, fault: Fault) -> None:
    """Every third kind of calls, beginning with another one for each fault."""
    kinds = one_of_each_kind(struck_in(played, step, fault))
    for call in kinds[list(Fault).index(fault) % min(3, len(kinds) or 1) :: 3]:
        strike(played, call, fault)


@pytest.mark.long
@with_each_fault(every=1)
def test_every_call_meets_the_fault(played: Played, step: str, fault: Fault) -> None:
    for call in struck_in(played, step, fault):
        strike(played, call, fault)
