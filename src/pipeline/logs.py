"""The functions' structured logs, of all batches or of one."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.targets import Target

_NOT_SHOWN = {"level", "location", "message", "timestamp", "service", "function_name", "function_arn", "xray_trace_id"}


@dataclass(frozen=True)
class LogLine:
    """One structured line of a function's log."""

    time: datetime
    function: str
    level: str
    message: str
    fields: dict[str, Any]


def logs(place: Target, since: datetime, limit: int, batch_id: str = "") -> list[LogLine]:
    """The functions' structured log lines since a time, oldest first, at most the `limit` latest.

    With `batch_id` only those about this batch.
    """
    lines: list[LogLine] = []
    wanted: Any = {"filterPattern": f'"{batch_id}"'} if batch_id else {}
    for function, group in place.outputs["log_group_names"].items():
        if function == "state_machine":
            continue
        pages = place.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(since.timestamp() * 1000), **wanted
        )
        found = (_line(function, dict(event)) for page in pages for event in page["events"])
        lines += [line for line in found if line and (not batch_id or line.fields.get("batch_id") == batch_id)]
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


def follow_logs(place: Target, since: datetime, batch_id: str = "", pause: float = 2.0) -> Iterator[LogLine]:
    """New log lines for as long as the caller wants them."""
    while True:
        lines = logs(place, since, 1000, batch_id)
        yield from lines
        if lines:
            since = datetime.fromtimestamp(lines[-1].time.timestamp() + 0.001, UTC)
        time.sleep(pause)
