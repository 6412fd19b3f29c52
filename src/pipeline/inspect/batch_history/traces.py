"""What AWS holds of a batch beside its outputs: executions and their records, events in the queue, lines in the log."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from functions.common import executions
from functions.common.batch import failure_prefix, replay_name, replay_of, run_prefix
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.run_record import RunRecord
from functions.common.telemetry import LogEvent
from functions.record_failure.failure import plain_cause
from functions.starter.events import objects_created
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history.history import not_reached, read_steps
from pipeline.inspect.batch_history.model import NOTHING, Cost, Execution, Heard, Queued
from pipeline.inspect.executions import console_url
from pipeline.inspect.logs import first_lines
from pipeline.recover import undelivered

_R = TypeVar("_R", FailureRecord, RunRecord)

MAX_HISTORIES = 10
"""Of how many executions the steps are read; the latest ones."""

_STARTED = {LogEvent.EXECUTION_STARTED: True, LogEvent.EXECUTION_KNOWN: False}
"""What starter and reconciler log about a file."""


def executions_of(place: Target, dataset: str, batch_id: str, asked: str = "") -> Iterator[Execution]:
    """The executions of a batch, the first and then the replays; those that AWS has forgotten by their records.

    Somebody may have started one by hand, under another name: it is found by a record, or where it is `asked` for.
    """
    failures = failures_of(place, dataset, batch_id)
    costs = _records(place, RunRecord, run_prefix(dataset, batch_id))
    described = dict(_described(place, batch_id, {*failures, *costs, *filter(None, [asked])}))
    with_steps = list(described)[-MAX_HISTORIES:]
    for name in sorted({*failures, *costs, *described}, key=lambda name: replay_of(name)[1]):
        failure, run, told = failures.get(name), costs.get(name), described.get(name)
        if told is None:
            yield _forgotten(place, name, failure, run)
        else:
            yield _execution(place, told, failure, run, with_steps=name in with_steps)


def failures_of(place: Target, dataset: str, batch_id: str) -> Mapping[str, FailureRecord]:
    """The failure records of a batch by execution, the first and then the replays."""
    found = _records(place, FailureRecord, failure_prefix(dataset, batch_id))
    return {name: found[name] for name in sorted(found, key=lambda name: replay_of(name)[1])}


def last_end(place: Target, dataset: str, batch_id: str) -> datetime | None:
    """When the latest execution of a batch ended; None while one runs, and where AWS knows none any more."""
    recorded = {*failures_of(place, dataset, batch_id), *_records(place, RunRecord, run_prefix(dataset, batch_id))}
    found = [execution for _, execution in _described(place, batch_id, recorded)]
    if any(not execution.get("stopDate") for execution in found):
        return None
    return max((_utc(execution["stopDate"]) for execution in found), default=None)


def definition_of(place: Target, execution_arn: str | None) -> Mapping[str, Any]:
    """The state machine as it was for an execution, or is now; empty where AWS does not say."""
    try:
        if execution_arn:
            answer: Any = place.step_functions().describe_state_machine_for_execution(executionArn=execution_arn)
        else:
            answer = place.step_functions().describe_state_machine(stateMachineArn=place.outputs()["state_machine_arn"])
        content: Mapping[str, Any] = json.loads(answer["definition"])
    except (ClientError, ValueError):
        return NOTHING
    return content


def history_of(place: Target, execution_arn: str) -> Iterator[Mapping[str, Any]]:
    """The history of an execution, first event first, with errors and causes."""
    pages = (
        place.step_functions()
        .get_paginator("get_execution_history")
        .paginate(executionArn=execution_arn, includeExecutionData=True, PaginationConfig={"PageSize": 1000})
    )
    for page in pages:
        for event in page["events"]:
            yield dict(event)


def _records(place: Target, kind: type[_R], prefix: str) -> dict[str, _R]:
    """The failure records or run records under a prefix, by execution."""
    bucket, found = place.outputs()["processed_bucket"], dict[str, _R]()
    for page in place.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            if (content := read_document(place, kind, one["Key"])) is not None:
                found[one["Key"].removeprefix(prefix).removesuffix(".json")] = content
    return found


def _described(place: Target, batch_id: str, recorded: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The executions that AWS knows, by name: those that left a record, and the ones behind them."""
    machine, last = place.outputs()["state_machine_arn"], max((replay_of(name)[1] for name in recorded), default=0)
    for name in sorted(name for name in recorded if replay_of(name)[0] != batch_id):
        if execution := executions.describe(place.step_functions(), machine, name):
            yield name, execution
    number = 0
    while True:
        name = replay_name(batch_id, number) if number else batch_id
        execution = executions.describe(place.step_functions(), machine, name)
        if execution:
            yield name, execution
        elif number > last:
            return
        number += 1


