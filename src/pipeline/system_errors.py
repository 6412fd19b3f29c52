"""What to say when this machine has too little memory or disk, or does not let a file be read or written.

Nothing but the standard library is imported: the process may not have the memory for more.
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
"""With less address space the libraries can't be loaded: some raise errors, others crash without a word."""

NEEDED_MB = 500
"""With so much address space `pipeline validate` works."""

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than files may be here",
}
_AGAIN = "and run the same again."
_NEXT = {
    errno.ENOSPC: f"Free some room on that disk, or name a place on another one, {_AGAIN}",
    errno.EDQUOT: f"Delete files of yours on that disk, or name a place on another one, {_AGAIN}",
    errno.EFBIG: f"Raise the limit of this process (ulimit -f), or name a place on another disk, {_AGAIN}",
    errno.EACCES: f"Let whoever owns it give you permission, or name another place, {_AGAIN}",
    errno.EPERM: f"Let whoever owns it give you permission, or name another place, {_AGAIN}",
    errno.EROFS: f"Name a place on a disk that can be written, {_AGAIN}",
    errno.ENOENT: f"Check the path, {_AGAIN}",
    errno.ENOTDIR: f"Check the path: a part of it is a file and not a folder. Correct it, {_AGAIN}",
    errno.EISDIR: f"Name a file and not a folder, {_AGAIN}",
    errno.ENAMETOOLONG: f"Name a shorter path, {_AGAIN}",
    errno.EMFILE: f"Raise the limit of open files of this process (ulimit -n), {_AGAIN}",
    errno.ENFILE: f"Close programs that hold files open, {_AGAIN}",
    errno.EIO: f"The disk has a fault: see the system's log (dmesg), or name a place on another disk, {_AGAIN}",
}
_BY_COPYTREE = re.compile(r"\[Errno (\d+)\]")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that the process can't get memory."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        if _is_memory(found):
            return True
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return False


def _is_memory(error: BaseException) -> bool:
    """Python has no class for a thread or a library that gets no memory, so of these the text decides."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return "can't start new thread" in str(error)
    if isinstance(error, ImportError):
        return "failed to map segment" in str(error) or "Cannot allocate memory" in str(error)
    if isinstance(error, MemoryError) or getattr(error, "is_memory", False):
        return True
    duckdb = sys.modules.get("duckdb")  # where it is loaded: to load it now would take memory
    return duckdb is not None and isinstance(error, duckdb.OutOfMemoryException)


def is_limit_too_low() -> bool:
    """Whether this process may have less memory than it takes to load the command line."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit != resource.RLIM_INFINITY and limit < _LOADING_MB << 20


def out_of_memory() -> CliError:
    """Says that memory is short, and what to do about it: about a limit if there is one."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return CliError(
            "There is not enough memory here for this command.",
            "Close other programs, run it where more memory is free, or split the file that it reads.",
        )
    return CliError(
        f"There is not enough memory for this command: its limit is {limit >> 20:,} MB.",
        f"Raise the limit (ulimit -v): trying a file takes {NEEDED_MB} MB. Then run the same again.",
    )


def give_up(problem: CliError) -> NoReturn:
    """Say what is wrong with hardly any memory, and end with the exit status of a failure.

    The process ends without the interpreter's clean-up: without memory, libraries crash in it.
    """
    said = f"error: {problem}\nnext:  {problem.next_step}\n"
    with contextlib.suppress(OSError, ValueError, MemoryError):
        sys.stdout.flush()
    os.write(2, said.encode())
    os._exit(problem.exit_code)


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk, a quota or the largest size of a file is used up."""
    return error.errno in _FULL


def of_file(error: OSError, path: Path | str = "") -> CliError:
    """What the system refused, with the path that it is about: `path` if it is given, else as the error names it."""
    number, reason = error.errno, error.strerror or str(error)
    named = path or error.filename or ""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # of copytree: source, target, why
        _, named, reason = error.args[0][0]
        found = _BY_COPYTREE.search(reason)
        number = int(found[1]) if found else None
    if number in _FULL:
        reason = _FULL[number]
        named = path or error.filename2 or error.filename or named or _somewhere()
        return CliError(f"{named} can't be written: {reason}.", _NEXT[number])
    said = f"{named}: {reason}." if named else f"The system refused something: {reason}."
    return CliError(said, _NEXT.get(number or 0, "Put that right, and run the same again."))


def _somewhere() -> str:
    return f"The output, or a temporary file in {tempfile.gettempdir()},"


@contextlib.contextmanager
def writing(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Raise CliError that names `path` where it can't be written, whatever name its content has until it is complete.

    `unfinished` is that name. An error about any other file is raised as it is.
    """
    try:
        yield
    except OSError as exc:
        about = {Path(name) for name in (exc.filename, exc.filename2) if isinstance(name, str)}
        if is_full(exc) or not about or any(name in about for name in (path, unfinished)):
            raise of_file(exc, path) from exc
        raise
