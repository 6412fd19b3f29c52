"""Finds out the story of a batch: asks S3, Step Functions, the queue and the log, and has it judged."""

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
from pipeline.inspect.batch_history import lookup, traces
from pipeline.inspect.batch_history.diagnosis import diagnosed
from pipeline.inspect.batch_history.model import (
    BatchRejects,
    Execution,
    FileVersion,
    Heard,
    Output,
    Queued,
    Rejects,
    Revision,
    Story,
)
from pipeline.inspect.batch_history.reject_file import rejects_in, rejects_key
from pipeline.inspect.executions import console_url
from pipeline.recover import restarts
from pipeline.recover.restarts import SourceState

_REJECT_BYTES = 8 << 20
"""How much of a file of rejects a story reads."""

_LOOKED_AT = 20
"""Of how many versions of a key it is looked up what became of them; the newest."""

_PARALLEL = 8


def story_of(place: Target, what: str, *, samples: int = 3, show_values: bool = False) -> Story:
    """All that is known of the batch that `what` names: a key (its newest version), a batch, an execution, an address.

    Of each group of rejects `samples` are kept, with their values masked unless `show_values`. Some twenty requests,
    and two or three for each other version of the key. Raises UsageError for what names nothing.
    """
    asked = lookup.look_up(place, what)
    finding, revisions = _find(place, asked)
    dataset, batch_id = finding.dataset, finding.batch_id
    manifest = read_document(place, Manifest, manifest_key(dataset, batch_id))
    found = tuple(traces.executions_of(place, dataset, batch_id, asked.execution))
    source, uploaded = _source(place, finding, manifest, found)
    latest = found[-1] if found else None
    events, unknown = _heard(place, batch_id, uploaded)
    queued, unseen = _queued(place, finding, source, found)
    source_state = restarts.source_state(place, source) if source else SourceState.GONE
    deleted = source is not None and lookup.is_deleted(place, source.key)
    story = Story(
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
        heard=events,
        queued=queued,
        executions=found,
        outputs=tuple(_outputs(manifest)) if manifest else (),
        rejects=_rejects(place, manifest, found, samples, show_values),
        manifest=manifest,
        manifest_key=manifest_key(dataset, batch_id),
        processed_bucket=place.outputs()["processed_bucket"],
        console_url=latest.console_url if latest else console_url(place, None),
        definition=traces.definition_of(place, latest.arn if latest and not latest.is_forgotten else None),
        unknown=(*unknown, *unseen),
        ignored_by=(restarts.pipeline_of(place).pattern_for(source.key) or "") if source else "",
    )
    return diagnosed(story, finding.state, datetime.now(UTC))


def rejects_of(place: Target, what: str, samples: int = 3, *, show_values: bool = False) -> BatchRejects:
    """All rejects of the batch that `what` names, read to the end. Raises UsageError for what names nothing."""
    finding, _ = _find(place, lookup.look_up(place, what))
    manifest = read_document(place, Manifest, manifest_key(finding.dataset, finding.batch_id))
    failures = list(traces.failures_of(place, finding.dataset, finding.batch_id).values())
    key = rejects_key(manifest, failures)
    return BatchRejects(
        batch_id=finding.batch_id,
        state=finding.state.value,
        error=failures[-1].error if failures and not manifest else "",
        cause=failures[-1].cause if failures and not manifest else "",
        rejects=rejects_in(place, key, samples, show_values=show_values) if key else None,
    )


def _find(place: Target, asked: lookup.Asked) -> tuple[Finding, tuple[Revision, ...]]:
    """What a survey finds of the batch that is asked for, and the batch's revisions."""
    revisions = tuple(_revisions(place, asked.batch_id))
    if asked.version is None:
        return restarts.find(place, asked.batch_id, restarts.patience()), revisions
    batch_id = _of_readers(revisions) or asked.batch_id
    pipeline, dataset = restarts.pipeline_of(place), restarts.dataset_of_batch(batch_id)
    found = look_at_batch(pipeline, dataset, batch_id, restarts.patience())
    return replace(found, version=asked.version), revisions


