"""A processed bucket with a history: files arrive on made-up days, are corrected, fail or are republished."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from functions.common.batch import Batch, revision_of
from functions.common.errors import PipelineError
from functions.common.planning import padded_sequencer, plan_batch
from functions.record_failure import index as record_failure
from functions.write.writer import BatchWriter
from tests import harness
from tests.unit.orders import Order, lines, tables

START = datetime(2026, 11, 1, 23, 59, 30, tzinfo=UTC)
"""Late in the day, so that the files of a test are in two partitions."""

LONG_STRING = 2000
"""An order with a string of at least this many characters is too long for the STRICT release."""

STRICT = str(LONG_STRING)


class Killed(Exception):
    """Represents the end of a process."""


@dataclass
class File:
    """One upload: its content and its outcome."""

    records: Sequence[Order]
    after: int = 0
    """The time of arrival: seconds after START."""
    key: str = "x.jsonl"
    """Its key below incoming/orders/."""
    sequencer: str = ""
    broken: int = 0
    """The number of lines that aren't orders."""
    committed: bool = True
    """False: `write` ends just before it writes the manifest."""
    republished: bool = False
    """Whether a stricter release publishes it again, which rejects orders with a long string."""


@dataclass
class BucketHistory:
    """The bucket of one test. `runs` contains the published batches, for the model."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    runs: list[tuple[Batch, Sequence[Order]]] = field(default_factory=list)

    def add(self, files: Iterable[File]) -> None:
        """Run files through the real functions, in this order."""
        for file in files:
            self._add(file)

    def _add(self, file: File) -> None:
        data = lines(file.records) + b'{"order_id": "broken"}\n' * file.broken
        folder, _, name = f"incoming/orders/{file.key}".rpartition("/")
        source = replace(harness.upload(data, name, f"{folder}/"), sequencer=padded_sequencer(file.sequencer))
        batch = plan_batch(source, START + timedelta(seconds=file.after), 1_000_000)
        if not file.committed:
            with patch.object(BatchWriter, "_commit", side_effect=Killed), pytest.raises(Killed):
                harness.run_steps(batch)
            return
        try:
            harness.run_steps(batch)
        except PipelineError as exc:
            failure = {"Error": type(exc).__name__, "Cause": str(exc)}
            record_failure.handler({"batch": batch.to_input(), "execution": batch.batch_id, "failure": failure})
            return
        self.runs.append((batch, file.records))
        if file.republished:
            again = plan_batch(source, START + timedelta(seconds=file.after), 1_000_000, revision=2)
            with self._stricter():
                harness.run_steps(again)
            self.runs.append((again, [record for record in file.records if len(lines([record])) <= LONG_STRING]))

    @contextmanager
    def _stricter(self) -> Iterator[None]:
        with self.monkeypatch.context() as release:
            release.setenv("MAX_RECORD_BYTES", STRICT)
            release.setenv("MAX_REJECT_RATIO", "0.99")  # a file may have one short record among long ones
            harness.settings.cache_clear()
            yield
        harness.settings.cache_clear()

    def download(self) -> Path:
        """A local copy of the processed bucket without staging."""
        for key in harness.keys(""):
            if not key.startswith("staging/"):
                path = self.folder / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(harness.get(key))
        return self.folder


def current(runs: Iterable[tuple[Batch, Sequence[Order]]]) -> dict[str, list[dict[str, Any]]]:
    """The expected rows of `orders_current`, `items_current` and `customers_current`, in plain Python."""
    newest: dict[str, tuple[Batch, Sequence[Order]]] = {}
    for batch, records in runs:
        version, revision = revision_of(batch.batch_id)
        if version not in newest or newest[version][0].revision < revision:
            newest[version] = (batch, records)
    orders: dict[str, dict[str, Any]] = {}
    items: dict[str, list[dict[str, Any]]] = {}
    customers: dict[str, dict[str, Any]] = {}
    for batch, records in sorted(newest.values(), key=lambda run: _arrival(run[0])):
        rows = rows_of(batch, records)
        for row in rows["orders"]:
            orders[row["order_id"]] = row
            items[row["order_id"]] = [item for item in rows["items"] if item["order_id"] == row["order_id"]]
        for row in rows["customers"]:
            known = customers.get(row["customer_id"])
            if known is None or row["last_order_date"] >= known["last_order_date"]:
                customers[row["customer_id"]] = row
    return {
        "orders": [orders[key] for key in sorted(orders)],
        "items": [item for key in sorted(items) for item in items[key]],
        "customers": [customers[key] for key in sorted(customers)],
    }


def _arrival(batch: Batch) -> tuple[str, str, str]:
    return (batch.ingested_at, batch.source.key, batch.source.sequencer)


def rows_of(batch: Batch, records: Sequence[Order]) -> Mapping[str, list[dict[str, Any]]]:
    """The rows of each table that a batch publishes, with their lineage."""
    lineage = {
        "batch_id": batch.batch_id,
        "ingested_at": datetime.fromisoformat(batch.ingested_at).replace(tzinfo=None),
        "ingest_date": batch.ingest_date,
    }
    return {name: [row | lineage for row in rows] for name, rows in tables(records).items()}
