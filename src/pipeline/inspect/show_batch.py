"""What `explain` prints: plain lines, which neither a narrow terminal nor a pipe cuts."""

from datetime import UTC, datetime

from functions.common.batch import title_of
from pipeline.console import many, out, plain, plain_lines
from pipeline.console.balance import balance
from pipeline.inspect import show_rejects
from pipeline.inspect.batch_history.model import (
    Chunk,
    Ended,
    Execution,
    Outcome,
    Step,
    Story,
)
from pipeline.inspect.outcome import SENTENCES
from pipeline.inspect.show_executions import COLORS

_MAX_CHUNKS = 10
_ENDED_COLORS = {Ended.SUCCEEDED: "green", Ended.RUNNING: "cyan", Ended.CAUGHT: "yellow"}


def story(told: Story) -> None:
    """The whole story, in the order in which it happened, and what to do next."""
    _headline(told)
    _arrival(told)
    for execution in told.executions:
        _execution(execution)
    _account(told)
    if told.rejects:
        _title(f"Rejects and superseded records, in s3://{told.processed_bucket}/{told.rejects.key}")
        if told.manifest and not told.rejects.is_whole:
            reasons = {**told.manifest.rejected_by_reason, "superseded": told.manifest.counts.superseded}
            out.print("  " + ", ".join(f"{plain(reason)} {number:,}" for reason, number in reasons.items()))
        show_rejects.groups(told.rejects)
    _versions(told)
    if told.outputs:
        _title(f"Outputs, in s3://{told.processed_bucket}/")
        for output in told.outputs:
            out.print(f"  {plain(output.key)}  {many(output.rows, 'row')}, {many(output.bytes, 'byte')}")
        out.print(f"  {plain(told.manifest_key)}")
    _title("In the console" if told.target == "aws" else "In the console (the embedded AWS has none: as it is on AWS)")
    out.print(f"  {told.console_url}", markup=False)
    for sentence in told.unknown:
        out.print(f"[yellow]Not looked up:[/yellow] {plain(sentence)}")
    _next(told)


def _headline(told: Story) -> None:
    title = plain(title_of(told.source.bucket, told.source.key)) if told.source else told.batch_id
    out.print(f"[bold {COLORS[told.outcome]}]{told.outcome.upper()}[/]  {title}")
    counts = told.manifest.counts if told.manifest else None
    numbers = f" Published: {counts.published:,} of {counts.received:,}." if counts else ""
    failed = told.failed
    sentence = SENTENCES[told.outcome]
    if failed and told.outcome is Outcome.PUBLISHED:
        sentence = "Every record is accounted for, but a step after that failed."
    out.print(f"  {sentence}{numbers}")
    if failed and (failed.error or failed.cause):
        after = "A step after that failed: " if told.outcome.is_published else ""
        out.print(f"  {after}[bold]{plain(failed.error)}[/bold]: {plain(failed.cause)}")
    out.print(f"  batch {told.batch_id}" + (f", revision {told.revision}" if told.revision > 1 else ""))
    read = next((one.batch_id for one in told.revisions if one.is_read), told.batch_id)
    if read != told.batch_id:
        out.print(f"  readers take another revision: {read}")


def _arrival(told: Story) -> None:
    _title("What came in")
    if told.source is None or told.uploaded is None:
        out.print("  Nothing tells its source any more.")
    else:
        gone = "" if told.is_source_there else "; [yellow]this version is not there any more[/yellow]"
        out.print(f"  {_time(told.uploaded)}  uploaded, {many(told.source.size, 'byte')}{gone}")
        out.print(f"  version {plain(told.source.version_id)}, ETag {plain(told.source.etag)}")
        if told.source.corrects:
            out.print(f"  it corrects rejects of the batch {plain(told.source.corrects)}")
    for event in told.heard:
        out.print(f"  {_time(event.time)}  {event.sentence()}")
    for waiting in told.queued:
        out.print(
            f"  {_time(waiting.since)}  [red]in the on-failure queue[/red]: the event for {plain(waiting.function)}"
        )
        out.print(f"    {plain(waiting.error)}")


def _execution(execution: Execution) -> None:
    kind = f"Replay {execution.replay}" if execution.replay else "First execution"
    took = "" if execution.seconds is None else f" after {execution.seconds:,.1f} s"
    if execution.status == "RUNNING" and execution.started:
        took = f" for {(datetime.now(UTC) - execution.started).total_seconds():,.0f} s"
    cost = f", USD {float(execution.cost.usd):.6f}" if execution.cost else ""
    redriven = f", resumed {many(execution.redrives, 'time')} in the console" if execution.redrives else ""
    _title(f"{kind}: {execution.status}{took}{cost}{redriven}")
    out.print(f"  {execution.name}")
    if execution.is_forgotten:
        out.print("  AWS has forgotten it (90 days after its end): this is what its records say.")
    for step in execution.steps:
        _step(step)
    if execution.steps and execution.status != "RUNNING" and execution.not_reached:
        out.print(f"  [dim]not reached: {', '.join(map(plain, execution.not_reached))}[/dim]")
    shown = {step.error for step in execution.steps if step.tries or step.chunks}
    if execution.error and execution.status != "RUNNING" and execution.error not in shown:
        out.print(f"  [bold]{plain(execution.error)}[/bold]: {plain(execution.cause)}")
    if execution.failure:
        told_by = "a notice was sent" if execution.failure.is_notified else "nobody was told yet"
        out.print(f"  its failure is recorded; {told_by}")


