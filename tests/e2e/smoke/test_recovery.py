"""What happens when something goes wrong: an aborted execution, a lost event, an event that nobody can handle."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.common.batch import failure_key
from functions.common.documents.failure_record import FailureRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.run import runs
from tests.e2e.smoke.test_first_steps import NO_FAILED_EVENTS
from tests.e2e.smoke.trial import Trial

ATTEMPTS = 3
"""How many files are sent until one is stopped while it runs."""
UNHANDLED = 600.0
"""How many seconds Lambda may take to give up on an event: it waits a minute and then two between its attempts."""


@pytest.mark.check("an aborted execution")
def test_an_execution_that_somebody_stops_is_recorded_and_notified_once(
    trial: Trial, found: Callable[[str], None]
) -> None:
    uploaded = stopped(trial)
    batch = uploaded.batch_id
    key = failure_key(uploaded.dataset, batch, batch)
    trial.wait_for(lambda: read_document(trial.place, FailureRecord, key) is not None, f"the failure record {key}")
    record = read_document(trial.place, FailureRecord, key)
    assert (record and (record.status, record.error)) == ("ABORTED", "ExecutionAborted"), key
    trial.wait_for(lambda: bool(trial.notifications(batch)), f"a notification about {batch}")
    is_aborted = ["ExecutionAborted" in notification for notification in trial.notifications(batch)]
    assert is_aborted == [True], f"notifications about {batch}"
    found("stopped, recorded as ABORTED, one notification")


def stopped(trial: Trial) -> runs.Upload:
    """A file whose execution was stopped before it ended."""
    step_functions = trial.place.step_functions()
    for attempt in range(ATTEMPTS):
        uploaded = trial.send_large(f"aborted-{attempt}")
        next(runs.follow(trial.place, uploaded), None)
        step_functions.stop_execution(executionArn=uploaded.execution_arn)
        status = step_functions.describe_execution(executionArn=uploaded.execution_arn)["status"]
        if status == "ABORTED":
            return uploaded
    pytest.fail(f"{ATTEMPTS} executions ended before they could be stopped", pytrace=False)


@pytest.mark.check("the reconciler")
def test_the_reconciler_finds_how_the_files_ended(trial: Trial, found: Callable[[str], None]) -> None:
    sent = trial.outcomes()
    answer = trial.place.client("lambda").invoke(
        FunctionName=trial.place.outputs()["function_names"]["reconciler"],
        Qualifier="live",
        Payload=json.dumps({"since_hours": 1, "grace_minutes": 0}),
    )
    counts: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, f"it failed: {counts.get('errorType')}"
    assert counts["published"] >= sum(ended.published for ended in sent), f"it did not find what was sent: {counts}"
    assert counts["failed"] >= sum(bool(ended.error) for ended in sent), f"it did not find what was sent: {counts}"
    found(", ".join(f"{number} {state}" for state, number in counts.items() if number))


@pytest.mark.check("the failed-event queue", not_local=NO_FAILED_EVENTS)
def test_an_event_that_lambda_has_given_up_on_is_in_the_failed_event_queue(
    trial: Trial, found: Callable[[str], None]
) -> None:
    mark = trial.unhandled()
    trial.wait_for(lambda: mark in trial.failed_events(), "the event that the starter can't handle", UNHANDLED)
    found("the event arrived in the queue")
