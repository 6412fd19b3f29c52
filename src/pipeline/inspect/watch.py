"""What runs now and what has just ended, look by look."""

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
"""How many executions the first look sees beside those that run, the newest; each costs some requests."""

_SETTLED_WITHIN = timedelta(minutes=1)
"""How late Step Functions may list what has happened: its listing is eventually consistent."""

_STATES = 10
"""Of how many that run the state is asked for, a request each."""

_QUEUE_EVERY = 10
"""Looks from one question about the queue to the next."""

_COST_WITHIN = timedelta(minutes=1)
"""For so long after its end a run's cost is asked for again: its record comes later."""


@dataclass(frozen=True)
class Look:
    """What one look saw."""

    running: tuple[tuple[Run, str], ...]
    """With the state that each is in; empty where it was not asked for."""
    ended: tuple[Run, ...]
    """What has ended since the first look, or shortly before it; newest first."""
    begun: tuple[Run, ...]
    """What was not seen running or ended before."""
    over: tuple[Run, ...]
    """What was not seen ended before, oldest first."""
    waiting: int
    """Events in the on-failure queue."""


def watch(place: Target, since: datetime) -> Iterator[Look]:
    """Look again and again, for as long as the caller wants; of what ended before `since` nothing is told.

    A look asks once or twice for all executions, once for each that runs, and three times for each that has ended
    since. Whatever was seen running is told of until its end, however many others there are.
    """
    running: dict[str, Run] = {}
    ended: dict[str, Run] = {}
    waiting, looked = 0, since
    for number in count():
        if number % _QUEUE_EVERY == 0:
            waiting = undelivered.waiting(place)
        before, looked = looked, datetime.now(UTC)
        seen = _seen(place, before - _SETTLED_WITHIN, running.keys(), None if number else _FIRST)
        now_running = {name: one for name, one in seen.items() if one["status"] == "RUNNING"}
        new = runs_of(place, [one for name, one in now_running.items() if name not in running])
        runs = running | {run.name: run for run in new}
        running = {name: _renamed(runs[name], one) for name, one in now_running.items()}
        gone = [one for name, one in seen.items() if name not in now_running and name not in ended]
        over = runs_of(place, [one for one in gone if one["stopDate"] >= since])
        ended = {run.name: run for run in over} | {name: _with_cost(place, run) for name, run in ended.items()}
        states = [(run, _state_of(place, run) if at < _STATES else "") for at, run in enumerate(running.values())]
        yield Look(tuple(states), tuple(ended.values()), tuple(new[::-1]), tuple(over[::-1]), waiting)
        time.sleep(_SECONDS[place.name])


def _seen(place: Target, since: datetime, known: Set[str], most: int | None) -> dict[str, Mapping[str, Any]]:
    """The executions that run, those that have changed since a time (at most so many), and those that are `known`."""
    client, machine = place.step_functions(), place.outputs()["state_machine_arn"]
    listed = [*executions.running(client, machine), *islice(executions.changed_since(client, machine, since), most)]
    seen: dict[str, Mapping[str, Any]] = {one["name"]: one for one in listed}
    for name in known - seen.keys():
        if (one := executions.describe(client, machine, name)) is not None:
            seen[name] = one
    return seen


def _renamed(run: Run, execution: Mapping[str, Any]) -> Run:
    """A running execution with its outcome as of now: one that runs for too long is stuck."""
    return replace(run, outcome=outcome_of(state_without_record(execution, restarts.patience())))


def _with_cost(place: Target, run: Run) -> Run:
    if run.usd or run.stopped is None or run.stopped < datetime.now(UTC) - _COST_WITHIN:
        return run
    return replace(run, usd=cost_of(place, run.batch_id, run.name))


def _state_of(place: Target, run: Run) -> str:
    """The state that an execution is in: that which it entered last."""
    events = place.step_functions().get_execution_history(
        executionArn=execution_arn(place.outputs()["state_machine_arn"], run.name),
        reverseOrder=True,
        maxResults=50,
        includeExecutionData=False,
    )["events"]
    entered = (event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event)
    return next(entered, "")
