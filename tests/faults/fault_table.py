"""The faults and the expected outcome of each. The tests that cover a row are marked with it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

FAULTS: Mapping[str, str] = {
    "duplicate event, running or closed": "one execution, one published batch",
    "same key, new version": "new batch; readers' “current” views take the newest",
    "events out of order": "both processed; the older never hides the newer",
    "event never delivered": "the reconciler starts it",
    "starter dies before or after StartExecution": "retried; same name",
    "StartExecution throttled for a long time": "failed-event queue, alarm, replay tool",
    "transient fault 1…N−1 times in any step": "success, byte-identical outputs",
    "transient fault past the last retry": "failure record, notification, execution FAILED; replay publishes",
    "timeout, out of memory, os._exit in any step": "one retry, then the failure branch",
    "data error": "no retry, failure branch",
    "killed between any two writes of write": "nothing visible; the retry completes",
    "two writers at once": "one commits, the other verifies and agrees",
    "write succeeded, response lost": "retry finds the manifest, verifies, succeeds",
    "a late failure after the commit": "the manifest outranks it; the record says so",
    "execution times out or is aborted": "EventBridge → record_failure, once",
    "503 SlowDown from S3": "backoff, success",
    "a new object is not visible yet": "retried for 16 minutes, byte-identical outputs; replay publishes",
    "notification fails": "still FAILED, still recorded; EventBridge backstop",
    "bad deploy": "roll back, replay",
}

Test = TypeVar("Test", bound=Callable[..., Any])

covered_by: dict[str, list[str]] = {fault: [] for fault in FAULTS}
"""The tests of each row. It is complete once every module of this folder is imported."""


def survives(fault: str) -> Callable[[Test], Test]:
    """Mark a test as one that covers this row of the table."""

    def mark(test: Test) -> Test:
        covered_by[fault].append(f"{test.__module__}.{test.__name__}")
        return test

    return mark
