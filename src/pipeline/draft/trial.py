"""Runs the files of a sample through the functions' own code with a drafted contract, and merges the outcomes."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from functions.common.sql import literal
from pipeline.contract.dry_run import DryRun, dry_run
from pipeline.contract.rules import Rules
from pipeline.draft.sample import SampleFile

_SHOWN = 3


@dataclass
class Trial:
    """The outcome of all files of a sample."""

    received: int = 0
    published: int = 0
    rejected: int = 0
    superseded: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """For each reason, the messages of its first rejects, with their places."""
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """The files that would fail, each with the error and its cause."""

    @property
    def is_published(self) -> bool:
        return not self.failures


def try_files(
    files: Sequence[SampleFile], dataset: str, rules: Rules, out: Path, on_file: Callable[[SampleFile, int], object]
) -> Trial:
    """Run every file of the sample, and write the tables and rejects of all of them to `out`.

    `on_file` is called with a file and the number of bytes read of it.
    """
    trial, parts = Trial(), dict[str, list[Path]]()
    with ExitStack() as runs:
        for file in files:
            run = runs.enter_context(dry_run(file.path, dataset, rules, lambda at, file=file: on_file(file, at)))
            _count(trial, file, run, is_alone=len(files) == 1)
            for name, path in run.tables.items():
                parts.setdefault(name, []).append(path)
            _write_rejects(run, file, out / "rejects.jsonl")
        for name, paths in parts.items():
            _merge(paths, out / name)
    return trial


def _count(trial: Trial, file: SampleFile, run: DryRun, *, is_alone: bool) -> None:
    if run.manifest:
        counts = run.manifest.counts
        trial.received += counts.received
        trial.published += counts.published
        trial.rejected += counts.rejected
        trial.superseded += counts.superseded
        trial.rows.update({name: table.rows for name, table in run.manifest.tables.items()})
    else:
        trial.failures.append((file.name, run.error, run.cause))
    for reject in map(json.loads, run.reject_lines()):
        reason = str(reject["reason"])
        trial.by_reason[reason] += 1
        shown = trial.examples.setdefault(reason, [])
        if len(shown) < _SHOWN:
            place = f"{reject['position_kind']} {reject['position']}"
            shown.append(f"{place if is_alone else f'{file.name}, {place}'}: {reject['errors'][0]['message']}")


def _write_rejects(run: DryRun, file: SampleFile, path: Path) -> None:
    lines: Iterator[bytes] = run.reject_lines()
    if first := next(lines, None):
        with path.open("ab") as merged:
            merged.write(first)
            merged.writelines(lines)


def _merge(paths: Sequence[Path], into: Path) -> None:
    """Write one table of all files: the parts after each other."""
    if into.suffix == ".csv":
        with into.open("wb") as merged:
            for number, path in enumerate(paths):
                with path.open("rb") as part:
                    header = part.readline()
                    if number == 0:
                        merged.write(header)
                    while block := part.read(1 << 20):
                        merged.write(block)
        return
    if len(paths) == 1:
        into.write_bytes(paths[0].read_bytes())
        return
    listed = ", ".join(literal(path) for path in paths)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet([{listed}])) TO {literal(into)} (FORMAT parquet, COMPRESSION zstd)"
        )


def first_rows(path: Path, number: int) -> tuple[list[str], list[list[str]]]:
    """Return the header and the first rows of a table's CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        return header, [row for _, row in zip(range(number), rows, strict=False)]

