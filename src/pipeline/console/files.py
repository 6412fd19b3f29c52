"""Files that a command reads or writes: an input that can be read, an output that is complete or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline import system_errors
from pipeline.errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the name `path` when the body ends without an error.

    Until then, and after an error, what was called `path` before is untouched. What is no regular file, such as
    /dev/stdout, is written in place. Raises CliError that names `path` where it can't be written.
    """
    target = path.resolve() if path.is_symlink() else path
    if target.exists() and not target.is_file():
        with system_errors.writing(path):
            yield target
        return
    unfinished = target.with_name(f".unfinished-{os.getpid()}-{os.urandom(4).hex()}")
    with system_errors.writing(path, unfinished):
        try:
            yield unfinished
            if target.exists():
                shutil.copymode(target, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8, all of it or nothing. Raises CliError that names `path`."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, "utf-8")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A new folder in `folder`, on the same disk, to write files to that are then moved; gone when the body ends.

    Raises CliError that names `folder` where it can't be written. One that was made for this and is still empty is
    removed again.
    """
    is_new = not folder.exists()
    with system_errors.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
                yield Path(temporary)
        finally:
            if is_new:
                with suppress(OSError):  # it holds what was written
                    folder.rmdir()


def check_input(path: Path, example: str) -> None:
    """Raise UsageError for a path that is not a file that can be read; `example` is how a file is named instead."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", f"Name a file: {example}.")
    try:
        path.open("rb").close()
    except OSError as exc:
        raise UsageError(
            f"The file {path} can't be read: {exc.strerror}.", "Let whoever owns it give you the right to read it."
        ) from exc
