"""What became of a batch, and what is to be done, judged of stories at the borders between one answer and the next."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from functions.common.batch_state import BatchState
from pipeline.inspect.batch_history.diagnosis import diagnosed
from pipeline.inspect.batch_history.model import Outcome, Queued, Story
from tests import documents
from tests.report import stories

NOW = stories.WRITTEN
LATER = timedelta(minutes=5)
TOLD = documents.failure_record(next_step="Run the batch again.", notified_by="state_machine")
UNTOLD = structs.replace(TOLD, notified_by=None)
OF_EARLIER = structs.replace(TOLD, notified_by="")
"""A failure record of a release that did not say who was told."""

QUEUED = (Queued(NOW, "starter", "AccessDenied"),)
REPLAY, RECONCILE, REDRIVE = f"replay {stories.BATCH}", "reconcile", "redrive"


def story(
    failure: Any = None, ended: timedelta | None = timedelta(hours=1), error: str = "TransientError", **changes: Any
) -> Story:
    """A story of an execution that failed so long ago and left this record."""
    failed = stories.failed()
    stopped = None if ended is None else NOW - ended
    run = replace(failed.executions[-1], failure=failure, stopped=stopped, error=error)
    return replace(failed, executions=(run,), **changes)


def commands(told: Story) -> list[str]:
    """The commands that are named, without `pipeline` and options; those that only look are left out."""
    named = [one.command.removeprefix("pipeline ").partition(" --")[0] for one in told.actions if one.command]
    return [one for one in named if not one.startswith(("logs", "rejects"))]


@pytest.mark.parametrize(
    ("told", "state", "named"),
    [
        pytest.param(story(TOLD), BatchState.FAILED, [REPLAY], id="somebody was told"),
        pytest.param(story(OF_EARLIER), BatchState.FAILED, [REPLAY], id="an old record says so by being there"),
        pytest.param(story(UNTOLD), BatchState.NOT_NOTIFIED, [REPLAY, RECONCILE], id="nobody was told"),
        pytest.param(story(), BatchState.NOT_NOTIFIED, [REPLAY, RECONCILE], id="there is no record"),
        pytest.param(story(UNTOLD, LATER), BatchState.NOT_NOTIFIED, [REPLAY], id="somebody may still be told"),
        pytest.param(
            story(UNTOLD, LATER + timedelta(seconds=1)), BatchState.NOT_NOTIFIED, [REPLAY, RECONCILE], id="not any more"
        ),
        pytest.param(story(UNTOLD, None), BatchState.NOT_NOTIFIED, [REPLAY], id="nobody knows when it ended"),
        pytest.param(story(UNTOLD, queued=QUEUED), BatchState.NOT_NOTIFIED, [REDRIVE, REPLAY], id="its event waits"),
        pytest.param(story(TOLD, is_source_there=False), BatchState.FAILED, [], id="its source is gone"),
        pytest.param(
            story(structs.replace(TOLD, next_step="Send the file again."), error="EmptyFileError"),
            BatchState.FAILED,
            [],
            id="another file is needed",
        ),
        pytest.param(
            story(structs.replace(TOLD, remedy="upload")), BatchState.FAILED, [], id="the record's remedy is to upload"
        ),
        pytest.param(
            story(structs.replace(TOLD, remedy="of a later release")),
            BatchState.FAILED,
            [REPLAY],
            id="an unknown remedy",
        ),
        pytest.param(story(TOLD, error="TooManyRejectsError"), BatchState.FAILED, [REPLAY], id="or a limit is raised"),
    ],
)
def test_the_actions_after_a_failure_fix_its_cause(told: Story, state: BatchState, named: list[str]) -> None:
    found = diagnosed(told, state, NOW)
    assert (found.outcome, commands(found)) == (Outcome.FAILED, named)


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (story(UNTOLD), [RECONCILE]),
        (story(UNTOLD, queued=QUEUED), [REDRIVE]),
        (story(TOLD), []),
    ],
    ids=["nobody was told", "its event waits", "somebody was told"],
)
def test_after_a_failure_that_follows_the_commit_only_the_notification_is_repeated(
    told: Story, named: list[str]
) -> None:
    found = diagnosed(told, BatchState.PUBLISHED, NOW)
    assert (found.outcome, commands(found)) == (Outcome.PUBLISHED, named)


@pytest.mark.parametrize(
    ("told", "state", "outcome", "named"),
    [
        pytest.param(story(TOLD), BatchState.LOST, Outcome.LOST, [REPLAY], id="lost"),
        pytest.param(story(TOLD, is_source_there=False), BatchState.LOST, Outcome.LOST, [], id="a record is left"),
        pytest.param(story(is_source_there=False), BatchState.GONE, Outcome.GONE, [], id="nothing is left"),
        pytest.param(story(), BatchState.LOST, Outcome.LOST, [REPLAY], id="the source is left"),
        pytest.param(
            story(None, LATER, is_source_there=False),
            BatchState.NOT_NOTIFIED,
            Outcome.FAILED,
            [],
            id="its record may still come",
        ),
        pytest.param(story(), BatchState.STUCK, Outcome.STUCK, [REPLAY], id="stuck"),
        pytest.param(story(is_source_there=False), BatchState.STUCK, Outcome.STUCK, [], id="stuck without a source"),
        pytest.param(story(queued=QUEUED), BatchState.MISSING, Outcome.WAITING, [REDRIVE], id="its event waits"),
        pytest.param(story(), BatchState.MISSING, Outcome.NOT_STARTED, [REPLAY], id="never started"),
    ],
)
def test_what_is_left_says_what_became_of_it(
    told: Story, state: BatchState, outcome: Outcome, named: list[str]
) -> None:
    found = diagnosed(told, state, NOW)
    assert (found.outcome, commands(found)) == (outcome, named)
