"""Renders the history of a batch as a page with the templates in this package.

All data on the page goes through a template that escapes it. The page can neither run a script nor load a file, since
its Content-Security-Policy allows only one style sheet, by its hash.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich import filesize

from functions.common.batch_state import state_words
from pipeline.console import many
from pipeline.console.balance import drift_result
from pipeline.inspect.batch_history.model import BatchHistory, LoggedEvent, Outcome, Reject
from pipeline.inspect.report import formats
from pipeline.inspect.report.drawing import drawing_of
from pipeline.inspect.report.timeline import SCALE, timeline_of

_TEMPLATES = Path(__file__).parent / "templates"


def render(batch: BatchHistory, written: datetime, *, show_values: bool = False) -> str:
    """Return the page as HTML. `show_values` means that `batch` contains unmasked values."""
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    latest, page = batch.latest, environment().get_template("page.html.jinja")
    return page.render(
        batch=batch,
        look=batch.outcome.look,
        headline=headline(batch),
        drawing=drawing_of(latest) if latest and latest.steps else None,
        timelines=[(execution, timeline_of(execution, written)) for execution in reversed(batch.executions)],
        scale=SCALE,
        figures=tuple(_figures(batch)),
        written=written,
        show_values=show_values,
        style=Markup(style),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


@cache
def environment() -> Environment:
    """Return the Jinja environment of the templates."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=formats.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: getattr(formats, name) for name in formats.FILTERS}
    made.filters |= {
        "drift_result": drift_result,
        "many": many,
        "size": filesize.decimal,
        "record": _record,
        "sentence": LoggedEvent.sentence,
        "state": state_words,
    }
    return made


def headline(batch: BatchHistory) -> str:
    """Return the outcome as a sentence without a final period."""
    counts = batch.manifest.counts if batch.manifest else None
    rejected, n_received = (counts.rejected, counts.received) if counts else (0, 0)
    received = many(n_received, "record")
    if batch.outcome is Outcome.PUBLISHED:
        return "Published: its one record" if n_received == 1 else f"Published: all {received}"
    if batch.outcome is Outcome.PARTLY_REJECTED:
        return f"Published, without {rejected:,} of its {received}"
    return batch.outcome.sentence.removesuffix(".")


def _figures(batch: BatchHistory) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each of the most important numbers."""
    if batch.manifest:
        for name in ("received", "published", "rejected", "superseded"):
            yield name, formats.number(getattr(batch.manifest.counts, name))
    latest = batch.latest
    if latest and latest.seconds is not None:
        yield "took", formats.duration(latest.seconds)
    if latest and latest.cost:
        yield "cost, USD", formats.cents(latest.cost.usd)


def _record(reject: Reject) -> str:
    """Return a rejected record as a string for people."""
    return (reject.raw or "") if reject.record is None else json.dumps(reject.record, indent=2, ensure_ascii=False)
