"""The first rows of the published tables, from their CSV files, without the columns that name the batch.

Strings are masked unless the caller requests values: any may be personal, and only the dataset's owner knows which.
Numbers and times are not.
"""

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice

from functions.common.contract import LINEAGE, load_contract
from functions.common.errors import PipelineError
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history.model import BatchHistory, Output

ROWS = 5
_MOST_BYTES = 64 << 10
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_LEFT_OUT = {column.name for column in LINEAGE}


@dataclass(frozen=True)
class Cell:
    """A value as in the CSV file; of a masked one only its length is known."""

    text: str
    masked_length: int | None = None


@dataclass(frozen=True)
class Preview:
    """The first rows of a table; none if the file was deleted."""

    output: Output
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    is_missing: bool = False

    def is_amount(self, column: int) -> bool:
        """Whether a column contains only numbers, which are shown."""
        values = [row[column].text for row in self.rows if row[column].text]
        return bool(values) and all(_NUMBER.fullmatch(value) for value in values)

    @property
    def is_masked(self) -> bool:
        return any(cell.masked_length is not None for row in self.rows for cell in row)


def previews(place: Target, batch: BatchHistory, *, show_values: bool = False) -> list[Preview]:
    """A preview of each table that a batch published, in the manifest's order."""
    open_columns = {} if show_values else _open_columns(batch.dataset)
    found = []
    for output in (one for one in batch.outputs if one.kind == "csv"):
        try:
            body = place.s3().get_object(
                Bucket=batch.processed_bucket, Key=output.key, Range=f"bytes=0-{_MOST_BYTES - 1}"
            )["Body"]
        except place.s3().exceptions.NoSuchKey:
            found.append(Preview(output, is_missing=True))
        else:
            found.append(preview(output, body.read(), None if show_values else open_columns.get(output.table, set())))
    return found


def preview(output: Output, beginning: bytes, open_columns: set[str] | None) -> Preview:
    """A preview from the first bytes of a CSV file. Masks all but `open_columns`, or nothing for None."""
    text = beginning.decode("utf-8", "ignore")  # the last character may be cut
    rows = list(islice(csv.reader(io.StringIO(text, newline="")), ROWS + 2))
    is_cut = len(beginning) < output.bytes and len(rows) < ROWS + 2
    header, *rows = rows[:-1] if is_cut else rows
    kept = [at for at, column in enumerate(header) if column not in _LEFT_OUT]

    def cell(column: str, value: str) -> Cell:
        is_open = open_columns is None or column in open_columns or not value
        return Cell(value) if is_open else Cell("", len(value))

    shown = [tuple(cell(header[at], row[at]) for at in kept) for row in rows[:ROWS] if len(row) == len(header)]
    return Preview(output, tuple(header[at] for at in kept), tuple(shown))


def _open_columns(dataset: str) -> dict[str, set[str]]:
    """The columns of each table whose values are shown; none for a dataset without a contract here."""
    try:
        contract = load_contract(dataset)
    except PipelineError:
        return {}
    return {
        table.name: {column.name for column in table.columns if column.type != "VARCHAR"} for table in contract.tables
    }