def _execution(
    place: Target,
    told: Mapping[str, Any],
    failure: FailureRecord | None,
    run: RunRecord | None,
    *,
    with_steps: bool,
) -> Execution:
    arn = told["executionArn"]
    definition = definition_of(place, arn) if with_steps else NOTHING
    steps = read_steps(history_of(place, arn), definition) if with_steps else ()
    return Execution(
        name=told["name"],
        arn=arn,
        replay=replay_of(told["name"])[1],
        status=told["status"],
        started=_utc(told["startDate"]),
        stopped=_utc(told["stopDate"]) if told.get("stopDate") else None,
        console_url=console_url(place, arn),
        redrives=told.get("redriveCount", 0),
        error=(failure and failure.error) or told.get("error") or "",
        cause=(failure and failure.cause) or plain_cause(told.get("cause") or ""),
        steps=steps,
        not_reached=not_reached(steps, definition),
        failure=failure,
        cost=_cost(run),
    )


def _forgotten(place: Target, name: str, failure: FailureRecord | None, run: RunRecord | None) -> Execution:
    record = run or failure
    return Execution(
        name=name,
        arn=executions.execution_arn(place.outputs()["state_machine_arn"], name),
        replay=replay_of(name)[1],
        status=record.status if record else "",
        started=datetime.fromisoformat(run.started_at) if run else None,
        stopped=datetime.fromisoformat(run.stopped_at) if run else None,
        console_url=console_url(place, name),
        is_forgotten=True,
        error=failure.error if failure else "",
        cause=failure.cause if failure else "",
        failure=failure,
        cost=_cost(run),
    )


def _cost(run: RunRecord | None) -> Cost | None:
    return Cost(run.usd, run.usd_for_1000_records, run.cost) if run else None


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def queued(place: Target, key: str, version_id: str, names: set[str]) -> tuple[list[Queued], int]:
    """The events in the on-failure queue about a version of a key, or about executions with these names.

    Also about how many messages could not be seen, since somebody else is looking: whoever looks hides them meanwhile.
    """
    waiting, seen, found = undelivered.waiting(place), 0, list[Queued]()
    if not waiting:
        return [], 0
    for message, error in undelivered.peek(place):
        seen += 1
        if message.about in names or (key, version_id) in _versions_in(message.event):
            found.append(Queued(message.sent, message.function, error))
    return found, max(0, waiting - seen)


def _versions_in(event: Any) -> list[tuple[str, str]]:
    try:
        return [(created.key, created.version_id) for created in objects_created(event)]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def logged_events(place: Target, batch_id: str, since: datetime) -> tuple[list[Heard], bool]:
    """The events about a batch that starter and reconciler have logged, and whether all of their logs was searched.

    Raises ClientError where the logs may not be read.
    """
    lines, is_whole = first_lines(place, since - timedelta(minutes=1), batch_id, ("starter", "reconciler"))
    found = [Heard(one.time, one.function, _STARTED[LogEvent(one.event)]) for one in lines if one.event in _STARTED]
    return found, is_whole
