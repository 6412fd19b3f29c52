"""Collects the executions of a batch from Step Functions and from the records in the processed bucket."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from functions.common import executions
from functions.common.batch import failure_prefix, replay_name, replay_of, run_prefix
from functions.common.causes import plain_cause
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.run_record import RunRecord
from functions.common.execution_history.outcomes import not_reached, read_steps
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history.model import Cost, Execution
from pipeline.inspect.executions import console_url
from pipeline.recover import restarts

_R = TypeVar("_R", FailureRecord, RunRecord)

MAX_HISTORIES = 10
"""The number of latest executions whose steps are read."""


def executions_of(place: Target, dataset: str, batch_id: str, named: str = "") -> Iterator[Execution]:
    """Yield the first execution of a batch, then its replays. Records replace executions that AWS has deleted.

    An execution that someone started under another name is found by its records, or if it is `named`.
    """
    failures = failures_of(place, dataset, batch_id)
    runs = _records(place, RunRecord, run_prefix(dataset, batch_id))
    described = dict(_described(place, batch_id, {*failures, *runs, *filter(None, [named])}))
    with_steps = list(described)[-MAX_HISTORIES:]
    for name in sorted({*failures, *runs, *described}, key=lambda name: replay_of(name)[1]):
        yield _execution(
            place, name, described.get(name), failures.get(name), runs.get(name), has_steps=name in with_steps
        )


def failures_of(place: Target, dataset: str, batch_id: str) -> Mapping[str, FailureRecord]:
    """Return the failure records of a batch by execution: the first execution, then the replays."""
    found = _records(place, FailureRecord, failure_prefix(dataset, batch_id))
    return {name: found[name] for name in sorted(found, key=lambda name: replay_of(name)[1])}


def last_end(place: Target, dataset: str, batch_id: str) -> datetime | None:
    """Return when the latest execution of a batch ended, or None if one is running or AWS has none."""
    recorded = {*failures_of(place, dataset, batch_id), *_records(place, RunRecord, run_prefix(dataset, batch_id))}
    ends = [execution.get("stopDate") for _, execution in _described(place, batch_id, recorded)]
    return max(ends).astimezone(UTC) if ends and all(ends) else None  # type: ignore[type-var, union-attr]


def _definition(place: Target, execution_arn: str) -> Mapping[str, Any]:
    """Return the state machine's definition at the start of an execution. Empty if AWS doesn't return it."""
    try:
        found = place.step_functions().describe_state_machine_for_execution(executionArn=execution_arn)
        content: Mapping[str, Any] = json.loads(found["definition"])
    except (ClientError, ValueError):
        return {}
    return content


def _records(place: Target, kind: type[_R], prefix: str) -> dict[str, _R]:
    """Return the failure records or run records under a prefix, by execution name."""
    listed = restarts.pipeline_of(place).storage.list_objects(place.outputs()["processed_bucket"], prefix)
    read = {key.removeprefix(prefix).removesuffix(".json"): read_document(place, kind, key) for key, _ in listed}
    return {name: record for name, record in read.items() if record is not None}


def _described(place: Target, batch_id: str, recorded: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the executions that AWS has, by name: those with a record, and the ones that follow."""
    machine, last = place.outputs()["state_machine_arn"], max((replay_of(name)[1] for name in recorded), default=0)
    for name in sorted(name for name in recorded if replay_of(name)[0] != batch_id):
        if execution := executions.describe(place.step_functions(), machine, name):
            yield name, execution
    for number in count():
        name = replay_name(batch_id, number) if number else batch_id
        execution = executions.describe(place.step_functions(), machine, name)
        if execution:
            yield name, execution
        elif number > last:
            return


def _execution(
    place: Target,
    name: str,
    described: Mapping[str, Any] | None,
    failure: FailureRecord | None,
    run: RunRecord | None,
    *,
    has_steps: bool,
) -> Execution:
    arn = executions.execution_arn(place.outputs()["state_machine_arn"], name)
    known = _from_records(failure, run) if described is None else described
    definition = _definition(place, arn) if has_steps else {}
    steps = read_steps(executions.history(place.step_functions(), arn, with_data=True), definition) if has_steps else ()
    return Execution(
        name=name,
        arn=arn,
        replay=replay_of(name)[1],
        status=known["status"],
        started=known["startDate"] and known["startDate"].astimezone(UTC),
        stopped=known["stopDate"].astimezone(UTC) if known.get("stopDate") else None,
        console_url=console_url(place, arn),
        redrives=known.get("redriveCount", 0),
        is_forgotten=described is None,
        error=(failure and failure.error) or known.get("error") or "",
        cause=(failure and failure.cause) or plain_cause(known.get("cause") or ""),
        steps=steps,
        not_reached=not_reached(steps, definition),
        failure=failure,
        cost=Cost(run.usd, run.usd_for_1000_records, run.cost) if run else None,
    )


def _from_records(failure: FailureRecord | None, run: RunRecord | None) -> Mapping[str, Any]:
    """Return the data in an execution's records in the format of DescribeExecution."""
    if run:
        started, stopped = datetime.fromisoformat(run.started_at), datetime.fromisoformat(run.stopped_at)
        return {"status": run.status, "startDate": started, "stopDate": stopped}
    return {"status": failure.status if failure else "", "startDate": None}
