"""Explains errors of the system: a full disk, or a file that can't be read or written."""

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
    errno.ENOSPC: "Free some space on that disk, or name a path on another one",
    errno.EDQUOT: "Delete some of your files on that disk, or name a path on another one",
    errno.EFBIG: "Raise the limit of this process (ulimit -f), or name a path on another disk",
    errno.EACCES: "Ask its owner for permission, or name another path",
    errno.EPERM: "Ask its owner for permission, or name another path",
    errno.EROFS: "Name a path on a writable disk",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "Check the path: a part of it is a file and not a folder",
    errno.EISDIR: "Name a file and not a folder",
    errno.ENAMETOOLONG: "Name a shorter path",
    errno.EMFILE: "Raise the limit of open files of this process (ulimit -n)",
    errno.ENFILE: "Close programs that hold files open",
    errno.EIO: "The disk has a fault: see the system's log (dmesg), or name a path on another disk",
}
"""What to do about an error, before the command is run again."""
_AGAIN = "run the command again."


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk is full, or a quota or the file size limit is reached."""
    return error.errno in _FULL


def of_file(error: OSError, path: Path | str = "") -> CliError:
    """Explains an error, with the path that it is about: `path` if given, otherwise the one that the error names."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # of copytree: source, target, reason
        _, named, reason = error.args[0][0]
        return CliError(f"{named}: {reason}.", f"Fix that, then {_AGAIN}")
    number, reason, named = error.errno, error.strerror or str(error), path or error.filename or ""
    next_step = f"{_NEXT.get(number or 0, 'Fix that')}, then {_AGAIN}"
    if number in _FULL:
        named = path or error.filename2 or error.filename or named
        named = named or f"The output, or a temporary file in {tempfile.gettempdir()},"
        return CliError(f"{named} can't be written: {_FULL[number]}.", next_step)
    return CliError(f"{named}: {reason}." if named else f"The system refused a request: {reason}.", next_step)


@contextlib.contextmanager
def writing(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Raise CliError that names `path` if it, or its `unfinished` content under another name, can't be written.

    An error about any other file is raised as it is.
    """
    try:
        yield
    except OSError as exc:
        about = {Path(name) for name in (exc.filename, exc.filename2) if isinstance(name, str)}
        if is_full(exc) or not about or any(name in about for name in (path, unfinished)):
            raise of_file(exc, path) from exc
        raise
