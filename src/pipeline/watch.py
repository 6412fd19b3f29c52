"""What runs now and what has just ended, look by look."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from functions.common.executions import execution_arn
from pipeline import undelivered
from pipeline.monitor import Run, cost_of, listed_runs, run_of
from pipeline.targets import Target

_SECONDS = {"local": 0.5, "aws": 3.0}
_LISTED = 100
"""How many executions a look sees, the newest; also the most that one request lists at little cost."""

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

    A look asks once for all executions, once for each that runs, and three times for each that has ended since.
    """
    running: dict[str, Run] = {}
    ended: dict[str, Run] = {}
    waiting, number = 0, 0
    while True:
        if number % _QUEUE_EVERY == 0:
            waiting = undelivered.waiting(place)
        begun, over, now_running = [], [], {}
        for execution in listed_runs(place, _LISTED):
            name = execution["name"]
            if execution["status"] == "RUNNING":
                run = running.get(name) or run_of(place, execution)
                begun += [] if name in running else [run]
                now_running[name] = run
            elif name not in ended and execution["stopDate"] >= since:
                over.append(run_of(place, execution))
        ended = {run.name: run for run in over} | {name: _with_cost(place, run) for name, run in ended.items()}
        running = now_running
        states = [(run, _state_of(place, run) if at < _STATES else "") for at, run in enumerate(running.values())]
        yield Look(tuple(states), tuple(ended.values()), tuple(begun[::-1]), tuple(over[::-1]), waiting)
        number += 1
        time.sleep(_SECONDS[place.name])


def _with_cost(place: Target, run: Run) -> Run:
    if run.usd or run.stopped is None or run.stopped < datetime.now(UTC) - _COST_WITHIN:
        return run
    return replace(run, usd=cost_of(place, run.batch_id, run.name))


def _state_of(place: Target, run: Run) -> str:
    """The state that an execution is in: that which it entered last."""
    events = place.step_functions.get_execution_history(
        executionArn=execution_arn(place.outputs["state_machine_arn"], run.name),
        reverseOrder=True,
        maxResults=50,
        includeExecutionData=False,
    )["events"]
    entered = (event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event)
    return next(entered, "")
