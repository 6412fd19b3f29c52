"""Decides the outcome of a batch and the next actions for a person. Makes no calls."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from functions.common.batch_state import BatchState
from functions.common.errors import Remedy, next_step_for, remedy_for
from pipeline.deploy.targets import for_target
from pipeline.inspect.batch_history.model import Action, BatchHistory, Execution
from pipeline.inspect.outcome import Outcome, outcome_of

_NOTIFIED_WITHIN = timedelta(minutes=5)
"""The maximum delay with which EventBridge delivers the end of an execution."""

_SOURCE_GONE = "Its source no longer exists, so the batch can't be replayed. Upload the file again."

_NOT_RETURNED = {
    "aws": "S3 lists this version but does not return it. Wait 15 minutes, then try again.",
    "local": "The emulator lists this version under a key that it does not return, since it lists a carriage return as "
    "a line feed. Upload the file under a key without line breaks.",
}
"""What to do about a version that S3 lists but doesn't return, by target."""


def diagnosed(batch: BatchHistory, state: BatchState, now: datetime) -> BatchHistory:
    """Return the history of a batch in `state` with its outcome and the next actions."""
    rejected = batch.manifest.counts.rejected if batch.manifest else 0
    outcome = outcome_of(state, rejected=rejected, waits=bool(batch.queued), is_ignored=bool(batch.ignored_by))
    actions = (
        replace(one, command=one.command and for_target(one.command, batch.target))
        for one in _actions(batch, outcome, now)
    )
    return replace(batch, outcome=outcome, actions=tuple(actions))


def _actions(batch: BatchHistory, outcome: Outcome, now: datetime) -> Iterator[Action]:
    replay = f"pipeline replay {batch.batch_id} --apply"
    if batch.queued:
        sentence = "Fix the error that the queue's message reports, then send its event to the function again."
        yield Action(sentence, "pipeline redrive --apply")
    if batch.is_source_archived and outcome in (Outcome.STUCK, Outcome.LOST, Outcome.NOT_STARTED):
        yield Action("Its source is archived: restore it in S3 first (aws s3api restore-object).")
    if outcome is Outcome.PARTLY_REJECTED:
        yield Action("See why records were rejected.", f"pipeline rejects {batch.batch_id}")
        sentence = "Have the records corrected. Send them in a new file, or in the file of rejects."
        yield Action(sentence, "pipeline replay --rejects FILE --apply")
    elif outcome is Outcome.FAILED:
        yield from _after_failure(batch, now)
    elif outcome is Outcome.RUNNING:
        yield Action("Wait, or watch the execution.", "pipeline watch")
    elif outcome in (Outcome.STUCK, Outcome.LOST) and not batch.is_source_there:
        yield Action(_SOURCE_GONE)
    elif outcome is Outcome.STUCK and batch.target == "local":
        yield Action(
            "If it hangs, start a new, empty emulator, deploy to it and upload the file again: make local-down, "
            "make local-up, make deploy-infra TARGET=local."
        )
    elif outcome is Outcome.STUCK:
        yield Action(
            "Check the execution in the console. If it hangs, stop it, wait 16 minutes, then run the batch again.",
            replay,
        )
    elif outcome is Outcome.LOST:
        yield Action(
            "Its manifest was deleted, so none of its outputs count as published. Run the batch again.", replay
        )
    elif outcome is Outcome.IGNORED:
        sentence = (
            f"The pipeline ignores this key, because it matches the pattern {batch.ignored_by}. If the file is data, "
            "upload it under another name, or run it anyway."
        )
        yield Action(sentence, replay)
    elif outcome is Outcome.NOT_STARTED and batch.source is None:
        yield Action(_NOT_RETURNED[batch.target])
    elif outcome is Outcome.NOT_STARTED and batch.target == "local":
        sentence = (
            "Start the batch, unless its event might still arrive. The local emulator drops an event if its function "
            "fails, and doesn't run the reconciler."
        )
        yield Action(sentence, replay)
    elif outcome is Outcome.NOT_STARTED:
        sentence = "Wait for the event or for the reconciler, which runs every hour. Or start the batch now."
        yield Action(sentence, replay)
    elif outcome is Outcome.UNKNOWN:
        yield Action("Wait a minute, then run the command again.", f"pipeline explain {batch.batch_id}")
    if outcome.is_published and batch.failed and not batch.queued and _is_not_notified(batch.failed, now):
        sentence = "A step after the commit failed, and no notification was sent. Send the notification."
        yield Action(sentence, "pipeline reconcile --apply")


def _after_failure(batch: BatchHistory, now: datetime) -> Iterator[Action]:
    latest = batch.latest
    error = latest.error if latest else ""
    next_step, replay = next_step_for(error), f"pipeline replay {batch.batch_id} --apply"
    remedy = _remedy(latest)
    if remedy is Remedy.REPLAY and batch.is_source_there and not batch.is_source_archived:
        yield Action(next_step, replay)
        yield Action("See what the functions logged.", f"pipeline logs {batch.batch_id}")
    else:
        if latest and latest.failure:
            next_step = latest.failure.next_step
        yield Action(next_step, _where_to_look(batch, remedy))
        yield from _replays(batch, remedy, replay)
    if latest and not batch.queued and _is_not_notified(latest, now):
        yield Action("No notification of this failure was sent. Send it.", "pipeline reconcile --apply")


def _remedy(execution: Execution | None) -> Remedy:
    """Return the remedy in the failure record. For a record of an earlier release, the remedy of its error class."""
    recorded = execution.failure.remedy if execution and execution.failure else ""
    if recorded in set(Remedy):
        return Remedy(recorded)
    return remedy_for(execution.error if execution else "")


def _where_to_look(batch: BatchHistory, remedy: Remedy) -> str:
    """Return the command that shows why a file failed, or an empty string if the next step needs no command."""
    if remedy in (Remedy.REPLAY, Remedy.FIX_AND_REPLAY):
        return f"pipeline logs {batch.batch_id}"
    return f"pipeline rejects {batch.batch_id}" if batch.rejects else ""


def _replays(batch: BatchHistory, remedy: Remedy, replay: str) -> Iterator[Action]:
    """Yield the replay of a failed batch, if a replay may succeed."""
    if remedy not in (Remedy.REPLAY, Remedy.FIX_AND_REPLAY, Remedy.UPLOAD_OR_REPLAY):
        return
    if batch.is_source_archived:
        yield Action("The source is archived. Restore it, then run the batch again.", replay)
    elif not batch.is_source_there:
        yield Action(_SOURCE_GONE)
    elif remedy is Remedy.UPLOAD_OR_REPLAY:
        yield Action("If you change the setting instead, deploy the change, then run the batch again.", replay)
    else:
        yield Action("After fixing the cause, run the batch again.", replay)


def _is_not_notified(execution: Execution, now: datetime) -> bool:
    """Return whether an execution ended more than five minutes ago, and no record shows a sent notification."""
    is_notified = execution.failure is not None and execution.failure.is_notified
    return not is_notified and execution.stopped is not None and execution.stopped < now - _NOTIFIED_WITHIN
