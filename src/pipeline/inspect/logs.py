"""Reads the functions' structured logs, of all batches or of one.

CloudWatch Logs filters by the time of writing, but may receive a line later. A page may be empty and still have a next
next page (docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html). So the latest lines
are read newest first. Following the logs reads the last minutes again, and recognizes lines by their IDs.
"""

import json
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from pipeline.deploy.targets import Target

_NOT_SHOWN = {
    *("level", "location", "event", "message", "timestamp"),
    *("service", "function_name", "function_arn", "xray_trace_id"),
}

_FIRST_PAGES = 10
"""The maximum number of pages, of up to 1 MB each, that are read from each log for the first lines about a batch."""

_PAUSE_SECONDS = 2.0
_LATE = timedelta(minutes=1)
"""The maximum delay with which nearly all lines arrive."""


@dataclass(frozen=True)
class LogLine:
    """A structured line of a function's log."""

    time: datetime
    function: str
    level: str
    message: str
    fields: dict[str, Any]
    event: str = ""
    """The fixed name of the event that the line is about. Empty if the line has none."""


_Lines = dict[str, LogLine]
"""Lines by the ID of their log event."""


def logs(
    place: Target, since: datetime, limit: int, batch_id: str = "", until: datetime | None = None
) -> list[LogLine]:
    """Return the functions' structured log lines between two times: the `limit` latest lines, oldest first.

    With `batch_id`, returns only lines about that batch.
    """
    return list(_latest(place, since, limit, batch_id, until).values())


def follow_logs(place: Target, since: datetime, limit: int, batch_id: str = "") -> Iterator[LogLine]:
    """Yield the `limit` latest lines since a time, then each new line, for as long as the caller reads.

    A line that CloudWatch Logs receives up to a minute late follows newer lines. Each line is yielded only once.
    """
    begun = datetime.now(UTC)
    known = _since(place, max(since, begun - _LATE), batch_id)
    lines = _latest(place, since, limit, batch_id)
    yield from lines.values()
    known |= lines
    while True:
        time.sleep(_PAUSE_SECONDS)
        start, begun = begun - _LATE, datetime.now(UTC)
        new = {name: one for name, one in _since(place, max(since, start), batch_id).items() if name not in known}
        yield from _in_order(new).values()
        known = {name: line for name, line in (known | new).items() if line.time > start - _LATE}


def first_lines(place: Target, since: datetime, batch_id: str, functions: Container[str]) -> tuple[list[LogLine], bool]:
    """Return the lines about a batch since a time, and whether the logs of these functions were read completely."""
    lines, is_whole = list[LogLine](), True
    for function, pages in _logs(place, since, batch_id):
        if function in functions:
            has_more = False
            for page, has_more in islice(pages, _FIRST_PAGES):  # noqa: B007 (of the last page)
                lines += page.values()
            is_whole = is_whole and not has_more
    return lines, is_whole


def _latest(place: Target, since: datetime, limit: int, batch_id: str = "", until: datetime | None = None) -> _Lines:
    """Return the latest lines, oldest first. Reads each log from its end until there are enough lines."""
    lines = _Lines()
    for _, pages in _logs(place, since, batch_id, until, newest_first=True):
        found = _Lines()
        for page, _ in pages:
            found |= page
            if len(found) >= limit:
                break
        # the local emulator always returns the oldest lines first, in one page
        lines |= found if place.name == "local" else dict(reversed(found.items()))
    return dict(list(_in_order(lines).items())[-limit:])


def _since(place: Target, since: datetime, batch_id: str) -> _Lines:
    """Return all lines since a time."""
    pages = (page for _, pages in _logs(place, since, batch_id) for page, _ in pages)
    return {name: line for page in pages for name, line in page.items()}


def _logs(
    place: Target, since: datetime, batch_id: str, until: datetime | None = None, *, newest_first: bool = False
) -> Iterator[tuple[str, Iterator[tuple[_Lines, bool]]]]:
    """Yield each function with the pages of its log. Each page has a flag that says whether another page follows."""
    wanted: dict[str, Any] = {"startTime": _milliseconds(since)}
    wanted |= {"endTime": _milliseconds(until)} if until else {}
    wanted |= {"filterPattern": f'"{batch_id}"'} if batch_id else {}
    wanted |= {"startFromHead": False} if newest_first else {}
    for function, group in place.outputs().get("log_group_names", {}).items():
        if function != "state_machine":
            pages = place.logs().get_paginator("filter_log_events").paginate(logGroupName=group, **wanted)
            yield function, ((dict(_lines(function, page, batch_id)), "nextToken" in page) for page in pages)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _lines(function: str, page: Mapping[str, Any], batch_id: str) -> Iterator[tuple[str, LogLine]]:
    """Yield the structured lines of a page by ID, without the lines that Lambda and the metrics write."""
    for event in page["events"]:
        try:
            content = json.loads(event["message"])
            fields = {name: value for name, value in content.items() if name not in _NOT_SHOWN}
            when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            line = LogLine(when, function, content["level"], content["message"], fields, content.get("event", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if not batch_id or line.fields.get("batch_id") == batch_id:
            # the local emulator gives no IDs to the lines that its Lambda writes
            yield event.get("eventId") or f"{event['logStreamName']} {event['timestamp']} {event['message']}", line


def _in_order(lines: _Lines) -> _Lines:
    return dict(sorted(lines.items(), key=lambda item: item[1].time))
