"""Determines the state of each object version in the ingest bucket: published, failed, running, missing, lost, …

The bucket is the source of truth: S3 delivers events at least once, unordered, and may drop one
(docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.common import executions
from functions.common.batch import (
    Batch,
    batch_id_for,
    failure_key,
    failure_prefix,
    manifest_key,
    replay_name,
    replay_of,
    title_of,
)
from functions.common.config import CONTRACTS
from functions.common.documents.failure_record import FailureRecord
from functions.common.errors import DocumentError, SourceNotVisibleError, TransientError
from functions.common.input_settings import load_input
from functions.common.object_versions import Planner
from functions.common.planning import PREFIX, dataset_of, ignored_by, is_folder_marker
from functions.common.s3_utils import Storage

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_PARALLEL = 16
_RECORDED_WITHIN = timedelta(minutes=5)
"""The time after the end of an execution in which its failure record may still be written."""

_AT_ONCE = 1000
"""The number of versions that are checked before more are listed, so memory doesn't grow with the bucket."""


class BatchState(StrEnum):
    """The state of a version. PUBLISHED, FAILED and RUNNING need no attention from the reconciler."""

    PUBLISHED = "published"
    FAILED = "failed"
    """The batch has a failure record, and a notification was sent."""
    RUNNING = "running"
    STUCK = "stuck"
    """The execution has been running longer than expected of any execution."""
    MISSING = "missing"
    """The batch has no execution, manifest or failure record, because its event never arrived."""
    NOT_NOTIFIED = "untold"
    """The execution failed, and no failure record says that a notification was sent."""
    LOST = "lost"
    """The execution succeeded, but the manifest was deleted."""
    UNKNOWN = "unknown"
    """AWS did not return the state of the batch."""
    GONE = "gone"
    """An execution ended, but the outputs and the source version were deleted or expired."""


def state_words(state: str) -> str:
    """Return the value of a BatchState in words for people."""
    return "not notified" if state == BatchState.NOT_NOTIFIED else str(state)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A deployed pipeline, with the AWS clients that survey it."""

    storage: Storage
    step_functions: "SFNClient"
    ingest_bucket: str
    processed_bucket: str
    state_machine_arn: str
    chunk_bytes: int
    """The planned size of a chunk of new executions, in bytes."""
    contracts: Path = CONTRACTS
    """The folder of the contracts."""

    @property
    def planner(self) -> Planner:
        """The planner of batches for new executions."""
        return Planner(self.storage, self.chunk_bytes, self.contracts)

    def pattern_for(self, key: str) -> str | None:
        """Return the pattern by which the pipeline ignores a key, or None if it doesn't ignore the key."""
        return ignored_by(key, load_input(dataset_of(key), self.contracts))


@dataclass(frozen=True, slots=True)
class Patience:
    """The waiting times after which a survey reports a batch as missing, not notified or stuck."""

    now: datetime
    grace: timedelta
    stuck: timedelta = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object, as S3 lists it."""

    key: str
    version_id: str
    size: int
    last_modified: datetime


Executions = Mapping[str, Mapping[str, Any]]
"""Executions by name, as ListExecutions or DescribeExecution returns them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of a batch."""

    dataset: str
    batch_id: str
    state: BatchState
    replays: int
    """The number of times that the batch was replayed."""
    execution: Mapping[str, Any] | None
    """The latest execution of the batch, if it was looked up and AWS still has it."""
    version: ObjectVersion | None = None


def survey(
    pipeline: Pipeline,
    since: datetime,
    patience: Patience,
    prefix: str = PREFIX,
    key: str | None = None,
    *,
    known: Executions | None = None,
    too_young: Callable[[ObjectVersion], object] = lambda _: None,
) -> Iterator[Finding]:
    """Yield the state of each version under `prefix` (or only of `key`) that was written after `since`, sorted by key.

    Omits versions that the contract ignores, unless they have traces or `key` names them. Omits versions within the
    grace period, and calls `too_young` with each of them. Lists the prefix, and also the executions after `since`
    unless they are `known`. A published version takes one HEAD request, and any other two or three requests.
    """
    selected = (v for v in versions(pipeline, key or prefix) if v.last_modified >= since and key in (None, v.key))
    window = _old_enough(selected, patience, too_young)
    known = executions_since(pipeline, since) if known is None else known
    with ThreadPoolExecutor(_PARALLEL) as pool:
        while some := list(islice(window, _AT_ONCE)):
            for found in pool.map(lambda version: look_at(pipeline, version, patience, known), some):
                if key is not None or not is_ignored(pipeline, found):
                    yield found


def is_ignored(pipeline: Pipeline, found: Finding) -> bool:
    """Return whether a version has no traces because the contract ignores its key."""
    if found.state is not BatchState.MISSING or found.version is None:
        return False
    return pipeline.pattern_for(found.version.key) is not None


def _old_enough(
    found: Iterator[ObjectVersion], patience: Patience, too_young: Callable[[ObjectVersion], object]
) -> Iterator[ObjectVersion]:
    for version in found:
        if version.last_modified <= patience.now - patience.grace:
            yield version
        else:
            too_young(version)


def executions_since(pipeline: Pipeline, since: datetime) -> Executions:
    """Return the executions that started after a time, by name. A version's execution starts after it was written."""
    listed = executions.started_since(pipeline.step_functions, pipeline.state_machine_arn, since)
    return {execution["name"]: execution for execution in listed}


