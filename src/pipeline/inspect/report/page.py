"""The page: a story, drawn and laid out by the templates beside this module.

Nothing of a story gets into the page but through a template that escapes, and the page may neither run a script nor
load anything: its Content-Security-Policy allows one style sheet, by its hash.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec import structs

from functions.common.documents.manifest import Manifest
from pipeline.inspect.batch_history.model import Execution, Heard, Outcome, Reject, Story
from pipeline.inspect.outcome import SENTENCES
from pipeline.inspect.report import words
from pipeline.inspect.report.drawing import Drawing, drawing_of
from pipeline.inspect.report.tables import Preview
from pipeline.inspect.report.timeline import SCALE, Timeline, timeline_of

_TEMPLATES = Path(__file__).parent / "templates"
_LOOKS = {
    Outcome.PUBLISHED: "succeeded",
    Outcome.PARTLY_REJECTED: "warned",
    Outcome.FAILED: "failed",
    Outcome.LOST: "failed",
    Outcome.STUCK: "failed",
    Outcome.RUNNING: "running",
    Outcome.WAITING: "stopped",
}


@dataclass(frozen=True)
class Sum:
    """An equation of the balance: `whole` = the sum of `parts`."""

    whole: tuple[str, Decimal]
    parts: tuple[tuple[str, Decimal], ...]

    @property
    def adds_up(self) -> bool:
        return self.whole[1] == sum(amount for _, amount in self.parts)


def render(story: Story, previews: Sequence[Preview], written: datetime, *, show_values: bool = False) -> str:
    """The whole page as HTML. `show_values` says that story and previews hold values as they came."""
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            story=story,
            look=_LOOKS.get(story.outcome, "unreached"),
            headline=headline(story),
            drawing=latest_drawing(story),
            timelines=timelines_of(story, written),
            scale=SCALE,
            figures=tuple(figures_of(story)),
            sums=tuple(sums_of(story.manifest)) if story.manifest else (),
            previews=previews,
            written=written,
            show_values=show_values,
            style=Markup(style),
            style_hash=digest,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "cents", "rounded", "size", "duration", "utc", "clock", "many"):
        environment.filters[name] = getattr(words, name)
    environment.filters |= {"record": record_text, "heard": Heard.sentence}
    return environment


def headline(story: Story) -> str:
    """The outcome in a sentence."""
    counts = story.manifest.counts if story.manifest else None
    rejected, n_received = (counts.rejected, counts.received) if counts else (0, 0)
    received = words.many(n_received, "record")
    if story.outcome is Outcome.PUBLISHED:
        return "Published: its one record" if n_received == 1 else f"Published: all {received}"
    if story.outcome is Outcome.PARTLY_REJECTED:
        return f"Published, without {rejected:,} of its {received}"
    return SENTENCES[story.outcome].removesuffix(".")


def figures_of(story: Story) -> Iterator[tuple[str, str]]:
    """The numbers that say most, each with what it is."""
    if story.manifest:
        for name in ("received", "published", "rejected", "superseded"):
            yield name, words.number(getattr(story.manifest.counts, name))
    latest = story.latest
    if latest and latest.seconds is not None:
        yield "took", words.duration(latest.seconds)
    if latest and latest.cost:
        yield "cost, USD", words.cents(latest.cost.usd)


def latest_drawing(story: Story) -> Drawing | None:
    """The state machine of a story with what its latest execution did; None where no execution tells."""
    if not story.definition or story.latest is None or not story.latest.steps:
        return None
    return drawing_of(story.latest, story.definition)


def timelines_of(story: Story, now: datetime) -> tuple[tuple[Execution, Timeline | None], ...]:
    """Each execution with its timeline, the latest first."""
    return tuple((execution, timeline_of(execution, now)) for execution in reversed(story.executions))


def sums_of(manifest: Manifest) -> Iterator[Sum]:
    """The two equations that account for every record."""
    counts = {name: Decimal(amount) for name, amount in structs.asdict(manifest.counts).items()}
    for whole, *parts in (("received", "valid", "rejected"), ("valid", "published", "superseded")):
        yield Sum((whole, counts[whole]), tuple((part, counts[part]) for part in parts))


def record_text(reject: Reject) -> str:
    """A rejected record as text, for people."""
    if reject.record is None:
        return reject.raw or ""
    return json.dumps(reject.record, indent=2, ensure_ascii=False)
