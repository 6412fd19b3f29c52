"""Provides a folder in /tmp for one invocation. Lambda keeps /tmp between invocations in the same environment."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from functions.common.errors import ResourceLimitError


@contextmanager
def workdir() -> Iterator[Path]:
    """Create an empty folder that is deleted at the end. Raises ResourceLimitError if the disk is full.

    Folders of earlier invocations that were killed are deleted first. This is safe because an environment, which the
    name of its log stream identifies, runs one invocation at a time.
    """
    environment = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", str(os.getpid())).rpartition("]")[2]
    prefix = f"pipeline-{environment}-"
    for leftover in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as path:
        try:
            yield Path(path)
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
            raise ResourceLimitError("The function's disk (/tmp) is full.") from exc
