"""Reads and writes files for commands. An output file is either complete or does not exist."""

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
    """Yield a path to write to, which is renamed to `path` if the block ends without an error.

    Until then, and after an error, an existing `path` is unchanged. A device such as /dev/stdout is written in place.
    Raises CliError that names `path` if the file can't be written.
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
    """Write a file as UTF-8, completely or not at all. Raises CliError that names `path` if that fails."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, "utf-8")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`, and therefore on the same disk. The caller moves the files to `folder`.

    Creates `folder` if needed, and removes a created folder that stays empty. Raises CliError that names `folder` if
    the folder can't be written.
    """
    is_new = not folder.exists()
    with system_errors.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
                yield Path(temporary)
        finally:
            if is_new:
                with suppress(OSError):  # the folder contains the files
                    folder.rmdir()


def check_input(path: Path, example: str) -> None:
    """Raise UsageError if `path` is not a file, or OSError if the file isn't readable. `example` is a valid command."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", f"Give the path of a file: {example}.")
    path.open("rb").close()
