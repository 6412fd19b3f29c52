"""What happens when something goes wrong: an aborted execution, a lost event, an event that nobody can handle."""

import json
from typing import Any

from functions.common.batch import failure_key
from functions.common.documents.failure_record import FailureRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.run import runs
from pipeline.smoke.model import Check, CheckFailedError, expect
from pipeline.smoke.trial import UNHANDLED, Trial

_ATTEMPTS = 3
"""How many files are sent until one is stopped while it runs."""


def aborted_execution(trial: Trial) -> str:
    """An execution that somebody stops is recorded, and people are notified once."""
    uploaded = _stopped(trial)
    batch = uploaded.batch_id
    key = failure_key(uploaded.dataset, batch, batch)
    trial.wait_for(lambda: read_document(trial.place, FailureRecord, key) is not None, f"the failure record {key}")
    record = read_document(trial.place, FailureRecord, key)
    expect(record and (record.status, record.error), ("ABORTED", "ExecutionAborted"), key)
    trial.wait_for(lambda: bool(trial.notices(batch)), f"a notification about {batch}")
    expect(["ExecutionAborted" in notice for notice in trial.notices(batch)], [True], f"notifications about {batch}")
    return "stopped, recorded as ABORTED, one notification"


def _stopped(trial: Trial) -> runs.Upload:
    """A file whose execution was stopped before it ended."""
    step_functions = trial.place.step_functions()
    for attempt in range(_ATTEMPTS):
        uploaded = trial.send_large(f"aborted-{attempt}")
        next(runs.follow(trial.place, uploaded), None)
        step_functions.stop_execution(executionArn=uploaded.execution_arn)
        status = step_functions.describe_execution(executionArn=uploaded.execution_arn)["status"]
        if status == "ABORTED":
            return uploaded
    raise CheckFailedError(f"{_ATTEMPTS} executions ended before they could be stopped")


def reconciler(trial: Trial) -> str:
    """The reconciler runs, and finds the outcomes of the files that were sent."""
    sent = trial.outcomes()
    answer = trial.place.client("lambda").invoke(
        FunctionName=trial.place.outputs()["function_names"]["reconciler"],
        Qualifier="live",
        Payload=json.dumps({"since_hours": 1, "grace_minutes": 0}),
    )
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise CheckFailedError(f"it failed: {found.get('errorType')}")
    if found["published"] < sum(ended.published for ended in sent) or found["failed"] < sum(
        bool(ended.error) for ended in sent
    ):
        raise CheckFailedError(f"it did not find what was sent: {found}")
    return ", ".join(f"{number} {state}" for state, number in found.items() if number)


def send_unhandled(trial: Trial) -> str:
    """An event that the starter can't handle is accepted by Lambda, which takes minutes to give up on it."""
    return f"sent: {trial.unhandled()}"


def failed_event_queue(trial: Trial) -> str:
    """An event that the starter can't handle is in the failed-event queue once Lambda has given up on it."""
    mark = trial.unhandled()
    trial.wait_for(lambda: mark in trial.failed_events(), "the event that the starter can't handle", UNHANDLED)
    return "the event arrived in the queue"


_NOT_LOCAL = "hands over no event that a function's alias has failed to handle"

FIRST = (Check("an event that fails", send_unhandled, not_local=_NOT_LOCAL),)
CHECKS = (
    Check("an aborted execution", aborted_execution),
    Check("the reconciler", reconciler),
    Check("the failed-event queue", failed_event_queue, not_local=_NOT_LOCAL),
)
