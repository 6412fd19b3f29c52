"""Runs examples of a schema through a contract, and returns the rows of its tables and the number of rejects."""

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.common.contract import LINEAGE
from functions.common.reject_codes import SUPERSEDED
from pipeline.contract.dry_run import DryRun, dry_run
from pipeline.contract.rules import Rules, rules_here

Rows = list[Mapping[str, str]]


@dataclass(frozen=True)
class Made:
    """The outcome of running some records through a contract."""

    tables: Mapping[str, Rows]
    """The CSV rows of each table without the columns that the pipeline adds. Empty if the file would fail."""
    rejected: int
    error: str


@contextmanager
def tried(lines: Iterable[bytes], folder: Path) -> Iterator[DryRun]:
    """Run JSON Lines through the functions' code with the contract in `folder`, and accept any number of rejects."""
    settings = {**rules_here(folder.parent).settings, "MAX_REJECT_RATIO": "1", "UNKNOWN_FIELDS": "reject"}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "examples.jsonl"
        path.write_bytes(b"".join(lines))
        with dry_run(path, folder.name, Rules(folder.parent, settings, "the examples"), lambda _at: None) as result:
            yield result


def lines_of(examples: Iterable[Any]) -> list[bytes]:
    """Return examples as JSON Lines, one element per line."""
    return [json.dumps(example).encode() + b"\n" for example in examples]


def made_of(examples: Iterable[Any], folder: Path) -> Made:
    """Run examples through the contract in `folder`, and return the outcome."""
    with tried(lines_of(examples), folder) as result:
        reasons = [json.loads(line)["reason"] for line in result.reject_lines()]
        tables = {
            name.removesuffix(".csv"): read_rows(path) for name, path in result.tables.items() if name.endswith(".csv")
        }
    return Made(tables, sum(reason != SUPERSEDED for reason in reasons), result.error)


def read_rows(path: Path) -> Rows:
    """Return the rows of a table's CSV file without the columns that the pipeline adds."""
    added = {column.name for column in LINEAGE}
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name not in added} for row in csv.DictReader(file)]
