"""Plans and runs executions for replays, republications and backfills.

The contents of the buckets decide which executions start, and under which names. So an interrupted command can be
repeated, and two people who repeat it start each execution only once.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Any

import orjson

from functions.common import executions
from functions.common.batch import Batch, Source, failure_prefix, manifest_key, replay_name, revision_of
from functions.common.batch_state import (
    BatchState,
    Finding,
    ObjectVersion,
    Patience,
    Pipeline,
    batch_id_of,
    ended_at,
    is_listed,
    look_at_batch,
    plan,
    state_words,
    survey,
    versions,
)
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.errors import SourceNotVisibleError
from functions.common.planning import PREFIX
from functions.common.s3_utils import Storage, is_archived_head
from functions.reconciler.index import status_change
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target, for_target
from pipeline.errors import CliError, UsageError

_FUNCTION_LIFETIME = timedelta(minutes=16)
"""How long a function may run after its execution has ended: Lambda's limit and a minute."""

_POLL_SECONDS = {"local": 0.1, "aws": 2.0}

EVER = datetime.min.replace(tzinfo=UTC)
FAILED = (BatchState.FAILED, BatchState.NOT_NOTIFIED, BatchState.LOST)

Record = Manifest | FailureRecord
"""A record of a batch that names its source."""


@dataclass(frozen=True)
class Selection:
    """The batches that a command works on: all below the prefix, unless batches or keys are given."""

    batches: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    prefix: str = PREFIX
    since: datetime = EVER


@dataclass(frozen=True)
class Start:
    """An execution that a command would start. Without a `batch`, it is not started, and `reason` says why."""

    batch_id: str
    name: str
    key: str
    reason: str
    batch: Batch | None = None


@dataclass(frozen=True)
class EndedBatch:
    """The end of a started execution."""

    start: Start
    status: str
    error: str


def pipeline_of(place: Target) -> Pipeline:
    """Return the deployed pipeline in the form that the functions for batch states use."""
    outputs = place.outputs()
    return Pipeline(
        storage=Storage(place.s3()),
        step_functions=place.step_functions(),
        ingest_bucket=outputs["ingest_bucket"],
        processed_bucket=outputs["processed_bucket"],
        state_machine_arn=outputs["state_machine_arn"],
        chunk_bytes=outputs["chunk_bytes"],
        contracts=place.runtime.contracts,
    )


def patience(grace: timedelta = timedelta(0)) -> Patience:
    """Return how long a command waits, from now on, before it reports a file as missing."""
    return Patience(datetime.now(UTC), grace)


def findings(
    place: Target,
    selection: Selection,
    patient: Patience,
    too_young: Callable[[ObjectVersion], object] = lambda _: None,
) -> Iterator[Finding]:
    """Yield the states of the selected batches, each once. Raises UsageError for a batch or key that doesn't exist.

    Calls `too_young` with each version that is left out because it is younger than the grace period.
    """
    pipeline = pipeline_of(place)

    def of_key(key: str) -> list[Finding]:
        found = list(survey(pipeline, selection.since, patient, key=key, too_young=too_young))
        if not found:
            raise UsageError(f"There is no file {key}.", "Give its key in the ingest bucket, without encoding.")
        return found

    named = chain(
        (find(place, batch_id, patient) for batch_id in selection.batches),
        chain.from_iterable(map(of_key, selection.keys)),
    )
    is_named = bool(selection.batches or selection.keys)
    seen: set[str] = set()
    for finding in (
        named if is_named else survey(pipeline, selection.since, patient, selection.prefix, too_young=too_young)
    ):
        if finding.batch_id not in seen:
            seen.add(finding.batch_id)
            yield finding


def look_at(place: Target, batch_id: str) -> Finding:
    """Return the current state of a batch of any revision and age."""
    return look_at_batch(pipeline_of(place), dataset_of_batch(batch_id), batch_id, patience())


def find(place: Target, batch_id: str, patient: Patience) -> Finding:
    """Return the state of a batch. Raises UsageError if it has neither records nor a file in the ingest bucket."""
    pipeline, dataset = pipeline_of(place), dataset_of_batch(batch_id)
    finding = look_at_batch(pipeline, dataset, batch_id, patient)
    if finding.state is not BatchState.MISSING:
        return finding
    base, _ = revision_of(batch_id)
    for version in versions(pipeline):
        if batch_id_of(pipeline, version) == base:
            return replace(finding, version=version)
    raise UsageError(
        f"There is no batch {batch_id}.", "Copy its name from its notification, its failure record or `reconcile`."
    )


