"""What to start again: replays, republications and backfills, and how they are run.

Which executions are started follows from what lies in the buckets, and their names from it too. So a command that
was interrupted is repeated, and two people who repeat it start each execution once.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from functions.common import executions
from functions.common.batch import Batch, Source, failure_prefix, manifest_key, replay_name, revision_of
from functions.common.planning import PREFIX, plan_batch
from functions.reconciler.survey import Finding, Patience, Pipeline, State, look_at_batch, plan, survey
from pipeline.errors import CliError, UsageError
from pipeline.runs import read_json
from pipeline.targets import Target

_FUNCTION_LIFETIME = timedelta(minutes=16)
"""The longest that a function of an aborted execution may go on writing: Lambda's limit, and a minute."""

_POLL_SECONDS = {"local": 0.1, "aws": 2.0}

EVER = datetime.min.replace(tzinfo=UTC)
FAILED = (State.FAILED, State.UNTOLD, State.LOST)


@dataclass(frozen=True)
class Selection:
    """Which batches a command is about; without batches and keys, all under the prefix."""

    batches: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    prefix: str = PREFIX
    since: datetime = EVER


@dataclass(frozen=True)
class Start:
    """One execution that a command would start, or why it would not: then there is no `batch`."""

    batch_id: str
    name: str
    key: str
    reason: str
    batch: Batch | None = None


@dataclass(frozen=True)
class Ended:
    """How an execution that was started ended."""

    start: Start
    status: str
    error: str


def pipeline_of(place: Target) -> Pipeline:
    """The deployed pipeline as a survey looks at it."""
    outputs = place.outputs
    return Pipeline(
        s3=place.s3,
        step_functions=place.step_functions,
        ingest_bucket=outputs["ingest_bucket"],
        processed_bucket=outputs["processed_bucket"],
        state_machine_arn=outputs["state_machine_arn"],
        chunk_bytes=outputs["chunk_bytes"],
    )


def patience(grace: timedelta = timedelta(0)) -> Patience:
    """How long a command waits, from now on, before it calls something missing."""
    return Patience(datetime.now(UTC), grace)


def findings(place: Target, selection: Selection, patient: Patience) -> Iterator[Finding]:
    """What became of the selected batches."""
    pipeline = pipeline_of(place)
    for batch_id in selection.batches:
        yield look_at_batch(pipeline, dataset_of_batch(batch_id), batch_id, patient)
    for key in selection.keys:
        yield from survey(pipeline, selection.since, patient, key=key)
    if not (selection.batches or selection.keys):
        yield from survey(pipeline, selection.since, patient, prefix=selection.prefix)


def dataset_of_batch(batch_id: str) -> str:
    """The dataset that a batch's name begins with."""
    return batch_id.partition("-")[0]


def backfill(place: Target, selection: Selection) -> Iterator[Start]:
    """An execution for each version that has none, nor manifest nor failure record."""
    for finding in findings(place, selection, patience()):
        if finding.state is State.MISSING:
            yield first(place, finding, "never started")


def replay(place: Target, selection: Selection, *, failed_only: bool) -> Iterator[Start]:
    """An execution for each selected batch that is not published; else why there is none.

    With `failed_only` batches that need nothing are not mentioned.
    """
    for finding in findings(place, selection, patience()):
        if finding.state in FAILED:
            yield _again(place, finding)
        elif failed_only:
            continue
        elif finding.state is State.MISSING:
            yield first(place, finding, "never started")
        else:
            yield _passed_over(finding)


def republish(place: Target, selection: Selection) -> Iterator[Start]:
    """An execution of the next revision for each selected batch that an earlier release published.

    What the deployed release has published already is left alone, so that the command can be repeated.
    """
    deployed = deployed_at(place)
    for finding in findings(place, selection, patience()):
        if finding.state is not State.PUBLISHED:
            yield _passed_over(finding, "not published: replay it without --republish")
            continue
        manifest, committed = latest_manifest(place, finding)
        if committed >= deployed:
            yield Start(finding.batch_id, "", manifest["source"]["key"], "published by the deployed release already")
        else:
            yield _next_revision(place, manifest)


def deployed_at(place: Target) -> datetime:
    """When the newest of the functions that make the tables was deployed."""
    functions = place.outputs["function_names"]
    client = place.client("lambda")
    modified = (
        client.get_function_configuration(FunctionName=functions[step])["LastModified"]
        for step in ("validate", "transform", "write")
    )
    return max(datetime.fromisoformat(time) for time in modified)


def latest_manifest(place: Target, finding: Finding) -> tuple[dict[str, Any], datetime]:
    """The manifest of a batch's highest revision, and when it was committed."""
    bucket = place.outputs["processed_bucket"]
    base, _ = revision_of(finding.batch_id)
    prefix = manifest_key(finding.dataset, base).removesuffix(".json")
    listed = place.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    newest = max(listed, key=lambda found: revision_of(_name(found["Key"]))[1])
    manifest = read_json(place, newest["Key"])
    assert manifest is not None  # it was listed a moment ago, and nobody deletes manifests
    return manifest, newest["LastModified"]


