"""Polls for executions that are running and that have just ended."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from functions.common import executions
from functions.common.executions import execution_arn
from pipeline.deploy.targets import Target
from pipeline.inspect.executions import Run, runs_of
from pipeline.recover import undelivered

_SECONDS = {"local": 0.5, "aws": 3.0}
_SETTLED_WITHIN = timedelta(minutes=1)
"""How late Step Functions may list a change: its listing is eventually consistent."""

_STATES = 10
"""How many running executions have their current state read, with a request each."""


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

    A poll lists executions twice, makes one request for each that is running, and three for each that has newly ended.
    An execution that was seen running is shown until its end is listed.
    """
    client, machine = place.step_functions(), place.outputs()["state_machine_arn"]
    running: dict[str, Run] = {}
    ended: dict[str, Run] = {}
    polled = since
    while True:
        before, polled = polled, datetime.now(UTC)
        seen = {one["name"]: one for one in executions.running(client, machine)}
        seen |= {one["name"]: one for one in executions.changed_since(client, machine, before - _SETTLED_WITHIN)}
        closed = {name: one for name, one in seen.items() if one["status"] != "RUNNING"}
        begun = runs_of(place, [one for name, one in seen.items() if name not in {*closed, *running}])
        running = {name: run for name, run in running.items() if name not in closed}
        running = {run.name: run for run in begun} | running
        new = [one for name, one in closed.items() if name not in ended and one["stopDate"] >= since]
        over = runs_of(place, new)
        ended = {run.name: run for run in over} | ended
        states = [(run, _state_of(place, run) if at < _STATES else "") for at, run in enumerate(running.values())]
        yield Look(
            tuple(states), tuple(ended.values()), tuple(begun[::-1]), tuple(over[::-1]), undelivered.waiting(place)
        )
        time.sleep(_SECONDS[place.name])


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