def versions(pipeline: Pipeline, prefix: str = PREFIX) -> Iterator[ObjectVersion]:
    """Yield each version under a prefix, including versions under a delete marker, but excluding folder markers."""
    for found in pipeline.storage.list_versions(pipeline.ingest_bucket, prefix):
        if not is_folder_marker(found["Key"], found["Size"]):
            yield ObjectVersion(found["Key"], found["VersionId"], found["Size"], found["LastModified"])


def look_at(pipeline: Pipeline, version: ObjectVersion, patience: Patience, known: Executions) -> Finding:
    """Return the state of one version. UNKNOWN if AWS refuses a request, so one version can't stop the survey."""
    dataset, batch_id = dataset_of(version.key), batch_id_of(pipeline, version)
    try:
        found = _look(pipeline, dataset, batch_id, patience, known)
    except (TransientError, ClientError):
        return Finding(dataset, batch_id, BatchState.UNKNOWN, 0, None, version)
    return Finding(dataset, batch_id, found.state, found.replays, found.execution, version)


def batch_id_of(pipeline: Pipeline, version: ObjectVersion) -> str:
    """Return the batch id of a version's first revision."""
    return batch_id_for(dataset_of(version.key), pipeline.ingest_bucket, version.key, version.version_id)


def look_at_batch(pipeline: Pipeline, dataset: str, batch_id: str, patience: Patience) -> Finding:
    """Return the state of one batch, regardless of its revision and age."""
    found = _look(pipeline, dataset, batch_id, patience, _Described(pipeline))
    if found.execution and is_gone(pipeline, dataset, batch_id, found.state, found.execution, patience):
        return replace(found, state=BatchState.GONE)
    return found


class _Described(dict[str, Mapping[str, Any]]):
    """A mapping from execution names to executions, each of which is described on first access."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def get(self, name: str, default: Any = None) -> Any:
        found = executions.describe(self._pipeline.step_functions, self._pipeline.state_machine_arn, name)
        return default if found is None else found


def _look(pipeline: Pipeline, dataset: str, batch_id: str, patience: Patience, known: Executions) -> Finding:
    if _exists(pipeline, manifest_key(dataset, batch_id)):
        return Finding(dataset, batch_id, BatchState.PUBLISHED, 0, None)
    recorded = _recorded(pipeline, dataset, batch_id)
    replays, execution = _latest(batch_id, max((replay_of(name)[1] for name in recorded), default=0), known)
    if execution is None:
        state = BatchState.FAILED if recorded else BatchState.MISSING
    elif execution["name"] in recorded and is_notified(pipeline, failure_key(dataset, batch_id, execution["name"])):
        state = BatchState.FAILED
    else:
        state = state_without_record(execution, patience)
    if state is BatchState.LOST and _exists(pipeline, manifest_key(dataset, batch_id)):  # ended between two requests
        state = BatchState.PUBLISHED
    return Finding(dataset, batch_id, state, replays, execution)


def state_without_record(execution: Mapping[str, Any], patience: Patience) -> BatchState:
    """Return the state of a batch whose latest execution left neither a manifest nor a failure record.

    An execution that has just ended counts as running, because its records may not be visible yet.
    """
    if execution["status"] == "RUNNING":
        return BatchState.STUCK if execution["startDate"] < patience.now - patience.stuck else BatchState.RUNNING
    if ended_at(execution) > patience.now - patience.grace:
        return BatchState.RUNNING
    return BatchState.LOST if execution["status"] == "SUCCEEDED" else BatchState.NOT_NOTIFIED


def is_gone(
    pipeline: Pipeline, dataset: str, batch_id: str, state: BatchState, execution: Mapping[str, Any], patience: Patience
) -> bool:
    """Return whether a LOST or NOT_NOTIFIED batch has no failure record, and its source version is also deleted.

    `execution` is one of the batch's executions, as ListExecutions or DescribeExecution returns it.
    """
    if state not in (BatchState.LOST, BatchState.NOT_NOTIFIED):
        return False
    if state is BatchState.NOT_NOTIFIED and ended_at(execution) > patience.now - _RECORDED_WITHIN:
        return False
    return not _recorded(pipeline, dataset, batch_id) and not _has_source(pipeline, execution)


def _has_source(pipeline: Pipeline, execution: Mapping[str, Any]) -> bool:
    """Return whether the source version of an execution exists, or True if the pipeline can't read its bucket."""
    described = executions.describe(pipeline.step_functions, pipeline.state_machine_arn, execution["name"])
    try:
        source = json.loads(described["input"])["source"] if described else {}
        place = source["bucket"], source["key"], source["version_id"]
    except (ValueError, KeyError, TypeError):
        return True
    try:
        return pipeline.storage.head(*place) is not None
    except ClientError:  # someone started it for an object in a bucket that the pipeline can't read
        return True


