"""S3 returns 404 for existing objects, as it may for 15 minutes after versioning is enabled on a bucket."""

from collections import Counter
from collections.abc import Callable
from math import inf

import pytest
from botocore.exceptions import ClientError

from functions.common.errors import SourceNotVisibleError
from tests.faults import outcome_check
from tests.faults.fault_injection import Call
from tests.faults.fault_table import survives
from tests.faults.scenarios import Scenario
from tests.faults.simulated_cloud import Cloud
from tests.statemachine import definition as asl

pytestmark = pytest.mark.slow

NOT_VISIBLE = SourceNotVisibleError.__name__
WAITS = next(
    list(asl.waits(retrier))
    for retrier in asl.tasks(asl.load())["Validate"]["Retry"]
    if NOT_VISIBLE in retrier["ErrorEquals"]
)


def hide(cloud: Cloud, times: float, where: Callable[[Call], bool]) -> None:
    """Make S3 not return an object, the first `times` times that a step requests it."""
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
def test_a_source_that_becomes_visible_is_published_as_usual(scenario: Scenario, step: str, times: int) -> None:
    cloud = scenario.again()
    hide(cloud, times, is_source(step))
    cloud.settle()
    assert cloud.waits == WAITS[:times]
    assert cloud.outputs() == scenario.outputs
    outcome_check.check(cloud)


@survives("a new object is not visible yet")
@pytest.mark.parametrize("step", ["transform", "write"])
def test_staging_that_becomes_visible_is_published_as_usual(scenario: Scenario, step: str) -> None:
    cloud = scenario.again()
    hide(cloud, 1, lambda call: call.step == step and call.place.startswith("staging/"))
    cloud.settle()
    assert cloud.waits
    assert cloud.outputs() == scenario.outputs
    outcome_check.check(cloud)


@survives("a new object is not visible yet")
def test_the_starter_starts_a_version_that_is_not_visible_from_its_event(scenario: Scenario) -> None:
    cloud = scenario.again()
    hide(cloud, inf, is_source("starter"))
    cloud.settle()
    assert len(outcome_check.check(cloud).published) == 1


@survives("a new object is not visible yet")
@pytest.mark.parametrize("step", ["validate", "write"])
def test_a_source_that_stays_invisible_is_notified_and_a_replay_publishes(scenario: Scenario, step: str) -> None:
    cloud = scenario.again()
    hide(cloud, inf, is_source(step))
    cloud.settle()
    assert cloud.waits == WAITS
    ((record,),) = outcome_check.check(cloud).failed.values()
    assert (record["error"], record["notified_by"]) == (NOT_VISIBLE, "state_machine")
    scenario.replay_publishes()
