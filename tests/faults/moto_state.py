"""The state of moto, read without clients: every version of every object, executions, notifications."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.s3.models import FakeDeleteMarker, s3_backends
from moto.sns.models import sns_backends
from moto.stepfunctions.models import stepfunctions_backends

from tests import harness
from tests.faults.events import TOPIC

# --- objects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """One version of one object."""

    version_id: str
    data: bytes | None
    """None for a delete marker."""
    time: datetime
    """When the version was written, to the microsecond."""


Bucket = Mapping[str, list[Stored]]
"""Every version of every object, oldest first."""


def stored(bucket: str) -> Bucket:
    """The content of a bucket."""
    return {
        key: [Stored(v.version_id, None if isinstance(v, FakeDeleteMarker) else v.value, v.last_modified) for v in all_]
        for key, all_ in _keys(bucket).lists()
    }


def erase(bucket: str, kept: tuple[str, ...]) -> None:
    """Remove all traces of every object, except under the `kept` prefixes."""
    for key in [key for key in _keys(bucket) if not key.startswith(kept)]:
        _keys(bucket).pop(key)


def _keys(bucket: str) -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys


def forge(bucket: str, key: str, data: bytes) -> None:
    """Change the content of an object without a new version."""
    for version in _keys(bucket).getlist(key):
        version.value = data


def hide(bucket: str, prefix: str) -> None:
    """Remove all traces of the objects under a prefix. Use it inside of `undone`, which restores them."""
    for key in [key for key in _keys(bucket) if key.startswith(prefix)]:
        dict.pop(_keys(bucket), key)


@contextmanager
def undone(*buckets: str) -> Iterator[None]:
    """Undo every change that the body makes to the objects of these buckets."""
    before = {b: {key: [(v, v.value) for v in versions] for key, versions in _keys(b).lists()} for b in buckets}
    try:
        yield
    finally:
        for bucket, objects in before.items():
            kept = {version for versions in objects.values() for version, _ in versions}
            for _, versions in _keys(bucket).lists():
                for version in set(versions) - kept:
                    if not isinstance(version, FakeDeleteMarker):
                        version.dispose()
            _keys(bucket).clear()
            for key, versions in objects.items():
                for version, value in versions:
                    version.value = value
                dict.__setitem__(_keys(bucket), key, [version for version, _ in versions])


# --- executions and notifications -------------------------------------------------------------------------------------


def executions() -> list[Any]:
    """The executions, as moto stores them."""
    (machine,) = stepfunctions_backends[DEFAULT_ACCOUNT_ID][harness.REGION].state_machines
    started: list[Any] = machine.executions
    return started


def sent_notifications() -> list[tuple[Any, ...]]:
    """The notifications that the topic received, as moto stores them."""
    sent: list[tuple[Any, ...]] = sns_backends[DEFAULT_ACCOUNT_ID][harness.REGION].topics[TOPIC].sent_notifications
    return sent


def get_execution_history(response: Any) -> ActionResult:
    """GetExecutionHistory with `reverseOrder` and `maxResults`, which moto ignores."""
    found = response.stepfunction_backend.get_execution_history(response._get_param("executionArn"))["events"]
    ordered = found[::-1] if response._get_param("reverseOrder") else found
    return ActionResult({"events": ordered[: response._get_int_param("maxResults") or 100]})
