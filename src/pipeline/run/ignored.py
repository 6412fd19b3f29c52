"""Refuses to try a file that a run would ignore."""

from pathlib import Path

from functions.common.input_settings import load_input
from functions.common.planning import PREFIX, ignored_by
from pipeline.errors import UsageError


def check_not_ignored(path: Path, dataset: str, contracts: Path) -> None:
    """Raise UsageError if the dataset's contract ignores a file with this name."""
    pattern = ignored_by(f"{PREFIX}{dataset}/{path.name}", load_input(dataset, contracts))
    if pattern is not None:
        raise UsageError(
            f"{dataset} ignores a file named {path.name}, because its name matches the pattern {pattern}.",
            "Name a file that has records, or rename this one. docs/reference/input.md describes ignored files.",
        )
