"""What runs and what it says: recent executions with their outcomes, and the functions' structured logs."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from functions.common.batch import failure_key, manifest_key, replay_of, run_key
from functions.common.executions import execution_arn
from pipeline.runs import read_json
from pipeline.targets import Target

_NOT_SHOWN = {"level", "location", "message", "timestamp", "service", "function_name", "function_arn", "xray_trace_id"}


@dataclass(frozen=True)
class Run:
    """One execution, the counts of its batch where it was published, and what it cost."""

    name: str
    status: str
    started: datetime
    seconds: float
    counts: dict[str, int]
    error: str
    usd: str
    """What it cost, as its run record says; empty until there is one, seconds after the end."""


@dataclass(frozen=True)
class LogLine:
    """One structured line of a function's log."""

    time: datetime
    function: str
    level: str
    message: str
    fields: dict[str, Any]


def recent_runs(place: Target, limit: int) -> list[Run]:
    """The latest executions, newest first."""
    arn = place.outputs["state_machine_arn"]
    executions = place.step_functions.list_executions(stateMachineArn=arn, maxResults=limit)["executions"]
    return [_run(place, execution) for execution in executions]


def _run(place: Target, execution: Any) -> Run:
    name, status = execution["name"], execution["status"]
    batch_id, _ = replay_of(name)
    dataset = name.partition("-")[0]
    stopped = execution.get("stopDate") or datetime.now(UTC)
    manifest = read_json(place, manifest_key(dataset, batch_id)) if status != "RUNNING" else None
    failed = status not in ("RUNNING", "SUCCEEDED")
    failure = read_json(place, failure_key(dataset, batch_id, name)) if failed else None
    record = read_json(place, run_key(dataset, batch_id, name)) if status != "RUNNING" else None
    return Run(
        name=name,
        status=status,
        started=execution["startDate"],
        seconds=(stopped - execution["startDate"]).total_seconds(),
        counts=manifest["counts"] if manifest else {},
        error=failure["error"] if failure else "",
        usd=f"{Decimal(record['usd']):.6f}" if record else "",
    )


def logs(place: Target, since: datetime, limit: int) -> list[LogLine]:
    """The functions' structured log lines since a time, oldest first, at most the `limit` latest."""
    lines = []
    for function, group in place.outputs["log_group_names"].items():
        if function == "state_machine":
            continue
        pages = place.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(since.timestamp() * 1000)
        )
        lines += [line for page in pages for event in page["events"] if (line := _line(function, dict(event)))]
    return sorted(lines, key=lambda line: line.time)[-limit:]


def _line(function: str, event: dict[str, Any]) -> LogLine | None:
    """A line of ours; None for what Lambda and the metrics write."""
    try:
        content = json.loads(event["message"])
        fields = {name: value for name, value in content.items() if name not in _NOT_SHOWN}
        when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        return LogLine(when, function, content["level"], content["message"], fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def follow_logs(place: Target, since: datetime, pause: float = 2.0) -> Iterator[LogLine]:
    """New log lines for as long as the caller wants them."""
    while True:
        lines = logs(place, since, 1000)
        yield from lines
        if lines:
            since = datetime.fromtimestamp(lines[-1].time.timestamp() + 0.001, UTC)
        time.sleep(pause)


def console_url(place: Target, execution: str | None) -> str:
    """The console's address of the state machine, or of one of its executions."""
    machine = str(place.outputs["state_machine_console_url"])
    if execution is None:
        return machine
    arn = execution if execution.startswith("arn:") else execution_arn(place.outputs["state_machine_arn"], execution)
    return f"{machine.partition('#')[0]}#/v2/executions/details/{arn}"
