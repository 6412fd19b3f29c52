"""Files that a command reads or writes. An output is either complete or does not exist."""

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
    """A path to write to, which is renamed to `path` when the body ends without an error.

    Until then, and after an error, an existing `path` is unchanged. Devices such as /dev/stdout are written in place.
    Raises CliError that names `path` if it can't be written.
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
    """Write a file as UTF-8, completely or not at all. Raises CliError that names `path`."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, "utf-8")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A temporary folder in `folder`, and so on the same disk, for files that are then moved.

    Creates `folder` if needed, and removes it again if it stays empty. Raises CliError that names `folder` if it can't
    be written.
    """
    is_new = not folder.exists()
    with system_errors.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
                yield Path(temporary)
        finally:
            if is_new:
                with suppress(OSError):  # it contains the files
                    folder.rmdir()


def check_input(path: Path, example: str) -> None:
    """Raise UsageError if a path is not a file, or OSError if it isn't readable; `example` shows a command."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", f"Name a file: {example}.")
    path.open("rb").close()
