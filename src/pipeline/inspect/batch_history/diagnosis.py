"""What became of a batch, and what a person does next: pure, from what was found."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from functions.common.batch_state import BatchState
from functions.common.errors import Remedy, next_step_for, remedy_for
from pipeline.deploy.targets import for_target
from pipeline.inspect.batch_history.model import Action, Execution, Story
from pipeline.inspect.outcome import Outcome, outcome_of

_UNTOLD_AFTER = timedelta(minutes=5)
"""How long EventBridge may take to tell of an execution's end before something is amiss."""

_SOURCE_GONE = "Its source does not exist any more: it can't be run again, only uploaded again."

_NOT_RETURNED = {
    "aws": "S3 lists this version but does not return it. Wait 15 minutes and ask again.",
    "local": "The emulator lists this version under a key that it does not return: it lists a carriage return as a "
    "line feed. Upload the file under a key without line breaks.",
}
"""What a person does about a version that is listed but not returned, by target."""


def diagnosed(story: Story, state: BatchState, now: datetime) -> Story:
    """The story with its outcome and the next actions, of a batch that a survey found in `state`."""
    rejected = story.manifest.counts.rejected if story.manifest else 0
    outcome = outcome_of(state, rejected=rejected, waits=bool(story.queued), is_ignored=bool(story.ignored_by))
    actions = (
        replace(one, command=one.command and for_target(one.command, story.target))
        for one in _actions(story, outcome, now)
    )
    return replace(story, outcome=outcome, actions=tuple(actions))


def _actions(story: Story, outcome: Outcome, now: datetime) -> Iterator[Action]:
    replay = f"pipeline replay {story.batch_id} --apply"
    if story.queued:
        sentence = "Mend what the message in the queue says, and send its event back to the function."
        yield Action(sentence, "pipeline redrive --apply")
    if story.is_source_archived and outcome in (Outcome.STUCK, Outcome.LOST, Outcome.NOT_STARTED):
        yield Action("Its source is archived: restore it in S3 first (aws s3api restore-object).")
    if outcome is Outcome.PARTLY_REJECTED:
        yield Action("See what is wrong with the rejects.", f"pipeline rejects {story.batch_id}")
        sentence = "Have them corrected and sent: as a new file, or as the file of rejects with corrected records."
        yield Action(sentence, "pipeline replay --rejects FILE --apply")
    elif outcome is Outcome.FAILED:
        yield from _after_failure(story, now)
    elif outcome is Outcome.RUNNING:
        yield Action("Wait, or watch it.", "pipeline watch")
    elif outcome in (Outcome.STUCK, Outcome.LOST) and not story.is_source_there:
        yield Action(_SOURCE_GONE)
    elif outcome is Outcome.STUCK and story.target == "local":
        yield Action(
            "If it hangs, start another emulator, which has nothing of this one, deploy to it and upload the file "
            "again: make local-down, make local-up, make deploy-infra TARGET=local."
        )
    elif outcome is Outcome.STUCK:
        yield Action(
            "Look at it in the console. If it hangs, stop it there, and 16 minutes later run it again.", replay
        )
    elif outcome is Outcome.LOST:
        yield Action("Its manifest was deleted, and nothing of it counts as published. Run it again.", replay)
    elif outcome is Outcome.IGNORED:
        sentence = (
            f"Its key has a name that matches the pattern {story.ignored_by}, so the pipeline ignores it. If it is "
            "data, upload it under another name, or run it nevertheless."
        )
        yield Action(sentence, replay)
    elif outcome is Outcome.NOT_STARTED and story.source is None:
        yield Action(_NOT_RETURNED[story.target])
    elif outcome is Outcome.NOT_STARTED and story.target == "local":
        sentence = (
            "Start it. On the local emulator nothing else will, unless its event is still on its way: an event whose "
            "function failed is dropped there, and the reconciler doesn't run by itself."
        )
        yield Action(sentence, replay)
    elif outcome is Outcome.NOT_STARTED:
        sentence = "Wait a minute: its event may be on its way, and the reconciler looks every hour. Or start it."
        yield Action(sentence, replay)
    elif outcome is Outcome.UNKNOWN:
        yield Action("Wait a minute and ask again.", f"pipeline explain {story.batch_id}")
    if outcome.is_published and story.failed and not story.queued and _is_untold(story.failed, now):
        yield Action("Nobody was told that a step after the commit failed: have it told.", "pipeline reconcile --apply")


def _after_failure(story: Story, now: datetime) -> Iterator[Action]:
    latest = story.latest
    error = latest.error if latest else ""
    next_step, replay = next_step_for(error), f"pipeline replay {story.batch_id} --apply"
    remedy = _remedy(latest)
    if remedy is Remedy.REPLAY and story.is_source_there and not story.is_source_archived:
        yield Action(next_step, replay)
        yield Action("See what the functions logged about it.", f"pipeline logs {story.batch_id}")
    else:
        if latest and latest.failure:
            next_step = latest.failure.next_step
        yield Action(next_step, _where_to_look(story, remedy))
        yield from _replays(story, remedy, replay)
    if latest and not story.queued and _is_untold(latest, now):
        yield Action("Nobody was told of this failure: have it told.", "pipeline reconcile --apply")


def _remedy(execution: Execution | None) -> Remedy:
    """What the failure record says, or for a record of an earlier release what the error's name says."""
    recorded = execution.failure.remedy if execution and execution.failure else ""
    if recorded in set(Remedy):
        return Remedy(recorded)
    return remedy_for(execution.error if execution else "")


def _where_to_look(story: Story, remedy: Remedy) -> str:
    """The command that shows why a file failed; empty where the next step says it all."""
    if remedy in (Remedy.REPLAY, Remedy.FIX_AND_REPLAY):
        return f"pipeline logs {story.batch_id}"
    return f"pipeline rejects {story.batch_id}" if story.rejects else ""


def _replays(story: Story, remedy: Remedy, replay: str) -> Iterator[Action]:
    """The replay of a failed batch, where one may succeed."""
    if remedy not in (Remedy.REPLAY, Remedy.FIX_AND_REPLAY, Remedy.UPLOAD_OR_REPLAY):
        return
    if story.is_source_archived:
        yield Action("The source is still archived. When it is restored, run it again.", replay)
    elif not story.is_source_there:
        yield Action(_SOURCE_GONE)
    elif remedy is Remedy.UPLOAD_OR_REPLAY:
        yield Action("If you change the setting instead, deploy and run it again.", replay)
    else:
        yield Action("When the cause is fixed, run it again.", replay)


def _is_untold(execution: Execution, now: datetime) -> bool:
    """Whether no record says that somebody was told, long enough after the end."""
    ended, told = execution.stopped, execution.failure is not None and execution.failure.is_notified
    return not told and ended is not None and ended < now - _UNTOLD_AFTER
