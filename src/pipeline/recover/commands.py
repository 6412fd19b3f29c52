"""The recovery commands: replay, backfill, reconcile, redrive and erase. Without --apply, they are dry runs."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from functions.common.batch import is_batch_id, replay_of, revision_of
from functions.common.batch_state import BatchState, ObjectVersion, executions_since, not_notified
from functions.common.planning import PREFIX
from pipeline import console as show
from pipeline.console.files import check_input
from pipeline.deploy.targets import Target, target
from pipeline.errors import CliError, UsageError
from pipeline.options import Combinations, TargetName
from pipeline.recover import corrections, erasure, outputs, restarts, undelivered
from pipeline.recover import show as show_recovery

Apply = Annotated[bool, typer.Option("--apply", help="Make the changes. Without it, the command is a dry run.")]
Concurrency = Annotated[int, typer.Option(min=1, max=100, help="The maximum number of concurrent executions.")]
OnlyPrefix = Annotated[str | None, typer.Option("--prefix", help="Only files whose keys begin with this prefix.")]
Since = Annotated[
    str | None, typer.Option(help="Only files uploaded since 30m, 12h or 7d ago, or a time such as 2026-01-31T12:00Z.")
]

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_AGE = re.compile(r"\d{1,5}[mhd]")


@Combinations(
    at_least_one=("what", "failed", "prefix", "republish", "rejects"),
    exclusive={
        "what": ("failed", "prefix", "since", "rejects"),
        "rejects": ("failed", "prefix", "since", "republish"),
        "failed": ("republish",),
    },
    needs={"release": "republish"},
)
def replay(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[BATCH|KEY]...", help="Batches, or keys of the ingest bucket.")
    ] = None,
    target_name: TargetName = "aws",
    failed: Annotated[bool, typer.Option("--failed", help="Only batches that failed.")] = False,
    prefix: OnlyPrefix = None,
    since: Since = None,
    republish: Annotated[
        bool, typer.Option("--republish", help="Publish a new revision of batches that an earlier release published.")
    ] = False,
    release: Annotated[
        str | None, typer.Option(help="Only batches that the given release published. Requires --republish.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Send the corrected rejects in this file as a new upload.")
    ] = None,
    concurrency: Concurrency = 5,
    apply: Apply = False,
) -> None:
    """Run batches again, or send corrected rejects.

    Select batches or keys by name, by --prefix, or with --failed. --republish publishes a new revision of batches that
    an earlier release published. Without --apply, this command is a dry run.

    \b
    pipeline replay orders-0123…                  one batch
    pipeline replay incoming/orders/x.jsonl       every version of a key that is not published
    pipeline replay --failed --since 7d --apply   all batches that failed in the last week
    pipeline replay --prefix incoming/orders/2026-01/ --republish --apply
    pipeline replay --rejects rejects.jsonl --apply
    """
    selection = _selection(what or [], prefix, since)
    place = target(target_name)
    if rejects is not None:
        _send_correction(place, rejects, apply)
    elif republish:
        _run(place, restarts.republish(place, selection, release), concurrency, apply)
    else:
        _run(place, restarts.replay(place, selection, failed_only=failed), concurrency, apply)


def backfill(
    target_name: TargetName = "aws",
    prefix: OnlyPrefix = None,
    since: Since = None,
    concurrency: Concurrency = 5,
    apply: Apply = False,
) -> None:
    """Start files of any age that were never started.

    Without --apply, this command is a dry run.
    """
    place = target(target_name)
    _run(place, restarts.backfill(place, _selection([], prefix, since)), concurrency, apply)


@Combinations(exclusive={"prefix": ("prune",)})
def reconcile(
    target_name: TargetName = "aws",
    since: Annotated[str, typer.Option(help="How far back: 30m, 12h, 7d, or a time such as 2026-01-31T12:00Z.")] = "3d",
    grace: Annotated[
        str, typer.Option(help="Leave out files younger than this, since their events may still arrive.")
    ] = "15m",
    prefix: OnlyPrefix = None,
    concurrency: Concurrency = 5,
    digests: Annotated[bool, typer.Option("--digests", help="Also check SHA-256, with a request per output.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="With --apply: delete unnamed outputs.")] = False,
    apply: Apply = False,
) -> None:
    """Check that every uploaded file has an outcome.

    Compares the ingest bucket with executions, manifests, failure records and outputs.

    With --apply, starts missing executions and sends missed notifications. Exits with 0 only if every file is accounted
    for. With --prefix, outputs are not checked.
    """
    place, started, patient = target(target_name), _time(since), restarts.patience(_duration(grace))
    young: list[ObjectVersion] = []
    findings = restarts.findings(place, _selection([], prefix, since), patient, young.append)
    found = list(show.tracked(findings, "checking files"))
    published = [one for one in found if one.state is BatchState.PUBLISHED]
    pipeline = restarts.pipeline_of(place)
    failed = list(not_notified(pipeline, executions_since(pipeline, started), patient))
    checked: list[outputs.Checked] = []
    if prefix is None:
        show.step("checking the outputs")
        until = patient.now - patient.grace
        checked = list(outputs.check_outputs(place, started, until, published, digests=digests))
    show_recovery.findings(found, failed)
    if young:
        show.out.print(f"Left out files that are younger than {grace} (--grace): {show.many(len(young), 'file')}.")
    show_recovery.checked_outputs(checked)
    missing = [one for one in found if one.state is BatchState.MISSING]
    unresolved = [one for one in found if one.state in (BatchState.STUCK, BatchState.LOST, BatchState.UNKNOWN)]
    damaged = [one for one in checked if one.missing]
    if not apply:
        if missing or failed or any(one.orphans for one in checked):
            show.out.print("Nothing was changed. --apply starts and notifies. --apply --prune also deletes orphans.")
        if unresolved or damaged or missing or failed:
            raise typer.Exit(1)
        return
    if prune:
        deleted = sum(len(outputs.prune(place, one)) for one in checked if one.orphans and not one.kept)
        show.out.print(f"Deleted {show.many(deleted, 'output')} that no manifest names.")
    n_not_sent = _send_missed_notifications(place, failed)
    if missing:
        _run(place, (restarts.next_execution(place, one) for one in missing), concurrency, apply=True)
    if unresolved or damaged or n_not_sent:
        raise typer.Exit(1)


def redrive(target_name: TargetName = "aws", apply: Apply = False) -> None:
    """Show the events in the failed-event queue, or send them again.

    With --apply, sends each event to its function.
    """
    place = target(target_name)
    handled, failed = 0, 0
    show.step("reading the queue")
    for message, error in undelivered.redrive(place) if apply else undelivered.peek(place):
        handled, failed = handled + (not error), failed + bool(error)
        outcome = "handled" if apply and not error else error
        about = show.plain(message.about) or "?"
        show.out.print(f"{message.sent:%Y-%m-%d %H:%M:%S} UTC  {message.function}  {about}\n  {show.plain(outcome)}")
    hidden = undelivered.waiting(place) - (failed if apply else handled + failed)
    if hidden > 0:
        number = show.many(hidden, "message")
        raise CliError(f"About {number} can't be read, because other readers have them.", "Try again in 15 minutes.")
    if apply and failed:
        raise CliError(
            "Some events failed again and stay in the queue.", "Fix the errors above, then run the command again."
        )
    if not handled + failed:
        show.out.print("The queue is empty.")
    elif not apply:
        show.out.print("Nothing was sent. To send the events again, add --apply.")


def erase(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="The batch to delete.")],
    target_name: TargetName = "aws",
    apply: Apply = False,
) -> None:
    """Delete a batch and its source permanently.

    Deletes every version of every object that the pipeline created from the batch. This can't be undone. Without
    --apply, this command is a dry run.
    """
    place = target(target_name)
    batch = erasure.find_batch(place, batch_id)
    found, name = erasure.stored_versions(place, batch), revision_of(batch.batch_id)[0]
    if found:
        has_source = found[-1][0] == batch.source.bucket
        source = f"and their source {show.plain(batch.source.uri)}" if has_source else "whose source no longer exists"
        show.out.print(f"All revisions of {name}, {source}:")
    else:
        show.out.print(f"No object of {name} exists: the batch was erased or has expired.")
    for bucket, count in sorted(Counter(bucket for bucket, _, _ in found).items()):
        show.out.print(f"  {show.many(count, 'version')} of objects in {bucket}")
    for key in erasure.corrections(place, batch):
        show.out.print(f"Its corrected rejects are a separate file. Erase its batch too: {show.plain(key)}")
    if not found:
        return
    if not apply:
        show.out.print("Nothing was deleted. To delete these versions permanently, add --apply.")
        return
    erasure.erase(place, found)
    show.out.print("Erased.")


def _selection(what: list[str], prefix: str | None, since: str | None) -> restarts.Selection:
    """Return the selection of the given batches and keys. Raises UsageError for anything else."""
    batches, keys = [], []
    for one in what:
        batch_id, _ = replay_of(one)  # the name of an execution selects its batch
        if is_batch_id(batch_id):
            batches.append(batch_id)
        elif one.startswith(PREFIX):
            keys.append(one)
        else:
            raise UsageError(f"{one} isn't a batch or a key.", f"Keys of the ingest bucket begin with {PREFIX}.")
    if prefix is not None and not prefix.startswith(PREFIX):
        raise UsageError(f"--prefix can't be {prefix}.", f"Keys of the ingest bucket begin with {PREFIX}.")
    return restarts.Selection(tuple(batches), tuple(keys), prefix or PREFIX, _time(since))


def _run(place: Target, starts: Iterable[restarts.Start], concurrency: int, apply: bool) -> None:
    """Print the planned executions, or run them and print their results. Exits with 1 unless all succeed."""
    planned = list(show.tracked(starts, "checking batches"))
    wanted = [start for start in planned if start.batch]
    show_recovery.starts(wanted, [start for start in planned if not start.batch])
    if not wanted:
        show.out.print("There is nothing to start.")
        return
    if not apply:
        show.out.print(f"{show.many(len(wanted), 'execution')} would start. To start, add --apply.")
        return
    begun: list[restarts.Start] = []
    ended: list[restarts.EndedBatch] = []
    try:
        ending = restarts.run_all(place, wanted, concurrency, begun.append)
        ended.extend(show.tracked(ending, "running executions", len(wanted)))
    except KeyboardInterrupt:
        show.step(
            f"stopped: {len(ended)} of {len(wanted)} have ended, {len(begun) - len(ended)} are still running, "
            "and the rest did not start. To start the rest, run the command again"
        )
        raise
    bad = [one for one in ended if one.status != "SUCCEEDED"]
    for one in bad[: show_recovery.SHOWN]:
        error = show.plain(one.error)
        show.out.print(f"  [red]{one.status}[/red] {one.start.name}  {show.plain(one.start.key)}  {error}")
    show.out.print(f"{len(ended) - len(bad)} of {len(wanted)} succeeded.")
    if bad:
        raise typer.Exit(1)


def _send_correction(place: Target, path: Path, apply: bool) -> None:
    check_input(path, "pipeline replay --rejects path/to/rejects.jsonl")
    with path.open("rb") as lines:
        batch_id, data = corrections.corrected(lines)
    corrections.check_known(place, batch_id)
    records = show.many(data.count(b"\n"), "corrected record")
    if not apply:
        show.out.print(f"{records} of {batch_id} would be sent. To send, add --apply.")
        return
    key, correction = corrections.send_correction(place, batch_id, data)
    if correction is None:
        show.out.print(f"The same records were sent before: {show.plain(key)}.")
    else:
        show.out.print(f"Sent {records} of {batch_id} as {show.plain(key)}, batch {correction}.")


def _send_missed_notifications(place: Target, failed: list[Mapping[str, Any]]) -> int:
    """Record and notify each failure, and return the number of failures for which that did not work."""
    problems = 0
    for execution in failed:
        try:
            restarts.record_failure(place, execution["name"])
        except CliError as problem:
            show.error(problem)
            problems += 1
    return problems


def _time(text: str | None) -> datetime:
    """Convert an age, or an ISO 8601 time with a zone, to a point in time. Raises UsageError for any other string."""
    if text is None:
        return restarts.EVER
    if _AGE.fullmatch(text):
        return datetime.now(UTC) - _duration(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise UsageError(f"--since can't be {text}.", "Give an age such as 12h or 7d, or a time with a time zone.")
    return time


def _duration(text: str) -> timedelta:
    """Convert a string such as 30m, 12h or 7d to a duration. Raises UsageError for any other string."""
    if not _AGE.fullmatch(text):
        raise UsageError(f"{text} isn't a duration.", "Give a duration such as 15m, 12h or 7d.")
    return int(text[:-1]) * _UNITS[text[-1]]


COMMANDS: Mapping[str, Callable[..., None]] = {
    "replay": replay,
    "backfill": backfill,
    "reconcile": reconcile,
    "redrive": redrive,
    "erase": erase,
}
