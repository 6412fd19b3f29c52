"""A source that S3 does not return yet: retried for as long as that may last, where it is read."""

from functions.common.errors import SourceNotVisibleError
from functions.common.source_visibility import PROPAGATION
from tests.statemachine import definition as asl

TASKS = asl.tasks(asl.load())
NOT_VISIBLE = SourceNotVisibleError.__name__
RETRIERS = {
    name: retrier for name, task in TASKS.items() for retrier in task["Retry"] if NOT_VISIBLE in retrier["ErrorEquals"]
}


def test_the_tasks_that_read_the_source_retry_it() -> None:
    assert set(RETRIERS) == {"Validate", "Write"}


def test_the_retries_outlast_the_time_by_a_minute() -> None:
    for retrier in RETRIERS.values():
        assert retrier["ErrorEquals"] == [NOT_VISIBLE]
        assert retrier["JitterStrategy"] == "NONE", "with jitter, a wait may be 0 seconds"
        assert sum(asl.waits(retrier)) >= PROPAGATION.total_seconds() + 60
        assert 1 <= retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 60
