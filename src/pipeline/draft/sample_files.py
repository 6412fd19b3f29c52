"""Finds the files of a sample: files, folders, patterns and standard input."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from functions.common.input_settings import InputSettings
from functions.common.source.compression import without_suffix
from pipeline.errors import UsageError

STDIN = "-"
_SUFFIXES = (".json", ".jsonl", ".ndjson")
_EXAMPLE = "pipeline try path/to/orders.jsonl"
_BLOCK = 1 << 18


@dataclass(frozen=True)
class SampleFile:
    """A file of the sample."""

    path: Path
    name: str
    """Its name for people, relative to where the user named it."""
    is_of_folder: bool = False


@contextmanager
def sample_files(names: Sequence[str]) -> Iterator[tuple[list[SampleFile], list[str]]]:
    """Yield the files of a sample, and the names of files that are not data.

    Each name is a file, a folder, a pattern, or `-` for standard input. Raises UsageError if there is no such file.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-sample-") as temporary:
        found: dict[Path, SampleFile] = {}
        ignored: list[str] = []
        for name in names:
            for one in _named(name, Path(temporary), ignored):
                found.setdefault(one.path.resolve(), one)
        if not found:
            raise UsageError(
                f"There aren't any JSON files in {', '.join(names)}.", f"Name files with JSON records: {_EXAMPLE}."
            )
        yield sorted(found.values(), key=lambda one: one.name), ignored


def _named(name: str, temporary: Path, ignored: list[str]) -> Iterator[SampleFile]:
    if name == STDIN:
        yield _from_stdin(temporary)
        return
    path = Path(name)
    if path.is_dir():
        yield from _in_folder(path, ignored)
    elif path.exists():
        yield _readable(path, name)
    elif matches := _matches(path):
        yield from (_readable(one, str(one)) for one in matches)
    else:
        raise UsageError(f"There is no file {name}.", f"Name a file, a folder or a pattern: {_EXAMPLE}.")


def _matches(pattern: Path) -> list[Path]:
    """Return the files that match a pattern, such as 2026/*.json."""
    root = Path(pattern.anchor)
    try:
        return sorted(one for one in root.glob(str(pattern.relative_to(pattern.anchor))) if one.is_file())
    except ValueError:  # it isn't a pattern
        return []


def _in_folder(folder: Path, ignored: list[str]) -> Iterator[SampleFile]:
    settings = InputSettings()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        place = path.relative_to(folder).as_posix()
        if settings.pattern_for(place) or not without_suffix(path.name)[0].endswith(_SUFFIXES):
            ignored.append(place)
        else:
            yield replace(_readable(path, str(path)), is_of_folder=True)


def _readable(path: Path, name: str) -> SampleFile:
    if not path.is_file():
        raise UsageError(f"{name} is not a file.", f"Name a file, a folder or a pattern: {_EXAMPLE}.")
    try:
        path.open("rb").close()
    except OSError as exc:
        raise UsageError(
            f"The file {name} can't be read: {exc.strerror}.", "Ask its owner for permission to read it."
        ) from exc
    return SampleFile(path, name)


def _from_stdin(temporary: Path) -> SampleFile:
    path = temporary / "stdin.json"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, _BLOCK)
    return SampleFile(path, "standard input")
