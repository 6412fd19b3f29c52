"""Runs the files of a sample through the functions' own code with a drafted contract, and merges the outcomes."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb

from functions.common.contract import load_contract
from functions.common.errors import ContractError, ReconciliationError
from functions.common.sql import literal
from pipeline.console import many
from pipeline.contract.check import check
from pipeline.contract.dry_run import DryRun, dry_run, settings_of
from pipeline.contract.rules import Rules
from pipeline.draft.document import NAME
from pipeline.draft.drafting import Draft, draft_of
from pipeline.draft.folder import write_files
from pipeline.draft.sample import Sample
from pipeline.draft.sample_files import SampleFile

CONTRACTS = "contracts"
"""The folder of the drafted contract, within that of the tables."""

REJECTS, REPORT = "rejects.jsonl", "report.md"
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

    @property
    def is_misfit(self) -> bool:
        """Whether a file fails because of what the contract says of keys and tables."""
        return any(error in (ContractError.__name__, ReconciliationError.__name__) for _, error, _ in self.failures)


def draft_and_try(
    sample: Sample, dataset: str, rules: Rules, folder: Path, on_file: Callable[[SampleFile, int], object]
) -> tuple[Draft, Trial]:
    """Draft a contract, write it to `folder`/contracts, and run the sample with it. The tables are written to `folder`.

    If a key or a table doesn't hold for all records, the draft claims less.
    """
    contracts, settings = folder / CONTRACTS, settings_of(rules)
    applied = Rules(contracts, rules.settings, "the draft")
    for is_cautious in (False, True):
        draft = draft_of(sample, dataset, settings, is_cautious=is_cautious)
        shutil.rmtree(contracts, ignore_errors=True)
        write_files(contracts / dataset, draft.files)
        trial = try_files(sample.files, dataset, applied, folder, on_file)
        load_contract.cache_clear()
        if not trial.is_misfit and not check(contracts / dataset):
            break
    path = contracts / dataset / NAME
    path.write_text(path.read_text("utf-8") + "\n".join(["", "## Trial", "", *outcome(trial), ""]), "utf-8")
    (folder / REPORT).write_text("\n".join(_report(draft, trial)) + "\n", "utf-8")
    return draft, trial


def _report(draft: Draft, trial: Trial) -> Iterator[str]:
    yield from (f"# Trial of {draft.dataset}", "", *outcome(trial))
    yield from ("", "| table | rows | files |", "| --- | --- | --- |")
    for name, number in trial.rows.items():
        yield f"| {name} | {number:,} | {name}.csv, {name}.parquet |"
    if draft.questions:
        yield from ("", "## Questions", "")
        yield from (f"{number}. {question}" for number, question in enumerate(draft.questions, 1))
    yield from ("", f"{CONTRACTS}/{draft.dataset}/{NAME} says what was decided, and why.")


def outcome(trial: Trial) -> Iterator[str]:
    """Yield the outcome of a trial as lines of Markdown, without values."""
    yield (
        f"Of {many(trial.received, 'record')}, {trial.published:,} are published, {trial.rejected:,} are rejected, and "
        f"{trial.superseded:,} are superseded by a later record with the same key."
    )
    for reason, number in trial.by_reason.items():
        yield from ("", f"- {reason}: {many(number, 'record')}, such as:")
        yield from (f"  - {message}" for message in trial.examples[reason])
    for name, error, cause in trial.failures:
        yield from ("", f"- {name} would fail: {error}. {cause}")


def try_files(
    files: Sequence[SampleFile], dataset: str, rules: Rules, out: Path, on_file: Callable[[SampleFile, int], object]
) -> Trial:
    """Run every file of the sample, and write the tables and rejects of all of them to `out`.

    `on_file` is called with a file and the number of bytes read of it.
    """
    trial, parts = Trial(), dict[str, list[Path]]()
    (out / REJECTS).unlink(missing_ok=True)
    with ExitStack() as runs:
        for file in files:
            run = runs.enter_context(dry_run(file.path, dataset, rules, partial(on_file, file)))
            _count(trial, file, run, is_alone=len(files) == 1)
            for name, path in run.tables.items():
                parts.setdefault(name, []).append(path)
            _write_rejects(run, file, out / REJECTS)
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