def dataset_of_batch(batch_id: str) -> str:
    """Return the dataset that a batch's name begins with."""
    return batch_id.partition("-")[0]


def revision_id(base: str, number: int) -> str:
    """Return the ID of a revision of the batch `base`."""
    return base if number == 1 else f"{base}-r{number}"


def backfill(place: Target, selection: Selection) -> Iterator[Start]:
    """Yield an execution for each version that has no execution, manifest or failure record."""
    for finding in findings(place, selection, patience()):
        if finding.state is BatchState.MISSING:
            yield next_execution(place, finding)


def replay(place: Target, selection: Selection, *, failed_only: bool) -> Iterator[Start]:
    """Yield an execution for each selected batch that isn't published, or the reason why it is not started.

    With `failed_only`, only failed and lost batches are included.
    """
    for finding in findings(place, selection, patience()):
        if finding.state in FAILED or not failed_only:
            yield next_execution(place, finding)


def republish(place: Target, selection: Selection, release: str | None = None) -> Iterator[Start]:
    """Yield an execution of the next revision for each selected batch that an earlier release, or `release`, published.

    Skips batches that the deployed release has already published, so the command can be repeated.
    """
    deployed = place.outputs()["release"]
    for finding in findings(place, selection, patience()):
        if finding.state is not BatchState.PUBLISHED:
            yield _not_started(finding, "not published: replay it without --republish")
            continue
        manifest = latest_manifest(place, finding)
        key, published_by = manifest.source.key, manifest.release
        if published_by == deployed:
            yield Start(finding.batch_id, "", key, "already published by the deployed release")
        elif release not in (None, published_by):
            yield Start(finding.batch_id, "", key, f"published by the release {published_by}")
        else:
            batch = _replanned(place, manifest.source, manifest.ingested_at, manifest.revision + 1)
            yield _start_of(batch, look_at(place, batch.batch_id), f"revision {batch.revision}")


def latest_manifest(place: Target, finding: Finding) -> Manifest:
    """Return the manifest of a batch's highest revision. Raises CliError if it was deleted in the meantime."""
    base, _ = revision_of(finding.batch_id)
    prefix = manifest_key(finding.dataset, base).removesuffix(".json")
    listed = pipeline_of(place).storage.list_objects(place.outputs()["processed_bucket"], prefix)
    revisions = [revision_of(key.rpartition("/")[2].removesuffix(".json"))[1] for key, _ in listed]
    newest = revision_id(base, max(revisions, default=1))
    manifest = read_document(place, Manifest, manifest_key(finding.dataset, newest))
    if manifest is None:
        raise CliError(f"The manifest of {finding.batch_id} was deleted in the meantime.", "Run the command again.")
    return manifest


def next_execution(place: Target, finding: Finding) -> Start:
    """Return the next execution of a batch, or the reason why none can start."""
    if finding.state not in (BatchState.MISSING, *FAILED):
        return _not_started(finding)
    try:
        batch = batch_of(place, finding)
    except SourceNotVisibleError:
        return _not_started(finding, "S3 lists it but does not return it")
    if batch is None:
        return _not_started(finding, "deleted in the meantime")
    if source_state(place, batch.source) is SourceState.ARCHIVED:
        return _not_started(finding, "archived: restore it in S3 first (aws s3api restore-object)")
    return _start_of(
        batch, finding, "never started" if finding.state is BatchState.MISSING else state_words(finding.state)
    )


def _start_of(batch: Batch, finding: Finding, reason: str) -> Start:
    if finding.state not in (BatchState.MISSING, *FAILED):
        return _not_started(finding)
    if until := writes_until(finding.execution):
        return _not_started(finding, f"stopped just now: its function may still write until {until:%H:%M} UTC")
    name = batch.batch_id if finding.state is BatchState.MISSING else replay_name(batch.batch_id, finding.replays + 1)
    return Start(batch.batch_id, name, batch.source.key, reason, batch)