def _revisions(place: Target, batch_id: str) -> Iterator[Revision]:
    """The revisions of a batch that have left a manifest or a failure record, or whose execution is known."""
    base, asked = revision_of(batch_id)
    found = dict(_known_revisions(place, base, 1))
    if asked not in found:  # one may be there whose first revision is not any more
        found |= dict(_known_revisions(place, base, asked))
    read = max((number for number, state in found.items() if state is BatchState.PUBLISHED), default=0)
    for number, state in sorted(found.items()):
        yield Revision(number, _revision(base, number), state.value, number == read)


def _known_revisions(place: Target, base: str, first: int) -> Iterator[tuple[int, BatchState]]:
    """The revisions from `first` on until there is none, with what became of each."""
    pipeline, dataset, patient = restarts.pipeline_of(place), restarts.dataset_of_batch(base), restarts.patience()
    for number in count(first):
        state = look_at_batch(pipeline, dataset, _revision(base, number), patient).state
        if state is BatchState.MISSING:
            return
        yield number, state


def _revision(base: str, number: int) -> str:
    return base if number == 1 else f"{base}-r{number}"


def _of_readers(revisions: Sequence[Revision]) -> str | None:
    """The revision that readers take, or else the latest; None where there is none."""
    read = next((one.batch_id for one in revisions if one.is_read), None)
    return read or (revisions[-1].batch_id if revisions else None)


def _source(
    place: Target, finding: Finding, manifest: Manifest | None, found: Sequence[Execution]
) -> tuple[Source | None, datetime | None]:
    """The source of a batch and when it was uploaded, by whatever tells it."""
    failures = (execution.failure for execution in found if execution.failure)
    told = manifest or next(failures, None)
    if told and told.source.key and told.ingested_at:
        return told.source, datetime.fromisoformat(told.ingested_at)
    try:
        batch = restarts.batch_of(place, finding)
    except SourceNotVisibleError:
        return None, None
    return (batch.source, datetime.fromisoformat(batch.ingested_at)) if batch else (None, None)


def _versions(place: Target, source: Source, batch_id: str, is_deleted: bool) -> Iterator[FileVersion]:
    pipeline, patient = restarts.pipeline_of(place), restarts.patience()
    listed = [(version, batch_id_of(pipeline, version)) for version in lookup.versions_of(place, source.key)]

    def state_of(name: str) -> str:
        return look_at_batch(pipeline, restarts.dataset_of_batch(name), name, patient).state.value

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


def _queued(
    place: Target, finding: Finding, source: Source | None, found: Sequence[Execution]
) -> tuple[tuple[Queued, ...], tuple[str, ...]]:
    """The events that wait, and what could not be seen. Only what may wait there is looked for: looking hides it."""
    if finding.state not in (BatchState.MISSING, BatchState.UNTOLD):
        return (), ()
    key, version_id = (source.key, source.version_id) if source else ("", "")
    waiting, hidden = traces.queued(place, key, version_id, {execution.name for execution in found})
    unseen = f"About {hidden} of the messages in the on-failure queue: somebody is at them. Ask again in a minute."
    return tuple(waiting), (unseen,) if hidden else ()


def _heard(place: Target, batch_id: str, since: datetime | None) -> tuple[tuple[Heard, ...], tuple[str, ...]]:
    """What the log says of events, and what could not be looked up."""
    if since is None:
        return (), ()
    try:
        found, is_whole = traces.logged_events(place, revision_of(batch_id)[0], since)
    except ClientError as exc:
        return (), (f"The log of events can't be read ({exc.response['Error']['Code']}).",)
    unknown = () if is_whole else ("The log of events is long: only its beginning was searched.",)
    return tuple(sorted(found, key=lambda event: event.time)), unknown


def _outputs(manifest: Manifest) -> Iterator[Output]:
    for name, table in manifest.tables.items():
        for kind, file in table.files.items():
            yield Output(name, kind, file.key, file.bytes, table.rows)
    if rejects := manifest.rejects:
        rows = manifest.counts.rejected + manifest.counts.superseded
        yield Output("rejects", "jsonl", rejects.key, rejects.bytes, rows)


def _rejects(
    place: Target, manifest: Manifest | None, found: Sequence[Execution], samples: int, show_values: bool
) -> Rejects | None:
    """The rejects that the manifest names, or the latest failure record."""
    key = rejects_key(manifest, [execution.failure for execution in found if execution.failure])
    if key is None:
        return None
    return rejects_in(place, key, samples, show_values=show_values, max_bytes=_REJECT_BYTES)