def _name(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _next_revision(place: Target, manifest: Mapping[str, Any]) -> Start:
    batch = _replanned(place, manifest["source"], manifest["ingested_at"], manifest["revision"] + 1)
    found = look_at_batch(pipeline_of(place), batch.dataset, batch.batch_id, patience())
    if found.state in (State.RUNNING, State.STUCK):
        return _passed_over(found)
    name = batch.batch_id if found.state is State.MISSING else replay_name(batch.batch_id, found.replays + 1)
    return Start(batch.batch_id, name, batch.source.key, f"revision {batch.revision}", batch)


def first(place: Target, finding: Finding, reason: str) -> Start:
    """The first execution of a version. Raises UsageError where no version is known."""
    if finding.version is None:
        raise UsageError(
            f"Nothing is known of a batch {finding.batch_id}.",
            "Name it as the notice, the failure record or `pipeline status` does.",
        )
    batch = plan(pipeline_of(place), finding.version)
    if batch is None:
        return Start(finding.batch_id, "", finding.version.key, "deleted meanwhile")
    return Start(batch.batch_id, batch.batch_id, batch.source.key, reason, batch)


def _again(place: Target, finding: Finding) -> Start:
    batch = batch_of(place, finding)
    stopped = (finding.execution or {}).get("stopDate")
    aborted = finding.execution is not None and finding.execution["status"] == "ABORTED"
    if aborted and stopped and datetime.now(UTC) - stopped < _FUNCTION_LIFETIME:
        # stopping an execution does not stop its functions, and a release must not write over another's outputs
        until = stopped.astimezone(UTC) + _FUNCTION_LIFETIME
        return _passed_over(finding, f"aborted just now: its function may still run until {until:%H:%M} UTC")
    name = replay_name(finding.batch_id, finding.replays + 1)
    error = (finding.execution or {}).get("error")
    reason = f"{finding.state}: {error}" if error else finding.state.value
    return Start(finding.batch_id, name, batch.source.key, reason, batch)


def _passed_over(finding: Finding, reason: str = "") -> Start:
    key = finding.version.key if finding.version else ""
    return Start(finding.batch_id, "", key, reason or finding.state.value)


def batch_of(place: Target, finding: Finding) -> Batch:
    """The batch of a finding, with the source as it was first told; planned anew. Raises UsageError if unknown."""
    if finding.execution is not None:
        told = Batch.from_input(orjson.loads(finding.execution["input"])).to_input()
        return _replanned(place, told["source"], told["ingested_at"], told["revision"])
    record = any_record(place, finding.dataset, finding.batch_id)
    if record is not None:
        revision = revision_of(finding.batch_id)[1]
        return _replanned(place, record["source"], record["ingested_at"], revision)
    batch = plan(pipeline_of(place), finding.version) if finding.version else None
    if batch is None:
        raise UsageError(f"Nothing is known of the batch {finding.batch_id}.", "Name it as its notice does.")
    return batch


def any_record(place: Target, dataset: str, batch_id: str) -> dict[str, Any] | None:
    """The manifest or a failure record of a batch: each names its source."""
    if manifest := read_json(place, manifest_key(dataset, batch_id)):
        return manifest
    prefix = failure_prefix(dataset, batch_id)
    listed = place.s3.list_objects_v2(Bucket=place.outputs["processed_bucket"], Prefix=prefix, MaxKeys=1)
    return next((read_json(place, found["Key"]) for found in listed.get("Contents", [])), None)


def _replanned(place: Target, source: Mapping[str, Any], ingested_at: str, revision: int) -> Batch:
    chunk_bytes = place.outputs["chunk_bytes"]
    return plan_batch(Source(**source), datetime.fromisoformat(ingested_at), chunk_bytes, revision)


def run_all(
    place: Target, starts: Iterable[Start], concurrency: int, begun: Callable[[Start], None] = lambda _: None
) -> Iterator[Ended]:
    """Start executions, at most `concurrency` at a time, and tell of each how it ended, as it ends."""
    waiting = iter([start for start in starts if start.batch])
    machine = place.outputs["state_machine_arn"]
    running: dict[str, Start] = {}
    while True:
        while len(running) < concurrency and (start := next(waiting, None)):
            assert start.batch is not None
            executions.start(place.step_functions, machine, start.batch, start.name)
            begun(start)
            running[start.name] = start
        if not running:
            return
        for name in list(running):
            execution = executions.describe(place.step_functions, machine, name)
            if execution is None or execution["status"] == "RUNNING":  # None: AWS tells of a start a moment later
                continue
            yield Ended(running.pop(name), execution["status"], execution.get("error", ""))
        time.sleep(_POLL_SECONDS[place.name])


def tell_record_failure(place: Target, status_change: Mapping[str, Any]) -> None:
    """Hand an execution's end to record_failure, as EventBridge does."""
    function = place.outputs["function_names"]["record_failure"]
    payload = orjson.dumps(status_change)
    answer = place.client("lambda").invoke(FunctionName=function, Qualifier="live", Payload=payload)
    if "FunctionError" in answer:
        raise CliError(
            f"record_failure could not record {status_change['detail']['name']}.",
            "Look at its log (make monitor) and run the same again.",
        )
