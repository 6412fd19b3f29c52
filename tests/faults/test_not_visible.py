"""S3 returns 404 for objects that are there, as it may in the first 15 minutes of a bucket's versioning."""

from collections import Counter
from collections.abc import Callable
from math import inf

import pytest
from botocore.exceptions import ClientError

from functions.common.errors import SourceNotVisibleError
from tests.faults import ledger
from tests.faults.cloud import Cloud
from tests.faults.inject import Call
from tests.faults.scenes import Scene
from tests.faults.table import survives
from tests.statemachine import definition as asl

NOT_VISIBLE = SourceNotVisibleError.__name__
WAITS = next(
    list(asl.waits(retrier))
    for retrier in asl.tasks(asl.load())["Validate"]["Retry"]
    if NOT_VISIBLE in retrier["ErrorEquals"]
)


def hide(cloud: Cloud, times: float, where: Callable[[Call], bool]) -> None:
    """Let S3 not return an object, the first `times` times that a step asks for it."""
    asked: Counter[str] = Counter()

    def before(call: Call) -> None:
        if call.operation in ("GetObject", "HeadObject") and where(call):
            asked[call.place] += 1
            if asked[call.place] <= times:
                raise ClientError(
                    {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}},  # type: ignore[typeddict-item]
                    call.operation,
                )

    cloud.injector.before = before


def is_source(step: str) -> Callable[[Call], bool]:
    return lambda call: call.step == step and call.place.startswith("incoming/")


@survives("a new object is not visible yet")
@pytest.mark.parametrize("step", ["validate", "write"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_source_that_becomes_visible_leaves_no_trace(scene: Scene, step: str, times: int) -> None:
    cloud = scene.again()
    hide(cloud, times, is_source(step))
    cloud.settle()
    assert cloud.waits == WAITS[:times]
    assert cloud.outputs() == scene.outputs
    ledger.check(cloud)


@survives("a new object is not visible yet")
@pytest.mark.parametrize("step", ["transform", "write"])
def test_staging_that_becomes_visible_leaves_no_trace(scene: Scene, step: str) -> None:
    cloud = scene.again()
    hide(cloud, 1, lambda call: call.step == step and call.place.startswith("staging/"))
    cloud.settle()
    assert cloud.waits
    assert cloud.outputs() == scene.outputs
    ledger.check(cloud)


@survives("a new object is not visible yet")
def test_a_version_that_the_starter_does_not_see_is_started_from_its_event(scene: Scene) -> None:
    cloud = scene.again()
    hide(cloud, inf, is_source("starter"))
    cloud.settle()
    assert len(ledger.check(cloud).published) == 1


@survives("a new object is not visible yet")
@pytest.mark.parametrize("step", ["validate", "write"])
def test_a_source_that_stays_invisible_is_told_and_a_replay_publishes(scene: Scene, step: str) -> None:
    cloud = scene.again()
    hide(cloud, inf, is_source(step))
    cloud.settle()
    assert cloud.waits == WAITS
    ((record,),) = ledger.check(cloud).failed.values()
    assert (record["error"], record["notified_by"]) == (NOT_VISIBLE, "state_machine")
    scene.replay_publishes()
