"""The first rows of the published tables, from their CSV files, without the columns that name the batch.

Texts are masked unless they are asked for: a telephone number, a postal code and a name may all be personal, and which
column holds what is the feed's own matter. Numbers and times are not.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from functions.common.contract import LINEAGE, load_contract
from functions.common.errors import PipelineError
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history.model import Output, Story

ROWS = 5
_MOST_BYTES = 64 << 10
_TEXT = "VARCHAR"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_LEFT_OUT = {column.name for column in LINEAGE}


@dataclass(frozen=True)
class Cell:
    """A value as the CSV has it; of a masked one only its length is known."""

    text: str
    masked_length: int | None = None


@dataclass(frozen=True)
class Preview:
    """The first rows of a table; none where the file is not there any more."""

    output: Output
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_missing: bool = False

    def is_amount(self, column: int) -> bool:
        """Whether a column holds nothing but numbers that are shown."""
        texts = [row[column].text for row in self.rows if row[column].text]
        return bool(texts) and all(_NUMBER.fullmatch(text) for text in texts)

    @property
    def is_masked(self) -> bool:
        return any(cell.masked_length is not None for row in self.rows for cell in row)


def previews(place: Target, story: Story, *, show_values: bool = False) -> Iterator[Preview]:
    """A preview of each table that a batch published, in the manifest's order."""
    open_columns = _open_columns(story.dataset)
    for output in story.outputs:
        if output.kind != "csv":
            continue
        try:
            answer = place.s3().get_object(
                Bucket=story.processed_bucket, Key=output.key, Range=f"bytes=0-{_MOST_BYTES - 1}"
            )
        except place.s3().exceptions.NoSuchKey:
            yield Preview(output, (), (), is_missing=True)
            continue
        yield preview(output, answer["Body"].read(), None if show_values else open_columns.get(output.table, set()))


def preview(output: Output, beginning: bytes, open_columns: set[str] | None) -> Preview:
    """A preview from the first bytes of a CSV file; values of all but `open_columns` are masked, of none for None."""
    text = beginning.decode("utf-8", "ignore")  # the last sign may be cut
    rows = list(islice(csv.reader(io.StringIO(text, newline="")), ROWS + 2))
    is_cut = len(beginning) < output.bytes and len(rows) < ROWS + 2
    header, *rows = rows[:-1] if is_cut else rows
    shown = tuple(tuple(_cells(header, row, open_columns)) for row in rows[:ROWS] if len(row) == len(header))
    return Preview(output, tuple(column for column in header if column not in _LEFT_OUT), shown)


def _cells(header: Sequence[str], row: Sequence[str], open_columns: set[str] | None) -> Iterator[Cell]:
    for column, value in zip(header, row, strict=True):
        if column in _LEFT_OUT:
            continue
        is_open = open_columns is None or column in open_columns or not value
        yield Cell(value) if is_open else Cell("", len(value))


def _open_columns(dataset: str) -> dict[str, set[str]]:
    """Of each table the columns whose values are shown; none of a dataset that is not known here."""
    try:
        contract = load_contract(dataset)
    except PipelineError:
        return {}
    return {table.name: {column.name for column in table.columns if column.type != _TEXT} for table in contract.tables}
