"""A folder in /tmp for one invocation. Lambda keeps /tmp between the invocations of an environment."""

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
    """A new, empty folder that is gone when the body ends. Raises ResourceLimitError where the disk is full.

    What an invocation left that was killed is removed first: an environment runs one invocation at a time, and
    its log stream is its name.
    """
    environment = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", str(os.getpid())).rpartition("]")[2]
    prefix = f"pipeline-{environment}-"
    for left_behind in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as path:
        try:
            yield Path(path)
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
            raise ResourceLimitError("The function's disk (/tmp) is full.") from exc
