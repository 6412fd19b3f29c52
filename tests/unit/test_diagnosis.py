"""The outcome of a batch and the next actions, at the boundaries between diagnoses."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from functions.common.batch_state import BatchState
from pipeline.inspect.batch_history.diagnosis import diagnosed
from pipeline.inspect.batch_history.model import BatchHistory, Outcome, Queued
from tests import documents
from tests.report import stories

NOW = stories.WRITTEN
LATER = timedelta(minutes=5)
NOTIFIED = documents.failure_record(next_step="Run the batch again.", notified_by="state_machine")
NOT_NOTIFIED = structs.replace(NOTIFIED, notified_by=None)
OF_EARLIER_RELEASE = structs.replace(NOTIFIED, notified_by="")
"""A failure record of a release that did not record who sent the notification."""

QUEUED = (Queued(NOW, "starter", "AccessDenied"),)
REPLAY, RECONCILE, REDRIVE = f"replay {stories.BATCH}", "reconcile", "redrive"


def story(
    failure: Any = None, ended: timedelta | None = timedelta(hours=1), error: str = "TransientError", **changes: Any
) -> BatchHistory:
    """A story of an execution that failed some time ago, with this failure record."""
    failed = stories.failed()
    stopped = None if ended is None else NOW - ended
    run = replace(failed.executions[-1], failure=failure, stopped=stopped, error=error)
    return replace(failed, executions=(run,), **changes)


def commands(batch: BatchHistory) -> list[str]:
    """The suggested commands without `pipeline` and options; read-only commands are omitted."""
    named = [one.command.removeprefix("pipeline ").partition(" --")[0] for one in batch.actions if one.command]
    return [one for one in named if not one.startswith(("logs", "rejects"))]


@pytest.mark.parametrize(
    ("batch", "state", "named"),
    [
        pytest.param(story(NOTIFIED), BatchState.FAILED, [REPLAY], id="notified"),
        pytest.param(story(OF_EARLIER_RELEASE), BatchState.FAILED, [REPLAY], id="an old record says so by being there"),
        pytest.param(story(NOT_NOTIFIED), BatchState.NOT_NOTIFIED, [REPLAY, RECONCILE], id="not notified"),
        pytest.param(story(), BatchState.NOT_NOTIFIED, [REPLAY, RECONCILE], id="there is no record"),
        pytest.param(story(NOT_NOTIFIED, LATER), BatchState.NOT_NOTIFIED, [REPLAY], id="may still be notified"),
        pytest.param(
            story(NOT_NOTIFIED, LATER + timedelta(seconds=1)),
            BatchState.NOT_NOTIFIED,
            [REPLAY, RECONCILE],
            id="not any more",
        ),
        pytest.param(story(NOT_NOTIFIED, None), BatchState.NOT_NOTIFIED, [REPLAY], id="nobody knows when it ended"),
        pytest.param(
            story(NOT_NOTIFIED, queued=QUEUED), BatchState.NOT_NOTIFIED, [REDRIVE, REPLAY], id="its event waits"
        ),
        pytest.param(story(NOTIFIED, is_source_there=False), BatchState.FAILED, [], id="its source is gone"),
        pytest.param(
            story(structs.replace(NOTIFIED, next_step="Send the file again."), error="EmptyFileError"),
            BatchState.FAILED,
            [],
            id="another file is needed",
        ),
        pytest.param(
            story(structs.replace(NOTIFIED, remedy="upload")),
            BatchState.FAILED,
            [],
            id="the record's remedy is to upload",
        ),
        pytest.param(
            story(structs.replace(NOTIFIED, remedy="of a later release")),
            BatchState.FAILED,
            [REPLAY],
            id="an unknown remedy",
        ),
        pytest.param(
            story(NOTIFIED, error="TooManyRejectsError"), BatchState.FAILED, [REPLAY], id="or a limit is raised"
        ),
    ],
)
def test_the_actions_after_a_failure_fix_its_cause(batch: BatchHistory, state: BatchState, named: list[str]) -> None:
    found = diagnosed(batch, state, NOW)
    assert (found.outcome, commands(found)) == (Outcome.FAILED, named)


@pytest.mark.parametrize(
    ("batch", "named"),
    [
        (story(NOT_NOTIFIED), [RECONCILE]),
        (story(NOT_NOTIFIED, queued=QUEUED), [REDRIVE]),
        (story(NOTIFIED), []),
    ],
    ids=["not notified", "its event waits", "notified"],
)
def test_after_a_failure_that_follows_the_commit_only_the_notification_is_repeated(
    batch: BatchHistory, named: list[str]
) -> None:
    found = diagnosed(batch, BatchState.PUBLISHED, NOW)
    assert (found.outcome, commands(found)) == (Outcome.PUBLISHED, named)


@pytest.mark.parametrize(
    ("batch", "state", "outcome", "named"),
    [
        pytest.param(story(NOTIFIED), BatchState.LOST, Outcome.LOST, [REPLAY], id="lost"),
        pytest.param(story(NOTIFIED, is_source_there=False), BatchState.LOST, Outcome.LOST, [], id="a record is left"),
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
def test_the_outcome_follows_from_what_is_left(
    batch: BatchHistory, state: BatchState, outcome: Outcome, named: list[str]
) -> None:
    found = diagnosed(batch, state, NOW)
    assert (found.outcome, commands(found)) == (outcome, named)
