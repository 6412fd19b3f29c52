"""Polls Step Functions for executions that start or end."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from functions.common import executions
from pipeline.deploy.targets import Target
from pipeline.inspect.executions import Run, runs_of

_SECONDS = {"local": 0.5, "aws": 3.0}
_SETTLED_WITHIN = timedelta(minutes=1)
"""How late Step Functions may list a change, since its listings are eventually consistent."""


def watch(place: Target, since: datetime) -> Iterator[tuple[str, Run]]:
    """Yield executions that are running or ended since a time, then each change: `started` or `ended`, oldest first.

    Polls for as long as the caller reads. A poll lists executions twice, and makes three requests for each change.
    """
    client, machine = place.step_functions(), place.outputs()["state_machine_arn"]
    running, ended = set[str](), set[str]()
    polled = since
    while True:
        before, polled = polled, datetime.now(UTC)
        seen = {one["name"]: one for one in executions.running(client, machine)}
        seen |= {one["name"]: one for one in executions.changed_since(client, machine, before - _SETTLED_WITHIN)}
        over = {name: one for name, one in seen.items() if one["status"] != "RUNNING"}
        begun = [one for name, one in seen.items() if name not in {*over, *running}]
        new = [one for name, one in over.items() if name not in ended and one["stopDate"] >= since]
        yield from (("started", run) for run in runs_of(place, begun[::-1]))
        yield from (("ended", run) for run in runs_of(place, new[::-1]))
        running = (running | {one["name"] for one in begun}) - over.keys()
        ended |= over.keys()
        time.sleep(_SECONDS[place.name])
