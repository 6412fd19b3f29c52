"""Polls for executions that are running and that have just ended."""

import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from functions.common import executions
from functions.common.batch_state import state_without_record
from functions.common.executions import execution_arn
from pipeline.deploy.targets import Target
from pipeline.inspect.executions import Run, cost_of, runs_of
from pipeline.inspect.outcome import outcome_of
from pipeline.recover import restarts, undelivered

_SECONDS = {"local": 0.5, "aws": 3.0}
_FIRST = 100
"""How many executions the first poll reads in addition to the running ones: the newest. Each takes a few requests."""

_SETTLED_WITHIN = timedelta(minutes=1)
"""How late Step Functions may list a change: its listing is eventually consistent."""

_STATES = 10
"""How many running executions have their current state read, with a request each."""

_QUEUE_EVERY = 10
"""The size of the failed-event queue is read once per this number of polls."""

_COST_WITHIN = timedelta(minutes=1)
"""How long after an execution's end its cost is looked up: its record is written later."""


@dataclass(frozen=True)
class Look:
    """The result of one poll."""

    running: tuple[tuple[Run, str], ...]
    """Each with its current state, which is empty if it was not read."""
    ended: tuple[Run, ...]
    """Executions that ended since the first poll or shortly before it; newest first."""
    begun: tuple[Run, ...]
    """Executions that are new in this poll."""
    over: tuple[Run, ...]
    """Executions whose end is new in this poll, oldest first."""
    waiting: int
    """Events in the failed-event queue."""


def watch(place: Target, since: datetime) -> Iterator[Look]:
    """Poll for as long as the caller reads. Leaves out executions that ended before `since`.

    A poll lists executions once or twice, makes one request for each that is running, and three for each that has
    newly ended. An execution that was seen running is followed until its end.
    """
    running: dict[str, Run] = {}
    ended: dict[str, Run] = {}
    waiting, polled = 0, since
    for number in count():
        if number % _QUEUE_EVERY == 0:
            waiting = undelivered.waiting(place)
        before, polled = polled, datetime.now(UTC)
        seen = _seen(place, before - _SETTLED_WITHIN, running.keys(), None if number else _FIRST)
        still = {name: one for name, one in seen.items() if one["status"] == "RUNNING"}
        new = runs_of(place, [one for name, one in still.items() if name not in running])
        runs = running | {run.name: run for run in new}
        patience = restarts.patience()
        running = {
            name: replace(runs[name], outcome=outcome_of(state_without_record(one, patience)))  # it may now be stuck
            for name, one in still.items()
        }
        gone = [one for name, one in seen.items() if name not in still and name not in ended]
        over = runs_of(place, [one for one in gone if one["stopDate"] >= since])
        ended = {run.name: run for run in over} | {name: _with_cost(place, run) for name, run in ended.items()}
        states = [(run, _state_of(place, run) if at < _STATES else "") for at, run in enumerate(running.values())]
        yield Look(tuple(states), tuple(ended.values()), tuple(new[::-1]), tuple(over[::-1]), waiting)
        time.sleep(_SECONDS[place.name])


def _seen(place: Target, since: datetime, known: Set[str], most: int | None) -> dict[str, Mapping[str, Any]]:
    """The running executions, at most `most` that have changed since a time, and those that are `known`."""
    client, machine = place.step_functions(), place.outputs()["state_machine_arn"]
    listed = [*executions.running(client, machine), *islice(executions.changed_since(client, machine, since), most)]
    seen: dict[str, Mapping[str, Any]] = {one["name"]: one for one in listed}
    for name in known - seen.keys():
        if (one := executions.describe(client, machine, name)) is not None:
            seen[name] = one
    return seen


def _with_cost(place: Target, run: Run) -> Run:
    if run.usd or run.stopped is None or run.stopped < datetime.now(UTC) - _COST_WITHIN:
        return run
    return replace(run, usd=cost_of(place, run.batch_id, run.name))


def _state_of(place: Target, run: Run) -> str:
    """The state that an execution entered last."""
    events = place.step_functions().get_execution_history(
        executionArn=execution_arn(place.outputs()["state_machine_arn"], run.name),
        reverseOrder=True,
        maxResults=50,
        includeExecutionData=False,
    )["events"]
    entered = (event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event)
    return next(entered, "")
