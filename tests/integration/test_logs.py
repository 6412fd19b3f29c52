"""The functions' log lines as CloudWatch Logs returns them: newest first, in pages that may be empty, and late."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.inspect import logs
from pipeline.inspect.logs import LogLine, follow_logs

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AGES = timedelta(days=60)


class CloudWatchLogs:
    """Behaves like the documented FilterLogEvents; a page has `page` events, including those that do not match."""

    def __init__(self, page: int = 10) -> None:
        self.page = page
        self.events: dict[str, list[dict[str, Any]]] = {"validate": [], "write": [], "states": []}
        self.requests = 0

    def write(self, function: str, when: datetime, **fields: Any) -> None:
        message = json.dumps({"level": "INFO", "message": "logged"} | fields)
        event = {"timestamp": round(when.timestamp() * 1000), "message": message, "eventId": f"{len(self.all_events)}"}
        self.events[function].append(event)

    @property
    def all_events(self) -> list[dict[str, Any]]:
        return [event for events in self.events.values() for event in events]

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(
        self,
        logGroupName: str,
        startTime: int,
        endTime: float = float("inf"),
        filterPattern: str = '""',
        startFromHead: bool = True,
    ) -> Iterator[dict[str, Any]]:
        found = [one for one in self.events[logGroupName] if startTime <= one["timestamp"] <= endTime]
        found.sort(key=lambda one: one["timestamp"])
        searched = found if startFromHead else found[::-1]
        for start in range(0, max(len(searched), 1), self.page):
            self.requests += 1
            page = [one for one in searched[start : start + self.page] if filterPattern.strip('"') in one["message"]]
            yield {"events": page} | ({"nextToken": "x"} if start + self.page < len(searched) else {})


@pytest.fixture
def log() -> CloudWatchLogs:
    return CloudWatchLogs()


def place(log: CloudWatchLogs, name: str = "aws") -> Any:
    groups = {"validate": "validate", "write": "write", "state_machine": "states"}
    return SimpleNamespace(name=name, logs=lambda: log, outputs=lambda: {"log_group_names": groups})


def numbers(lines: list[LogLine]) -> list[int]:
    return [line.fields["number"] for line in lines]


# --- the latest -------------------------------------------------------------------------------------------------------


def test_the_latest_lines_of_all_functions_are_found_without_reading_the_rest(log: CloudWatchLogs) -> None:
    for number in range(1000):
        log.write(("validate", "write")[number % 2], NOW - timedelta(seconds=1000 - number), number=number)
    found = logs.logs(place(log), NOW - AGES, 15)
    assert numbers(found) == list(range(985, 1000))
    assert log.requests == 4, "two pages of each function's log hold 15 lines"


def test_lines_of_one_millisecond_stay_in_the_order_that_they_were_written_in(log: CloudWatchLogs) -> None:
    for number in range(5):
        log.write("validate", NOW, number=number)
    assert numbers(logs.logs(place(log), NOW - AGES, 3)) == [2, 3, 4]


def test_the_local_emulator_gives_no_ids_and_lists_the_oldest_first(
    log: CloudWatchLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        log.write("validate", NOW, number=number)
    for event in log.all_events:
        del event["eventId"]
        event["logStreamName"] = "stream"
    paginate = log._paginate
    monkeypatch.setattr(log, "_paginate", lambda **wanted: paginate(**{**wanted, "startFromHead": True}))
    assert numbers(logs.logs(place(log, "local"), NOW - AGES, 5)) == [0, 1, 2]


def test_lines_after_a_batch_s_end_are_not_read(log: CloudWatchLogs) -> None:
    log.write("write", NOW, number=1, batch_id="mine")
    log.write("write", NOW + timedelta(milliseconds=1), number=2, batch_id="mine")
    assert numbers(logs.logs(place(log), NOW, 3, "mine", until=NOW)) == [1]


# --- follow -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def followed(log: CloudWatchLogs, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Follow the log while things happen, one before each look, with as many seconds between looks."""

    def followed(happens: list[Callable[[], Any]], seconds: float = 2, limit: int = 100) -> list[int]:
        clock = [NOW]
        monkeypatch.setattr(
            logs, "datetime", SimpleNamespace(now=lambda _: clock[0], fromtimestamp=datetime.fromtimestamp)
        )

        def sleep(_: float) -> None:
            if not happens:
                raise KeyboardInterrupt
            clock[0] += timedelta(seconds=seconds)
            happens.pop(0)()

        monkeypatch.setattr(logs.time, "sleep", sleep)
        lines: list[LogLine] = []
        with suppress(KeyboardInterrupt):
            lines.extend(follow_logs(place(log), NOW - timedelta(minutes=15), limit))
        return numbers(lines)

    return followed


def test_follow_shows_each_line_once_even_within_one_millisecond(
    log: CloudWatchLogs, followed: Callable[..., list[int]]
) -> None:
    log.write("write", NOW, number=1)
    assert followed([lambda: log.write("write", NOW, number=2), lambda: None, lambda: None]) == [1, 2]


def test_follow_shows_lines_that_arrive_late(log: CloudWatchLogs, followed: Callable[..., list[int]]) -> None:
    log.write("write", NOW, number=1)
    assert followed([lambda: log.write("validate", NOW - timedelta(seconds=50), number=0)]) == [1, 0]


def test_follow_shows_more_lines_than_the_first_limit(log: CloudWatchLogs, followed: Callable[..., list[int]]) -> None:
    for number in range(50):
        log.write("write", NOW - timedelta(seconds=50 - number), number=number)

    def more() -> None:
        for number in range(50, 1200):
            log.write("write", NOW + timedelta(seconds=1), number=number)

    numbers_shown = followed([more, *[lambda: None] * 20], limit=3)
    assert numbers_shown == [47, 48, 49, *range(50, 1200)], "lines beyond the first limit are not shown later"


def test_follow_loses_no_line_if_the_machine_sleeps_between_two_reads(
    log: CloudWatchLogs, followed: Callable[..., list[int]]
) -> None:
    wrote = [lambda n=n: log.write("write", NOW + timedelta(minutes=30 + 60 * n), number=n) for n in range(4)]
    assert followed([*wrote, lambda: None], seconds=3600) == [0, 1, 2, 3]


def test_follow_keeps_only_the_lines_that_may_be_returned_again(
    log: CloudWatchLogs, followed: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even polls that reach far back repeat no line."""
    seconds = iter(range(10_000))

    def one() -> None:
        at = next(seconds)
        log.write("write", NOW + timedelta(seconds=20 * at), number=at)

    assert followed([one] * 200, seconds=20) == list(range(200))
