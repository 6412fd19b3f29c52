"""Assembles the history of a batch from S3, Step Functions, the failed-event queue and the logs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from botocore.exceptions import ClientError

from functions.common.batch import Source, manifest_key, revision_of
from functions.common.batch_state import BatchState, Finding, batch_id_of, look_at_batch
from functions.common.documents.manifest import Manifest
from functions.common.errors import SourceNotVisibleError
from functions.common.parallel import at_once
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history import events, lookup
from pipeline.inspect.batch_history.batch_executions import executions_of, failures_of
from pipeline.inspect.batch_history.diagnosis import diagnosed
from pipeline.inspect.batch_history.model import (
    BatchHistory,
    BatchRejects,
    FileVersion,
    LoggedEvent,
    Output,
    Queued,
    Revision,
)
from pipeline.inspect.batch_history.rejects import rejects_in, rejects_key
from pipeline.inspect.executions import console_url
from pipeline.recover import restarts
from pipeline.recover.restarts import SourceState

_REJECT_BYTES = 8 << 20
"""The maximum number of bytes that are read from a file of rejects for a history."""

_LOOKED_AT = 20
"""The number of versions of a key, newest first, whose state is looked up."""

_PARALLEL = 8


def collect_history(place: Target, what: str, *, samples: int = 3, show_values: bool = False) -> BatchHistory:
    """Return everything known about a batch. `what` is a key (its newest version), batch, execution or S3 address.

    Keeps `samples` of each group of rejects, with their values masked unless `show_values`. Makes about twenty
    requests, and two or three for each other version of the key. Raises UsageError if nothing matches.
    """
    named = lookup.look_up(place, what)
    finding, revisions = _find(place, named)
    dataset, batch_id, unknown = finding.dataset, finding.batch_id, list[str]()
    manifest = read_document(place, Manifest, manifest_key(dataset, batch_id))
    found = tuple(executions_of(place, dataset, batch_id, named.execution))
    failures = [execution.failure for execution in found if execution.failure]
    source, uploaded = _source(place, finding, manifest or next(iter(failures), None))
    latest = found[-1] if found else None
    logged = _logged_events(place, batch_id, uploaded, unknown)
    queued: tuple[Queued, ...] = ()
    if finding.state in (BatchState.MISSING, BatchState.NOT_NOTIFIED):  # reading the queue hides it from others
        place_in_s3 = (source.key, source.version_id) if source else ("", "")
        waiting, hidden = events.queued(place, *place_in_s3, {execution.name for execution in found})
        queued = tuple(waiting)
        if hidden:
            unknown.append(f"About {hidden} messages of the failed-event queue are in use. Try again in a minute.")
    source_state = restarts.source_state(place, source) if source else SourceState.GONE
    deleted = source is not None and lookup.is_deleted(place, source.key)
    key = rejects_key(manifest, failures)
    batch = BatchHistory(
        asked=what,
        target=place.name,
        batch_id=batch_id,
        revision=revision_of(batch_id)[1],
        dataset=dataset,
        source=source,
        uploaded=uploaded,
        is_source_there=source_state is not SourceState.GONE,
        is_source_archived=source_state is SourceState.ARCHIVED,
        versions=tuple(_versions(place, source, batch_id, deleted)) if source else (),
        is_deleted=deleted,
        revisions=revisions,
        heard=logged,
        queued=queued,
        executions=found,
        outputs=tuple(_outputs(manifest)) if manifest else (),
        rejects=rejects_in(place, key, samples, show_values=show_values, max_bytes=_REJECT_BYTES) if key else None,
        manifest=manifest,
        manifest_key=manifest_key(dataset, batch_id),
        processed_bucket=place.outputs()["processed_bucket"],
        console_url=latest.console_url if latest else console_url(place, None),
        unknown=tuple(unknown),
        ignored_by=(restarts.pipeline_of(place).pattern_for(source.key) or "") if source else "",
    )
    return diagnosed(batch, finding.state, datetime.now(UTC))


def rejects_of(place: Target, what: str, samples: int = 3, *, show_values: bool = False) -> BatchRejects:
    """Return all rejects of the batch that `what` identifies. Raises UsageError if nothing matches."""
    finding, _ = _find(place, lookup.look_up(place, what))
    manifest = read_document(place, Manifest, manifest_key(finding.dataset, finding.batch_id))
    failures = list(failures_of(place, finding.dataset, finding.batch_id).values())
    failure = failures[-1] if failures and not manifest else None
    key = rejects_key(manifest, failures)
    return BatchRejects(
        batch_id=finding.batch_id,
        state=finding.state.value,
        error=failure.error if failure else "",
        cause=failure.cause if failure else "",
        rejects=rejects_in(place, key, samples, show_values=show_values) if key else None,
    )


def _find(place: Target, named: lookup.NamedBatch) -> tuple[Finding, tuple[Revision, ...]]:
    """Return the state of the named batch, and its revisions."""
    revisions = tuple(_revisions(place, named.batch_id))
    if named.version is None:
        return restarts.find(place, named.batch_id, restarts.patience()), revisions
    found = restarts.look_at(place, _of_readers(revisions) or named.batch_id)
    return replace(found, version=named.version), revisions


def _revisions(place: Target, batch_id: str) -> Iterator[Revision]:
    """Yield the revisions of a batch that have a manifest, a failure record or an execution."""
    base, own = revision_of(batch_id)
    found = dict(_known_revisions(place, base, 1))
    if own not in found:  # the first revision may have expired
        found |= dict(_known_revisions(place, base, own))
    read = max((number for number, state in found.items() if state is BatchState.PUBLISHED), default=0)
    for number, state in sorted(found.items()):
        yield Revision(number, restarts.revision_id(base, number), state.value, number == read)


def _known_revisions(place: Target, base: str, first: int) -> Iterator[tuple[int, BatchState]]:
    """Yield the number and state of each consecutive revision from `first` on."""
    for number in count(first):
        state = restarts.look_at(place, restarts.revision_id(base, number)).state
        if state is BatchState.MISSING:
            return
        yield number, state


def _of_readers(revisions: Sequence[Revision]) -> str | None:
    """Return the ID of the revision that readers get, or else of the latest revision, or None without revisions."""
    read = next((one.batch_id for one in revisions if one.is_read), None)
    return read or (revisions[-1].batch_id if revisions else None)


def _source(place: Target, finding: Finding, record: restarts.Record | None) -> tuple[Source | None, datetime | None]:
    """Return the source of a batch and its upload time, or None for both if no record has them."""
    if record is None or not (record.source.key and record.ingested_at):
        try:
            batch = restarts.batch_of(place, finding)
        except SourceNotVisibleError:
            return None, None
        return (batch.source, datetime.fromisoformat(batch.ingested_at)) if batch else (None, None)
    return record.source, datetime.fromisoformat(record.ingested_at)


def _versions(place: Target, source: Source, batch_id: str, is_deleted: bool) -> Iterator[FileVersion]:
    pipeline = restarts.pipeline_of(place)
    listed = [(version, batch_id_of(pipeline, version)) for version in lookup.versions_of(place, source.key)]
    patience = restarts.patience()

    def state_of(name: str) -> str:
        return look_at_batch(pipeline, restarts.dataset_of_batch(name), name, patience).state.value

    states = at_once(state_of, [name for _, name in listed[:_LOOKED_AT]], _PARALLEL)
    for at, (version, name) in enumerate(listed):
        yield FileVersion(
            version_id=version.version_id,
            uploaded=version.last_modified.astimezone(UTC),
            size=version.size,
            batch_id=name,
            is_current=at == 0 and not is_deleted,
            is_this=name == revision_of(batch_id)[0],
            state=states[at] if at < len(states) else "",
        )


def _logged_events(place: Target, batch_id: str, since: datetime | None, unknown: list[str]) -> tuple[LoggedEvent, ...]:
    """Return the logged events about a batch. Adds a sentence to `unknown` if the logs can't be read completely."""
    if since is None:
        return ()
    try:
        found, is_whole = events.logged_events(place, revision_of(batch_id)[0], since)
    except ClientError as exc:
        unknown.append(f"The log of events can't be read ({exc.response['Error']['Code']}).")
        return ()
    if not is_whole:
        unknown.append("The log of events is long, and only its beginning was searched.")
    return tuple(sorted(found, key=lambda event: event.time))


def _outputs(manifest: Manifest) -> Iterator[Output]:
    for name, table in manifest.tables.items():
        for kind, file in table.files.items():
            yield Output(name, kind, file.key, file.bytes, table.rows)
    if rejects := manifest.rejects:
        rows = manifest.counts.rejected + manifest.counts.superseded
        yield Output("rejects", "jsonl", rejects.key, rejects.bytes, rows)
