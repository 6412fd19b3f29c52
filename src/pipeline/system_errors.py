"""Explains operating system errors, such as a full disk or a file that can't be read or written."""

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import CliError

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit for files",
}
_NEXT = {
    errno.ENOSPC: "Free some space on that disk, or choose a path on another disk",
    errno.EDQUOT: "Delete some of your files on that disk, or choose a path on another disk",
    errno.EFBIG: "Raise the file size limit of this process (ulimit -f), or choose a path on another disk",
    errno.EACCES: "Ask its owner for permission, or choose another path",
    errno.EPERM: "Ask its owner for permission, or choose another path",
    errno.EROFS: "Choose a path on a writable disk",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "Check the path: part of it is a file, not a folder",
    errno.EISDIR: "Choose a file, not a folder",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.EMFILE: "Raise the limit on open files of this process (ulimit -n)",
    errno.ENFILE: "Close programs that keep many files open",
    errno.EIO: "Check the system log for disk errors (dmesg), or choose a path on another disk",
}
"""What to do about an error before running the command again."""
_AGAIN = "run the command again."


def is_full(error: OSError) -> bool:
    """Return whether the disk is full, a disk quota is used up, or a file would exceed the size limit."""
    return error.errno in _FULL


def of_file(error: OSError, path: Path | str = "") -> CliError:
    """Return a CliError for `error`, with its next step. `path` replaces the path that the error names."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # copytree's: source, target, reason
        _, named, reason = error.args[0][0]
        return CliError(f"{named}: {reason}.", f"Fix this problem, then {_AGAIN}")
    number, reason, named = error.errno, error.strerror or str(error), path or error.filename or ""
    next_step = f"{_NEXT.get(number or 0, 'Fix this problem')}, then {_AGAIN}"
    if number in _FULL:
        named = path or error.filename2 or error.filename or named
        named = named or f"The output, or a temporary file in {tempfile.gettempdir()},"
        return CliError(f"{named} can't be written: {_FULL[number]}.", next_step)
    return CliError(f"{named}: {reason}." if named else f"The system rejected a request: {reason}.", next_step)


@contextlib.contextmanager
def writing(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Translate an OSError about `path`, or about its `unfinished` temporary file, to a CliError that names `path`.

    An error about any other file is raised unchanged.
    """
    try:
        yield
    except OSError as exc:
        about = {Path(name) for name in (exc.filename, exc.filename2) if isinstance(name, str)}
        if is_full(exc) or not about or any(name in about for name in (path, unfinished)):
            raise of_file(exc, path) from exc
        raise
