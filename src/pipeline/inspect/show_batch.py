"""Prints the output of `explain`, as plain lines that are never shortened for a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from functions.common.batch import title_of
from functions.common.batch_state import state_words
from functions.common.execution_history.model import Ended, Step
from pipeline.console import many, out, plain, plain_lines
from pipeline.console.balance import balance
from pipeline.inspect import show_rejects
from pipeline.inspect.batch_history.model import BatchHistory, Execution, Outcome, Trouble

_MAX_TROUBLES = 10
_ENDED_COLORS = {Ended.SUCCEEDED: "green", Ended.RUNNING: "cyan", Ended.CAUGHT: "yellow"}


def history(batch: BatchHistory) -> None:
    """Print the whole history of a batch in order, and what to do next."""
    _headline(batch)
    _arrival(batch)
    for execution in batch.executions:
        _execution(execution)
    if batch.manifest:
        balance(batch.manifest)
        version, release = batch.manifest.contract_version, batch.manifest.release
        out.print(f"  with version {version} of the contract {plain(batch.dataset)}, release {plain(release)}")
    if batch.rejects:
        _title(f"Rejects and superseded records, in s3://{batch.processed_bucket}/{batch.rejects.key}")
        if batch.manifest and not batch.rejects.is_whole:
            reasons = {**batch.manifest.rejected_by_reason, "superseded": batch.manifest.counts.superseded}
            out.print("  " + ", ".join(f"{plain(reason)} {number:,}" for reason, number in reasons.items()))
        show_rejects.groups(batch.rejects)
    _versions(batch)
    if batch.outputs:
        _title(f"Outputs, in s3://{batch.processed_bucket}/")
        for output in batch.outputs:
            out.print(f"  {plain(output.key)}  {many(output.rows, 'row')}, {many(output.bytes, 'byte')}")
        out.print(f"  {plain(batch.manifest_key)}")
    _title("In the console" if batch.target == "aws" else "In the console (on AWS; the local emulator has none)")
    out.print(f"  {batch.console_url}", markup=False)
    for sentence in batch.unknown:
        out.print(f"[yellow]Not looked up:[/yellow] {plain(sentence)}")
    _title("Next")
    if not batch.actions:
        out.print("  Nothing needs to be done.")
    for action in batch.actions:
        out.print(f"  {plain_lines(action.sentence)}")
        if action.command:
            out.print(f"    {action.command}", markup=False)


def _headline(batch: BatchHistory) -> None:
    title = plain(title_of(batch.source.bucket, batch.source.key)) if batch.source else batch.batch_id
    out.print(f"[bold {batch.outcome.color}]{batch.outcome.upper()}[/]  {title}")
    counts = batch.manifest.counts if batch.manifest else None
    numbers = f" Published: {counts.published:,} of {counts.received:,}." if counts else ""
    failed, sentence = batch.failed, batch.outcome.sentence
    if failed and batch.outcome is Outcome.PUBLISHED:
        sentence = "Every record is accounted for, but a later step failed."
    out.print(f"  {sentence}{numbers}")
    if failed and (failed.error or failed.cause):
        after = "A later step failed: " if batch.outcome.is_published else ""
        out.print(f"  {after}{_error(failed.error, failed.cause)}")
    out.print(f"  batch {batch.batch_id}" + (f", revision {batch.revision}" if batch.revision > 1 else ""))
    read = next((one.batch_id for one in batch.revisions if one.is_read), batch.batch_id)
    if read != batch.batch_id:
        out.print(f"  readers get another revision: {read}")


def _arrival(batch: BatchHistory) -> None:
    _title("Source")
    if batch.source is None or batch.uploaded is None:
        out.print("  No record shows its source.")
    else:
        gone = "" if batch.is_source_there else "; [yellow]this version no longer exists[/yellow]"
        out.print(f"  {_time(batch.uploaded)}  uploaded, {many(batch.source.size, 'byte')}{gone}")
        out.print(f"  version {plain(batch.source.version_id)}, ETag {plain(batch.source.etag)}")
        if batch.source.corrects:
            out.print(f"  this file corrects rejects of the batch {plain(batch.source.corrects)}")
    for event in batch.heard:
        out.print(f"  {_time(event.time)}  {event.sentence()}")
    for one in batch.queued:
        out.print(f"  {_time(one.since)}  [red]in the failed-event queue[/red]: the event for {plain(one.function)}")
        out.print(f"    {plain(one.error)}")


def _execution(execution: Execution) -> None:
    kind = f"Replay {execution.replay}" if execution.replay else "First execution"
    took = "" if execution.seconds is None else f" after {execution.seconds:,.1f} s"
    if execution.status == "RUNNING" and execution.started:
        took = f" for {(datetime.now(UTC) - execution.started).total_seconds():,.0f} s"
    cost = f", USD {float(execution.cost.usd):.6f}" if execution.cost else ""
    redriven = f", redriven {many(execution.redrives, 'time')} in the console" if execution.redrives else ""
    _title(f"{kind}: {execution.status}{took}{cost}{redriven}")
    out.print(f"  {execution.name}")
    if execution.is_forgotten:
        out.print("  AWS deleted its history 90 days after its end. The data below comes from its records.")
    for step in execution.steps:
        _step(step)
    _troubles(execution.troubles)
    if execution.steps and execution.status != "RUNNING" and execution.not_reached:
        out.print(f"  [dim]not reached: {', '.join(map(plain, execution.not_reached))}[/dim]")
    shown = {trouble.one.error for trouble in execution.troubles}
    if execution.error and execution.status != "RUNNING" and execution.error not in shown:
        out.print(f"  {_error(execution.error, execution.cause)}")
    if execution.failure:
        notified = "a notification was sent" if execution.failure.is_notified else "no notification was sent yet"
        out.print(f"  its failure is recorded; {notified}")


def _step(step: Step) -> None:
    is_shown = step.kind != "Fail" and (step.kind in ("Task", "Map") or step.outcome is not Ended.SUCCEEDED)
    took = f", {step.seconds:,.2f} s" if step.seconds is not None else ""
    how = f"  {_ended_with_retries(step)}{took}" if is_shown else ""
    out.print(f"  {step.entered:%H:%M:%S.%f}"[:-3] + f"  {plain(step.name)}{how}")
    if step.inside_untold:
        out.print(f"      [dim]{many(step.scheduled, 'task')}; the history doesn't separate its chunks[/dim]")
    if step.chunks:
        counts = {ended: sum(chunk.outcome is ended for chunk in step.chunks) for ended in Ended}
        by_outcome = ", ".join(f"{number} {ended}" for ended, number in counts.items() if number)
        out.print(f"      {many(len(step.chunks), 'chunk')}: {by_outcome}")


def _troubles(troubles: Sequence[Trouble]) -> None:
    """Print the failed tries of an execution, up to ten of them."""
    for trouble in troubles[:_MAX_TROUBLES]:
        number, one = f", try {trouble.number}" if trouble.number else "", trouble.one
        took = f" after {one.seconds:,.2f} s" if one.seconds is not None else ""
        why = "".join(f": {plain(part)}" for part in (one.error, one.cause) if part)
        out.print(f"    {plain(trouble.name)}{number}: {_ended(one.outcome)}{took}{why}")
    if len(troubles) > _MAX_TROUBLES:
        out.print(f"    … and {len(troubles) - _MAX_TROUBLES:,} more failed tries")


def _versions(batch: BatchHistory) -> None:
    if len(batch.versions) > 1 or batch.is_deleted:
        _title("Versions of this key, newest first")
        if batch.is_deleted:
            out.print("  the key is deleted, but its versions are not")
        for version in batch.versions:
            marks = [name for name, is_so in (("current", version.is_current), ("this one", version.is_this)) if is_so]
            marked = f" ({', '.join(marks)})" if marks else ""
            out.print(f"  {_time(version.uploaded)}  {version.batch_id}  {state_words(version.state)}{marked}")
    if len(batch.revisions) > 1:
        _title("Revisions of this batch")
        for revision in batch.revisions:
            read = " (readers get this one)" if revision.is_read else ""
            out.print(f"  {revision.batch_id}  {state_words(revision.state)}{read}")


def _title(text: str) -> None:
    out.print(f"\n[bold]{plain(text)}[/bold]")


def _error(error: str, cause: str) -> str:
    return f"[bold]{plain(error)}[/bold]: {plain(cause)}"


def _ended(ended: Ended) -> str:
    return f"[{_ENDED_COLORS.get(ended, 'red')}]{ended}[/]"


def _ended_with_retries(step: Step) -> str:
    return _ended(step.outcome) + (f", {many(step.retries, 'retry', 'retries')}" if step.retries else "")


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