def writes_until(execution: Mapping[str, Any] | None) -> datetime | None:
    """Return until when functions of a stopped execution may write, or None. Stopping does not stop its functions."""
    if execution is None or execution["status"] not in ("ABORTED", "TIMED_OUT"):
        return None
    until = ended_at(execution).astimezone(UTC) + _FUNCTION_LIFETIME
    return until if until > datetime.now(UTC) else None


def _not_started(finding: Finding, reason: str = "") -> Start:
    key = finding.version.key if finding.version else ""
    return Start(finding.batch_id, "", key, reason or state_words(finding.state))


def batch_of(place: Target, finding: Finding) -> Batch | None:
    """Return the batch of a finding, planned again from its recorded source, or None if its version is gone.

    Raises SourceNotVisibleError as `plan` does.
    """
    pipeline, revision = pipeline_of(place), revision_of(finding.batch_id)[1]
    if record := any_record(place, finding.dataset, finding.batch_id):
        return _replanned(place, record.source, record.ingested_at, revision)
    if execution := executions.describe(pipeline.step_functions, pipeline.state_machine_arn, finding.batch_id):
        recorded = Batch.from_input(orjson.loads(execution["input"]))
        return _replanned(place, recorded.source, recorded.ingested_at, revision)
    return plan(pipeline, finding.version) if finding.version else None


class SourceState(StrEnum):
    """Whether the source version of a batch can be read."""

    READABLE = "readable"
    ARCHIVED = "archived"
    """The version must be restored before S3 returns it."""
    GONE = "gone"


def source_state(place: Target, source: Source) -> SourceState:
    """Return whether a source can be read. A version that S3 lists but doesn't return yet counts as readable."""
    pipeline = pipeline_of(place)
    if head := pipeline.storage.head(source.bucket, source.key, source.version_id):
        return SourceState.ARCHIVED if is_archived_head(head) else SourceState.READABLE
    return SourceState.READABLE if is_listed(pipeline, source.key, source.version_id) else SourceState.GONE


def any_record(place: Target, dataset: str, batch_id: str) -> Record | None:
    """Return the manifest or a failure record of a batch, or None."""
    if manifest := read_document(place, Manifest, manifest_key(dataset, batch_id)):
        return manifest
    listed = pipeline_of(place).storage.list_objects(
        place.outputs()["processed_bucket"], failure_prefix(dataset, batch_id)
    )
    return next((read_document(place, FailureRecord, key) for key, _ in listed), None)


def _replanned(place: Target, source: Source, ingested_at: str, revision: int) -> Batch:
    return pipeline_of(place).planner.replan(source, ingested_at, revision)


def run_all(
    place: Target, starts: Iterable[Start], concurrency: int, begun: Callable[[Start], None] = lambda _: None
) -> Iterator[EndedBatch]:
    """Start executions, at most `concurrency` at a time, and yield each one when it has ended."""
    waiting = iter([start for start in starts if start.batch])
    machine = place.outputs()["state_machine_arn"]
    running: dict[str, Start] = {}
    while True:
        while len(running) < concurrency and (start := next(waiting, None)):
            assert start.batch is not None
            executions.start(place.step_functions(), machine, start.batch, start.name)
            begun(start)
            running[start.name] = start
        if not running:
            return
        for name in list(running):
            execution = executions.describe(place.step_functions(), machine, name)
            if execution is None or execution["status"] == "RUNNING":  # None: AWS lists a new execution a moment later
                continue
            yield EndedBatch(running.pop(name), execution["status"], execution.get("error", ""))
        time.sleep(_POLL_SECONDS[place.name])


def record_failure(place: Target, name: str) -> None:
    """Send the end of an execution to record_failure, as EventBridge does. Raises CliError if the function fails."""
    pipeline = pipeline_of(place)
    execution = executions.describe(pipeline.step_functions, pipeline.state_machine_arn, name)
    assert execution is not None  # it was listed a moment ago
    function = place.outputs()["function_names"]["record_failure"]
    payload = orjson.dumps(status_change(execution))
    response = place.client("lambda").invoke(FunctionName=function, Qualifier="live", Payload=payload)
    if "FunctionError" in response:
        look = for_target("pipeline logs", place.name)
        raise CliError(f"record_failure could not record {name}.", f"Check its log ({look}), then try again.")
