"""Deploys and destroys: Terraform over infra/, with progress, and a look at what is left behind."""

import re
import time
from collections.abc import Iterator
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline import build, show
from pipeline.targets import Target, check_credentials

_PLAN = re.compile(r"Plan: (\d+) to add, (\d+) to change, (\d+) to destroy")
_FORGETTING_SECONDS = 90
"""How long AWS may go on listing the tags of what is gone."""

_DONE = re.compile(r"(Creation|Modifications|Destruction) complete")


def deploy(place: Target) -> dict[str, Any]:
    """Build what is out of date, apply infra/ and answer its outputs. Raises CliError."""
    check_credentials(place)
    build.build(place.runtime)
    place.workspace.init()
    _watch("deploying", place.workspace.apply())
    return place.outputs


def destroy(place: Target) -> list[str]:
    """Destroy all that infra/ made; answers the ARNs of what is still there with its tags. Raises CliError."""
    check_credentials(place)
    place.workspace.init()
    tags = place.outputs["tags"]
    if place.name == "local":
        _empty_buckets(place)
    _watch("destroying", place.workspace.destroy())
    deadline = time.monotonic() + _FORGETTING_SECONDS
    while (left := leftovers(place, tags["Project"], tags["Environment"])) and time.monotonic() < deadline:
        time.sleep(5)
    return left


def _empty_buckets(place: Target) -> None:
    """Delete every version, since the provider cannot tell the embedded AWS to delete a key with odd characters."""
    for name in ("ingest_bucket", "processed_bucket"):
        place.bucket(place.outputs[name]).object_versions.delete()


def leftovers(place: Target, project: str, environment: str) -> list[str]:
    """The ARNs of the resources that carry the deployment's tags."""
    client = place.client("resourcegroupstaggingapi")
    filters = [{"Key": "Project", "Values": [project]}, {"Key": "Environment", "Values": [environment]}]
    pages = client.get_paginator("get_resources").paginate(TagFilters=filters)
    return [found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"]]


def _watch(what: str, lines: Iterator[str]) -> None:
    """Say that it begins and how many resources it was; on a terminal a bar shows how many are done."""
    show.step(f"{what} infra/")
    columns = (TextColumn("[dim]·[/dim] {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=show.err, transient=True, disable=not show.err.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        done = 0
        for line in lines:
            if plan := _PLAN.search(line):
                progress.update(task, total=sum(map(int, plan.groups())))
            if _DONE.search(line):
                done += 1
                progress.update(task, completed=done)
    show.step(f"  {done} resources")
