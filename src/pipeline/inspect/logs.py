"""The functions' structured logs, of all batches or of one.

CloudWatch Logs is asked by when a line was written, and may have it some time after that; an answer may be empty and
yet have a next page (docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html). So the
latest lines are read newest first, and whoever follows asks for the last minutes again and knows lines by their ids.
"""

import json
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from pipeline.deploy.targets import Target

_NOT_SHOWN = {
    *("level", "location", "event", "message", "timestamp"),
    *("service", "function_name", "function_arn", "xray_trace_id"),
}

_MOST_PAGES = 25
"""How many answers, of 1 MB at most, are read of one function's log to find the latest lines."""

_FIRST_PAGES = 10
"""The same for the first lines about a batch."""

_PAUSE_SECONDS = 2.0
_SOON, _LATE = timedelta(minutes=1), timedelta(minutes=10)
"""How late lines may come: nearly all within the one, which each look goes back; all within the other."""

_LATE_EVERY = 15
"""Looks from one that goes back as far as lines may be late to the next."""


@dataclass(frozen=True)
class LogLine:
    """One structured line of a function's log."""

    time: datetime
    function: str
    level: str
    message: str
    fields: dict[str, Any]
    event: str = ""
    """What the line is about, by a name that never changes; empty for a line that has none."""


@dataclass(frozen=True)
class Latest:
    """The latest lines, oldest first."""

    lines: list[LogLine]
    cut: list[str]
    """The functions whose log is so long that only its latest part was read."""


def logs(place: Target, since: datetime, limit: int, batch_id: str = "", until: datetime | None = None) -> Latest:
    """The functions' structured log lines between two times, at most the `limit` latest; 25 requests a function.

    With `batch_id` only those about this batch.
    """
    lines, cut = _latest(place, since, limit, batch_id, until)
    return Latest(list(lines.values()), cut)


def follow_logs(place: Target, since: datetime, limit: int, batch_id: str = "") -> Iterator[LogLine]:
    """The `limit` latest lines since a time, and then each new one, for as long as the caller wants them.

    A line that CloudWatch Logs gets up to ten minutes late comes then, after later ones. None comes twice.
    """
    begun = datetime.now(UTC)
    known = {name: line.time for name, line in _since(place, max(since, begun - _LATE), batch_id)}
    lines, _ = _latest(place, since, limit, batch_id, None)
    yield from lines.values()
    known |= {name: line.time for name, line in lines.items()}
    for number in count(1):
        time.sleep(_PAUSE_SECONDS)
        back = _LATE if number % _LATE_EVERY == 0 else _SOON
        start, begun = begun - back, datetime.now(UTC)
        new = {name: line for name, line in _since(place, max(since, start), batch_id) if name not in known}
        yield from _in_order(new).values()
        known |= {name: line.time for name, line in new.items()}
        known = {name: written for name, written in known.items() if written > start - _LATE}


def first_lines(place: Target, since: datetime, batch_id: str, functions: Container[str]) -> tuple[list[LogLine], bool]:
    """The lines about a batch since a time, and whether the logs of these functions were read to their end."""
    lines, is_whole = list[LogLine](), True
    for function, group in _groups(place):
        if function not in functions:
            continue
        for number, page in enumerate(_pages(place, group, batch_id, since, None, newest_first=False), 1):
            lines += [line for _, line in _lines(function, page, batch_id)]
            if number == _FIRST_PAGES:
                is_whole = is_whole and "nextToken" not in page
                break
    return lines, is_whole


def _latest(
    place: Target, since: datetime, limit: int, batch_id: str, until: datetime | None
) -> tuple[dict[str, LogLine], list[str]]:
    """The latest lines by id, oldest first, and the functions whose log was not read as far as `since`."""
    lines, cut = dict[str, LogLine](), list[str]()
    for function, group in _groups(place):
        found = dict[str, LogLine]()
        for number, page in enumerate(_pages(place, group, batch_id, since, until, newest_first=True), 1):
            found |= _lines(function, page, batch_id)
            if len(found) >= limit:
                break
            if number == _MOST_PAGES and "nextToken" in page:
                cut.append(function)
                break
        # the embedded AWS answers oldest first, whatever is asked, and all at once
        lines |= found if place.name == "local" else dict(reversed(found.items()))
    return dict(list(_in_order(lines).items())[-limit:]), cut


def _since(place: Target, since: datetime, batch_id: str) -> Iterator[tuple[str, LogLine]]:
    """All lines since a time, by id."""
    for function, group in _groups(place):
        for page in _pages(place, group, batch_id, since, None, newest_first=False):
            yield from _lines(function, page, batch_id)


def _groups(place: Target) -> Iterable[tuple[str, str]]:
    """The functions and their log groups; the state machine's lines are not ours."""
    groups: dict[str, str] = place.outputs().get("log_group_names", {})
    return ((function, group) for function, group in groups.items() if function != "state_machine")


def _pages(
    place: Target, group: str, batch_id: str, since: datetime, until: datetime | None, *, newest_first: bool
) -> Iterator[Mapping[str, Any]]:
    wanted: dict[str, Any] = {"logGroupName": group, "startTime": _milliseconds(since)}
    wanted |= {"endTime": _milliseconds(until)} if until else {}
    wanted |= {"filterPattern": f'"{batch_id}"'} if batch_id else {}
    wanted |= {"startFromHead": False} if newest_first else {}
    pages: Any = place.logs().get_paginator("filter_log_events").paginate(**wanted)
    yield from pages


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _lines(function: str, page: Mapping[str, Any], batch_id: str) -> Iterator[tuple[str, LogLine]]:
    """The lines of ours in an answer, by the ids of their events."""
    for event in page["events"]:
        line = _line(function, event)
        if line and (not batch_id or line.fields.get("batch_id") == batch_id):
            yield _id_of(event), line


def _id_of(event: Mapping[str, Any]) -> str:
    """What an event is known by again; the embedded AWS gives no id to what its Lambda writes."""
    identifier: str = event.get("eventId") or f"{event['logStreamName']} {event['timestamp']} {event['message']}"
    return identifier


def _line(function: str, event: Mapping[str, Any]) -> LogLine | None:
    """A line of ours; None for what Lambda and the metrics write."""
    try:
        content = json.loads(event["message"])
        fields = {name: value for name, value in content.items() if name not in _NOT_SHOWN}
        when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        return LogLine(when, function, content["level"], content["message"], fields, content.get("event", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _in_order(lines: Mapping[str, LogLine]) -> dict[str, LogLine]:
    return dict(sorted(lines.items(), key=lambda item: item[1].time))
