"""A source that S3 does not return yet: every task that reads it retries for as long as that may last."""

from functions.common.errors import SourceNotVisibleError
from functions.common.source_visibility import PROPAGATION
from tests.statemachine import definition as asl

TASKS = asl.tasks(asl.load())
NOT_VISIBLE = SourceNotVisibleError.__name__
RETRIERS = {
    name: retrier for name, task in TASKS.items() for retrier in task["Retry"] if NOT_VISIBLE in retrier["ErrorEquals"]
}


def test_every_task_that_reads_the_source_retries_a_source_that_is_not_visible() -> None:
    assert set(RETRIERS) == {"Validate", "Write"}


def test_the_retries_last_at_least_a_minute_longer_than_the_visibility_delay() -> None:
    for retrier in RETRIERS.values():
        assert retrier["ErrorEquals"] == [NOT_VISIBLE]
        assert retrier["JitterStrategy"] == "NONE", "with full jitter, a wait may be 0 seconds"
        assert sum(asl.waits(retrier)) >= PROPAGATION.total_seconds() + 60
        assert 1 <= retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 60
