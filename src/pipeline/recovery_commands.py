"""The commands that mend: replay, backfill, reconcile, redrive, erase. Each only tells, until it is given --apply."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from functions.common.planning import PREFIX
from functions.reconciler.index import status_change
from functions.reconciler.survey import Finding, Patience, State
from pipeline import corrections, erasure, outputs, recovery, runs, show, undelivered
from pipeline.errors import CliError, UsageError
from pipeline.targets import Target, target

TargetName = Annotated[str, typer.Option("--target", metavar="aws|local", help="An AWS account, or the embedded AWS.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this the command only says what it would do.")]
Concurrency = Annotated[int, typer.Option(min=1, max=100, help="How many executions may run at a time.")]
Prefix = Annotated[str, typer.Option(help="Only files whose keys begin so.")]
Since = Annotated[
    str | None, typer.Option(help="Only files that came in since: 30m, 12h, 7d, or a time such as 2026-01-31T12:00Z.")
]

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SHOWN = 50
_BATCH = re.compile(r"[a-z][a-z0-9_]*-[0-9a-f]{32}(-r[1-9]\d*)?")


def replay(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[BATCH|KEY]...", help="Batches, or keys of the ingest bucket.")
    ] = None,
    target_name: TargetName = "aws",
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    prefix: Prefix = PREFIX,
    since: Since = None,
    republish: Annotated[
        bool, typer.Option("--republish", help="Publish anew, as a new revision, what an earlier release published.")
    ] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Send the corrected rejects in this file as a new upload.")
    ] = None,
    concurrency: Concurrency = 5,
    apply: Apply = False,
) -> None:
    """Run batches again: those named, those under a prefix, all that failed, or a batch's corrected rejects.

    \b
    pipeline replay orders-0123…                  one batch
    pipeline replay incoming/orders/x.jsonl       every version of one key that is not published
    pipeline replay --failed --since 7d --apply   all that failed in the last week
    pipeline replay --prefix incoming/orders/2026-01/ --republish --apply
    pipeline replay --rejects rejects.jsonl --apply
    """
    named = tuple(what or ())
    if sum([bool(named), failed, prefix != PREFIX or (republish and not named), rejects is not None]) != 1:
        raise UsageError(
            "Say what to replay, in one way.", "Name batches or keys, or give one of --failed, --prefix, --rejects."
        )
    for one in named:
        if not (_BATCH.fullmatch(one) or one.startswith(PREFIX)):
            raise UsageError(f"{one} is neither a batch nor a key.", f"Keys of the ingest bucket begin with {PREFIX}.")
    place = target(target_name)
    if rejects is not None:
        _send_correction(place, rejects, apply)
        return
    selection = recovery.Selection(
        batches=tuple(one for one in named if _BATCH.fullmatch(one)),
        keys=tuple(one for one in named if not _BATCH.fullmatch(one)),
        prefix=prefix,
        since=_time(since),
    )
    if republish:
        starts = recovery.republish(place, selection)
    else:
        starts = recovery.replay(place, selection, failed_only=failed)
    _run(place, starts, concurrency, apply)


def backfill(
    target_name: TargetName = "aws",
    prefix: Prefix = PREFIX,
    since: Since = None,
    concurrency: Concurrency = 5,
    apply: Apply = False,
) -> None:
    """Start what lies in the ingest bucket and was never started, however old it is."""
    place = target(target_name)
    _run(place, recovery.backfill(place, recovery.Selection(prefix=prefix, since=_time(since))), concurrency, apply)


def reconcile(
    target_name: TargetName = "aws",
    since: Annotated[str, typer.Option(help="How far back: 30m, 12h, 7d, or a time such as 2026-01-31T12:00Z.")] = "3d",
    grace: Annotated[str, typer.Option(help="Files younger than this may still be on their way.")] = "15m",
    prefix: Prefix = PREFIX,
    concurrency: Concurrency = 5,
    prune: Annotated[
        bool, typer.Option("--prune", help="With --apply, delete outputs that no manifest names.")
    ] = False,
    apply: Apply = False,
) -> None:
    """Compare the ingest bucket with executions, manifests, failure records and outputs.

    With --apply what is missing is started, and failures that nobody was told of are told. Exits 0 only if every
    file is accounted for.
    """
    place, started, patient = target(target_name), _time(since), recovery.patience(_duration(grace))
    found = list(_counted(place, recovery.Selection(prefix=prefix, since=started), patient))
    checked = list(outputs.check_outputs(place, started, patient.now - patient.grace))
    _show_findings(found)
    _show_outputs(checked)
    open_cases = [one for one in found if one.state in (State.STUCK, State.LOST)]
    damaged = [one for one in checked if one.missing]
    missing = [one for one in found if one.state is State.MISSING]
    untold = [one for one in found if one.state is State.UNTOLD]
    orphans = [key for one in checked for key in one.orphans]
    if apply:
        _tell_of_failures(place, untold)
        if prune:
            outputs.prune(place, orphans)
            show.out.print(f"Deleted {_many(len(orphans), 'output')} that no manifest names.")
        starts = (recovery.first(place, one, "never started") for one in missing)
        _run(place, starts, concurrency, apply=True)
    else:
        open_cases += missing + untold
        if missing or untold or orphans:
            show.out.print("Nothing was changed. --apply starts and tells; --apply --prune also deletes orphans.")
    if open_cases or damaged:
        raise typer.Exit(1)


def redrive(target_name: TargetName = "aws", apply: Apply = False) -> None:
    """Show the events in the on-failure queue, or send them back to the functions that they were for."""
    place = target(target_name)
    if not apply:
        messages = undelivered.peek(place)
        hidden = undelivered.waiting(place) - len(messages)
        _show_undelivered([(message, message.error) for message in messages], "error")
        if hidden > 0:
            show.out.print(f"About {hidden} more are hidden, since somebody has looked at them: try again in a minute.")
        if messages:
            show.out.print("Nothing was sent. Add --apply to send them back.")
        return
    results = list(undelivered.redrive(place))
    _show_undelivered(results, "outcome")
    if any(error for _, error in results):
        raise CliError("Some events failed again; they stay in the queue.", "Mend what the outcome says, and repeat.")


def erase(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")], target_name: TargetName = "aws", apply: Apply = False
) -> None:
    """Delete a batch for good: its source version, and every version of all that was made of it. Cannot be undone."""
    place = target(target_name)
    batch = erasure.find_batch(place, batch_id)
    found = erasure.traces(place, batch)
    show.out.print(f"{batch.batch_id}, of {escape(batch.source.uri)}:")
    for bucket, count in sorted(Counter(bucket for bucket, _, _ in found).items()):
        show.out.print(f"  {_many(count, 'version')} of objects in {bucket}")
    if not apply:
        show.out.print("Nothing was deleted. Add --apply to delete them for good.")
        return
    erasure.erase(place, found)
    show.out.print("Erased.")


def _run(place: Target, starts: Iterable[recovery.Start], concurrency: int, apply: bool) -> None:
    """Show what would be started, or start it and tell how each ended; exits 1 unless all succeeded."""
    planned = list(starts)
    wanted = [start for start in planned if start.batch]
    _show_starts(planned)
    if not wanted:
        show.out.print("Nothing to start.")
        return
    if not apply:
        show.out.print(f"{_many(len(wanted), 'execution')} would be started. Add --apply to start them.")
        return
    ended = _follow(place, wanted, concurrency)
    bad = [one for one in ended if one.status != "SUCCEEDED"]
    for one in bad[:_SHOWN]:
        show.out.print(f"  [red]{one.status}[/red] {one.start.name}  {escape(one.start.key)}  {escape(one.error)}")
    show.out.print(f"{len(ended) - len(bad)} of {len(wanted)} succeeded.")
    if bad:
        raise typer.Exit(1)


def _follow(place: Target, wanted: list[recovery.Start], concurrency: int) -> list[recovery.Ended]:
    columns = (TextColumn("[dim]·[/dim] {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    ended: list[recovery.Ended] = []
    begun: list[recovery.Start] = []
    try:
        with Progress(*columns, console=show.err, disable=not show.err.is_terminal) as progress:
            task = progress.add_task("executions", total=len(wanted))
            for one in recovery.run_all(place, wanted, concurrency, begun.append):
                ended.append(one)
                progress.update(task, completed=len(ended))
    except KeyboardInterrupt:
        show.step(
            f"stopped: {len(ended)} of {len(wanted)} have ended, {len(begun) - len(ended)} go on by themselves, "
            "the rest was not started; run the same again for it"
        )
        raise
    return ended


def _counted(place: Target, selection: recovery.Selection, patient: Patience) -> Iterable[Finding]:
    with Progress(TextColumn("[dim]·[/dim] looked at {task.completed} files"), console=show.err, transient=True) as bar:
        task = bar.add_task("", total=None)
        for finding in recovery.findings(place, selection, patient):
            bar.advance(task)
            yield finding


def _send_correction(place: Target, path: Path, apply: bool) -> None:
    runs.check_input(path)
    with path.open("rb") as lines:
        batch_id, data = corrections.corrected(lines)
    corrections.check_known(place, batch_id)
    records = _many(data.count(b"\n"), "corrected record")
    if not apply:
        show.out.print(f"{records} of {batch_id} would be sent. Add --apply to send them.")
        return
    key, correction = corrections.send_correction(place, batch_id, data)
    if correction is None:
        show.out.print(f"The same was sent before: {escape(key)}.")
    else:
        show.out.print(f"Sent {records} of {batch_id} as {escape(key)}, batch {correction}.")


def _tell_of_failures(place: Target, findings: list[Finding]) -> None:
    for finding in findings:
        assert finding.execution is not None
        recovery.tell_record_failure(place, status_change(finding.execution))


def _show_starts(planned: list[recovery.Start]) -> None:
    grid = show.grid("Executions")
    for name in ("batch", "file", "execution", "why"):
        grid.add_column(name, no_wrap=True)
    for start in planned[:_SHOWN]:
        grid.add_row(start.batch_id, escape(start.key), start.name or "none", start.reason)
    if planned:
        show.out.print(grid)
    if len(planned) > _SHOWN:
        show.out.print(f"  … and {len(planned) - _SHOWN} more")


def _show_findings(found: list[Finding]) -> None:
    counts = Counter(one.state for one in found)
    show.out.print(f"{_many(len(found), 'file')}: " + ", ".join(f"{counts[state]} {state}" for state in State))
    grid = show.grid("")
    for name in ("state", "batch", "file"):
        grid.add_column(name, no_wrap=True)
    cases = [one for one in found if one.state not in (State.PUBLISHED, State.RUNNING)]
    for one in cases[:_SHOWN]:
        grid.add_row(one.state.value, one.batch_id, escape(one.version.key if one.version else ""))
    if cases:
        show.out.print(grid)
    if len(cases) > _SHOWN:
        show.out.print(f"  … and {len(cases) - _SHOWN} more")


def _show_outputs(checked: list[outputs.Checked]) -> None:
    for one in checked:
        for key in one.orphans:
            show.out.print(f"orphan: {escape(key)} (no manifest names it)")
        for key in one.missing:
            show.out.print(f"damaged: {escape(key)} (the manifest of {one.batch_id} names it; it is gone or changed)")


def _show_undelivered(messages: list[tuple[undelivered.Undelivered, str]], last: str) -> None:
    if not messages:
        show.out.print("The queue is empty.")
        return
    grid = show.grid("Events that no retry got handled")
    for name in ("since (UTC)", "function", "about", last):
        grid.add_column(name, no_wrap=True)
    for message, text in messages:
        since = f"{message.sent:%Y-%m-%d %H:%M:%S}"
        grid.add_row(since, message.function, escape(message.about), escape(text or "handled"))
    show.out.print(grid)


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _time(text: str | None) -> datetime:
    """A point in time: an age, or an ISO 8601 time with a zone. Raises UsageError."""
    if text is None:
        return recovery.EVER
    if re.fullmatch(r"\d+[mhd]", text):
        return datetime.now(UTC) - _duration(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise UsageError(f"--since can't be {text}.", "Give an age such as 12h or 7d, or a time with its zone.")
    return time


def _duration(text: str) -> timedelta:
    """30m, 12h or 7d. Raises UsageError."""
    if not re.fullmatch(r"\d+[mhd]", text):
        raise UsageError(f"{text} is no length of time.", "Give one such as 15m, 12h or 7d.")
    return int(text[:-1]) * _UNITS[text[-1]]


COMMANDS: tuple[Callable[..., None], ...] = (replay, backfill, reconcile, redrive, erase)