def ended_at(execution: Mapping[str, Any]) -> datetime:
    """Return the time at which an execution ended."""
    ended: datetime = execution.get("stopDate", execution["startDate"])
    return ended


def is_notified(pipeline: Pipeline, key: str) -> bool:
    """Return whether a failure record says that a notification was sent. False for an unreadable record."""
    body = pipeline.storage.get_bytes(pipeline.processed_bucket, key)
    try:
        return body is not None and FailureRecord.read(body, key).is_notified
    except DocumentError:
        return False


def _recorded(pipeline: Pipeline, dataset: str, batch_id: str) -> set[str]:
    """Return the names of a batch's executions that have a failure record."""
    prefix = failure_prefix(dataset, batch_id)
    found = pipeline.storage.list_objects(pipeline.processed_bucket, prefix)
    return {key.removeprefix(prefix).removesuffix(".json") for key, _ in found}


def _latest(batch_id: str, replays: int, known: Executions) -> tuple[int, Mapping[str, Any] | None]:
    """Return the number and the execution of a batch's latest replay. At least `replays` replays must exist."""
    execution = known.get(replay_name(batch_id, replays) if replays else batch_id)
    while later := known.get(replay_name(batch_id, replays + 1)):
        replays, execution = replays + 1, later
    return replays, execution


def latest_execution(pipeline: Pipeline, batch_id: str, replays: int) -> Mapping[str, Any] | None:
    """Return a batch's latest execution, published or not. At least `replays` replays of the batch must exist."""
    return _latest(batch_id, replays, _Described(pipeline))[1]


def not_notified(pipeline: Pipeline, known: Executions, patience: Patience) -> Iterator[Mapping[str, Any]]:
    """Yield failed executions, of any batch, revision or replay, without a record that a notification was sent.

    Includes executions of published batches, because the notification of their rejects may be missing.
    """
    for name, execution in known.items():
        if execution["status"] in ("RUNNING", "SUCCEEDED") or ended_at(execution) > patience.now - patience.grace:
            continue
        batch_id, _ = replay_of(name)
        dataset = batch_id.partition("-")[0]
        if is_notified(pipeline, failure_key(dataset, batch_id, name)):
            continue
        if not is_gone(
            pipeline, dataset, batch_id, BatchState.NOT_NOTIFIED, execution, patience
        ):  # otherwise the batch was deleted
            yield execution


def plan(pipeline: Pipeline, version: ObjectVersion) -> Batch | None:
    """Return the batch of a version, as the starter plans it, but without a sequencer. None if the version is deleted.

    Raises SourceNotVisibleError if S3 lists the version but doesn't return it.
    """
    batch = pipeline.planner.plan(pipeline.ingest_bucket, version.key, version.version_id)
    if batch is None and is_listed(pipeline, version.key, version.version_id):
        uri = title_of(pipeline.ingest_bucket, version.key)
        raise SourceNotVisibleError(f"S3 lists {uri} but does not return it.")
    return batch


def is_listed(pipeline: Pipeline, key: str, version_id: str) -> bool:
    """Return whether S3 lists a version.

    The listed prefix ends before the first control character of the key, because emulators list some control characters
    as other characters.
    """
    prefix = "".join(takewhile(lambda character: character >= " ", key))
    return any((found.key, found.version_id) == (key, version_id) for found in versions(pipeline, prefix))


def _exists(pipeline: Pipeline, key: str) -> bool:
    return pipeline.storage.head(pipeline.processed_bucket, key) is not None
