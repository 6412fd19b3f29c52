"""Where the state of a run is kept until all of it is destroyed: in the team's bucket, or in the run's own folder.

In the bucket it outlives the machine: whatever kills a run, the next one finds what it has left.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from pipeline.deploy import backends
from pipeline.deploy.backends import DEFAULT_STATE, Backend, LocalBackend, S3Backend
from pipeline.deploy.workspace import StateFile

DEAD_AFTER = timedelta(hours=1)
"""A run writes its state when it deploys and when it destroys, and takes less than half of this in between."""

_KEY = re.compile(r"/smoke/(smoke-[0-9a-f]{6})\.tfstate(?:\.tflock)?")


def backend(team: Backend, project: str, name: str) -> Backend:
    """Where the run called `name` has its state, if that of the environments is in `team`."""
    if isinstance(team, S3Backend):
        return S3Backend(team.bucket, f"{project}/smoke/{name}.tfstate")
    return LocalBackend()


def state(kept: Backend, folder: Path) -> StateFile | None:
    """What Terraform made in a run, or None where it has begun nothing. Raises ClientError."""
    if isinstance(kept, S3Backend):
        try:
            return StateFile.read(_s3().get_object(Bucket=kept.bucket, Key=kept.key)["Body"].read().decode())
        except ClientError as refused:
            if refused.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None
    file = folder / DEFAULT_STATE
    return StateFile.read(file.read_text()) if file.is_file() else None


def unlock(kept: Backend) -> None:
    """Take away the lock of a run that has died."""
    if isinstance(kept, S3Backend):
        _s3().delete_object(Bucket=kept.bucket, Key=f"{kept.key}.tflock")


def forget(kept: Backend) -> None:
    """Delete the state of a run of which nothing is left; a folder is deleted by whoever made it."""
    if isinstance(kept, S3Backend):
        unlock(kept)
        _s3().delete_object(Bucket=kept.bucket, Key=kept.key)


def dead(kept: Backend, own: str) -> Iterator[str]:
    """The runs with a state beside `kept` that are over: those that wrote nothing for an hour, and one called `own`."""
    if not isinstance(kept, S3Backend):
        return
    written: dict[str, datetime] = {}
    pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=kept.bucket, Prefix=f"{Path(kept.key).parent}/")
    for one in pages.search("Contents[]"):
        if one and (found := _KEY.search(one["Key"])):
            written[found[1]] = max(one["LastModified"], written.get(found[1], one["LastModified"]))
    oldest = datetime.now(UTC) - DEAD_AFTER
    yield from (name for name, when in sorted(written.items()) if when < oldest or name == own)


def _s3() -> Any:
    return backends.client("s3")
