"""The first rows of the published tables, from their CSV files. What may be personal is masked unless asked for."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from functions.common.contract import LINEAGE, load_contract
from functions.common.errors import PipelineError
from pipeline.story.model import Output, Story
from pipeline.targets import Target

ROWS = 5
_MOST_BYTES = 64 << 10
_TEXT = "VARCHAR"


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
            answer = place.s3.get_object(
                Bucket=story.processed_bucket, Key=output.key, Range=f"bytes=0-{_MOST_BYTES - 1}"
            )
        except place.s3.exceptions.NoSuchKey:
            yield Preview(output, (), (), is_missing=True)
            continue
        yield preview(output, answer["Body"].read(), None if show_values else open_columns.get(output.table, set()))


def preview(output: Output, beginning: bytes, open_columns: set[str] | None) -> Preview:
    """A preview from the first bytes of a CSV file; values of all but `open_columns` are masked, of none for None."""
    text = beginning.decode("utf-8", "ignore")  # the last sign may be cut
    rows = list(islice(csv.reader(io.StringIO(text, newline="")), ROWS + 2))
    is_cut = len(beginning) < output.bytes and len(rows) < ROWS + 2
    header, *rows = rows[:-1] if is_cut else rows
    shown = tuple(tuple(_cells(header, row, open_columns)) for row in rows[:ROWS])
    return Preview(output, tuple(header), shown)


def _cells(header: Sequence[str], row: Sequence[str], open_columns: set[str] | None) -> Iterator[Cell]:
    for column, value in zip(header, row, strict=False):
        is_open = open_columns is None or column in open_columns or not value
        yield Cell(value) if is_open else Cell("", len(value))


def _open_columns(dataset: str) -> dict[str, set[str]]:
    """Of each table the columns that tell nobody's name: numbers, times and the batch. None of an unknown dataset."""
    try:
        contract = load_contract(dataset)
    except PipelineError:
        return {}
    lineage = {column.name for column in LINEAGE}
    return {
        table.name: lineage | {column.name for column in table.columns if column.type != _TEXT}
        for table in contract.tables
    }
