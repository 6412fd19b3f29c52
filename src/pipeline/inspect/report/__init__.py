"""Writes the report of a batch: an HTML page that needs no other file."""

from datetime import UTC, datetime
from pathlib import Path

from pipeline.console import files
from pipeline.deploy.targets import Target
from pipeline.inspect.batch_history import collect_history
from pipeline.inspect.report.page import render


def write_report(place: Target, what: str, out: Path | None = None, *, show_values: bool = False) -> Path:
    """Write the report of the batch that `what` identifies to `out`, or to <batch>.html in a folder. Return its path.

    Values of records are masked unless `show_values`. Raises UsageError if nothing matches.
    """
    batch = collect_history(place, what, show_values=show_values)
    page = render(batch, datetime.now(UTC), show_values=show_values)
    path = out or Path()
    if path.is_dir():
        path /= f"{batch.batch_id}.html"
    files.write_text(path, page)
    return path
