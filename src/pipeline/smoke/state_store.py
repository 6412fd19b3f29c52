"""Stores the Terraform state of a run until it is destroyed: in the team's bucket, or in the run's own folder.

A state in the bucket survives the machine, so the next run can destroy the leftovers of a killed run.
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
"""A run writes its state when it deploys and when it destroys. A run takes less than half of this time in between."""

_KEY = re.compile(r"/smoke/(smoke-[0-9a-f]{6})\.tfstate(?:\.tflock)?")


def backend(team: Backend, project: str, name: str) -> Backend:
    """Return the backend for the state of the run `name`. `team` is the backend of the environments."""
    if isinstance(team, S3Backend):
        return S3Backend(team.bucket, f"{project}/smoke/{name}.tfstate")
    return LocalBackend()


def state(kept: Backend, folder: Path) -> StateFile | None:
    """Return the Terraform state of a run, or None if the run has created nothing yet. Raises ClientError."""
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
    """Release the state lock of a killed run."""
    if isinstance(kept, S3Backend):
        _s3().delete_object(Bucket=kept.bucket, Key=f"{kept.key}.tflock")


def forget(kept: Backend) -> None:
    """Delete the state of a destroyed run from the bucket. A local state is deleted with the run's folder."""
    if isinstance(kept, S3Backend):
        unlock(kept)
        _s3().delete_object(Bucket=kept.bucket, Key=kept.key)


def dead(kept: Backend, own: str) -> Iterator[str]:
    """Yield the ended runs in the bucket: all without a write for an hour, and the run called `own`."""
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
