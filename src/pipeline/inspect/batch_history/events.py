"""Finds the events about a batch in the logs of the starter and the reconciler, and in the failed-event queue."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from functions.common.telemetry import LogEvent
from functions.starter.events import objects_created
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history.model import LoggedEvent, Queued
from pipeline.inspect.logs import first_lines
from pipeline.recover import undelivered

_STARTED: Mapping[str, bool] = {LogEvent.EXECUTION_STARTED: True, LogEvent.EXECUTION_KNOWN: False}
"""Whether an event that the starter or the reconciler logs about a file started an execution."""


def queued(place: Target, key: str, version_id: str, names: set[str]) -> tuple[list[Queued], int]:
    """Return the events in the failed-event queue about a version of a key, or about executions with these `names`.

    Also returns the approximate number of messages that are hidden because another reader has them.
    """
    waiting = undelivered.waiting(place)
    seen = list(undelivered.peek(place)) if waiting else []
    found = [
        Queued(message.sent, message.function, error)
        for message, error in seen
        if message.about in names or (key, version_id) in _versions_in(message.event)
    ]
    return found, max(0, waiting - len(seen))


def _versions_in(event: Any) -> list[tuple[str, str]]:
    try:
        return [(created.key, created.version_id) for created in objects_created(event)]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def logged_events(place: Target, batch_id: str, since: datetime) -> tuple[list[LoggedEvent], bool]:
    """Return the events about a batch that the starter and the reconciler logged, and whether all logs were searched.

    Raises ClientError if the logs can't be read.
    """
    lines, is_whole = first_lines(place, since - timedelta(minutes=1), batch_id, ("starter", "reconciler"))
    return [
        LoggedEvent(one.time, one.function, _STARTED[one.event]) for one in lines if one.event in _STARTED
    ], is_whole
