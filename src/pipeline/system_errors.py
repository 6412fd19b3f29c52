"""Explains errors of the system: too little memory or disk space, or a file that can't be read or written.

Imports only the standard library, since the process may not have the memory for more.
"""

import contextlib
import errno
import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from pipeline.errors import CliError

_LOADING_MB = 200
"""With less address space the libraries can't be loaded: some raise errors, and others crash without a message."""

NEEDED_MB = 500
"""With this much address space `pipeline validate` works."""

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

_BY_COPYTREE = re.compile(r"\[Errno (\d+)\]")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that the process can't get memory."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if _is_memory(error):
            return True
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _is_memory(error: BaseException) -> bool:
    """Python has no class for a thread or a library that gets no memory, so their messages decide."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return "can't start new thread" in str(error)
    if isinstance(error, ImportError):
        return "failed to map segment" in str(error) or "Cannot allocate memory" in str(error)
    if isinstance(error, MemoryError) or getattr(error, "is_memory", False):
        return True
    duckdb = sys.modules.get("duckdb")  # only if it is loaded: loading it would take memory
    return duckdb is not None and isinstance(error, duckdb.OutOfMemoryException)


def is_limit_too_low() -> bool:
    """Whether the memory limit of this process is too low to load the command line."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit != resource.RLIM_INFINITY and limit < _LOADING_MB << 20


def out_of_memory() -> CliError:
    """The error for too little memory. It names the limit, if there is one."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return CliError(
            "There is not enough memory for this command.",
            "Close other programs, run it where more memory is free, or split the input file.",
        )
    return CliError(
        f"There is not enough memory for this command: its limit is {limit >> 20:,} MB.",
        f"Raise the limit (ulimit -v) to {NEEDED_MB} MB or more, then run the command again.",
    )


def give_up(problem: CliError) -> NoReturn:
    """Print an error with little memory, and end the process.

    Skips the interpreter's clean-up, in which libraries crash without memory.
    """
    message = f"error: {problem}\nnext:  {problem.next_step}\n"
    with contextlib.suppress(OSError, ValueError, MemoryError):
        sys.stdout.flush()
    os.write(2, message.encode())
    os._exit(problem.exit_code)


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk is full, or a quota or the file size limit is reached."""
    return error.errno in _FULL


def of_file(error: OSError, path: Path | str = "") -> CliError:
    """Explains an error, with the path that it is about: `path` if given, otherwise the one that the error names."""
    number, reason = error.errno, error.strerror or str(error)
    named = path or error.filename or ""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # of copytree: source, target, reason
        _, named, reason = error.args[0][0]
        found = _BY_COPYTREE.search(reason)
        number = int(found[1]) if found else None
    next_step = f"{_NEXT.get(number or 0, 'Fix that')}, then run the command again."
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