def _step(step: Step) -> None:
    retried = f", {many(step.retries, 'retry', 'retries')}" if step.retries else ""
    worked = step.kind in ("Task", "Map") or step.outcome is not Ended.SUCCEEDED
    took = f", {step.seconds:,.2f} s" if step.seconds is not None and worked and step.kind != "Fail" else ""
    how = f"  {_ended(step.outcome)}{retried}{took}" if worked and step.kind != "Fail" else ""
    out.print(f"  {step.entered:%H:%M:%S.%f}"[:-3] + f"  {plain(step.name)}{how}")
    if step.inside_untold:
        out.print(f"      [dim]{many(step.scheduled, 'task')} in it; the history does not tell its chunks apart[/dim]")
    _tries(step, "      ")
    if step.chunks:
        counts = {ended: sum(chunk.outcome is ended for chunk in step.chunks) for ended in Ended}
        said = ", ".join(f"{number} {ended}" for ended, number in counts.items() if number)
        out.print(f"      {many(len(step.chunks), 'chunk')}: {said}")
    notable = [chunk for chunk in step.chunks if _is_notable(chunk)]
    for chunk in notable[:_MAX_CHUNKS]:
        out.print(f"      chunk {chunk.number}  {_ended(chunk.outcome)}")
        for inner in chunk.steps:
            retried = f", {many(inner.retries, 'retry', 'retries')}" if inner.retries else ""
            out.print(f"        {plain(inner.name)}  {_ended(inner.outcome)}{retried}")
            _tries(inner, "          ")
    if len(notable) > _MAX_CHUNKS:
        out.print(f"      … and {len(notable) - _MAX_CHUNKS} more chunks with retries or errors")


def _tries(step: Step, indent: str) -> None:
    """The tries of a step, if there is anything to say of them."""
    if all(one.outcome in (Ended.SUCCEEDED, Ended.RUNNING) for one in step.tries) and len(step.tries) < 2:
        return
    for number, one in enumerate(step.tries, 1):
        when = f"{one.started or one.ended:%H:%M:%S}" if one.started or one.ended else ""
        took = f" after {one.seconds:,.2f} s" if one.seconds is not None else ""
        name = "a task" if step.inside_untold else f"try {number}"
        why = f": {plain(one.error)}: {plain(one.cause)}".rstrip(": ") if one.error or one.cause else ""
        out.print(f"{indent}{name}  {when}  {_ended(one.outcome)}{took}{why}")


def _is_notable(chunk: Chunk) -> bool:
    return chunk.outcome is not Ended.SUCCEEDED or any(step.retries for step in chunk.steps)


def _account(told: Story) -> None:
    if told.manifest is None:
        return
    balance(told.manifest)
    version, release = told.manifest.contract_version, told.manifest.release
    out.print(f"  by version {version} of the contract {plain(told.dataset)}, release {plain(release)}")


def _versions(told: Story) -> None:
    if len(told.versions) > 1 or told.is_deleted:
        _title("Versions of this key, newest first")
        if told.is_deleted:
            out.print("  the key is deleted now; its versions are not")
        for version in told.versions:
            marks = [name for name, is_so in (("current", version.is_current), ("this one", version.is_this)) if is_so]
            marked = f" ({', '.join(marks)})" if marks else ""
            out.print(f"  {_time(version.uploaded)}  {version.batch_id}  {version.state}{marked}")
    if len(told.revisions) > 1:
        _title("Revisions of this batch")
        for revision in told.revisions:
            out.print(
                f"  {revision.batch_id}  {revision.state}{' (readers take this one)' if revision.is_read else ''}"
            )


def _next(told: Story) -> None:
    _title("Next")
    if not told.actions:
        out.print("  Nothing needs to be done.")
    for action in told.actions:
        out.print(f"  {plain_lines(action.sentence)}")
        if action.command:
            out.print(f"    {action.command}", markup=False)


def _title(text: str) -> None:
    out.print(f"\n[bold]{plain(text)}[/bold]")


def _ended(ended: Ended) -> str:
    return f"[{_ENDED_COLORS.get(ended, 'red')}]{ended}[/]"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
