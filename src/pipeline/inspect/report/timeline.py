"""Computes when each state of an execution ran, with its retries, as rows of bars on a common scale."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from functions.common.execution_history.model import Chunk, Ended, Step
from pipeline.inspect.batch_history.model import Execution
from pipeline.inspect.report.state_outcomes import LOOKS, look, mark_of

SCALE = 1000
"""The length of the scale, in units of the bars."""

_SHORTEST = 4
_MOST_CHUNKS = 8
_DETAILED = 3
"""The maximum number of chunks that have a row per state. Beyond it, only failed and retried chunks have such rows."""


@dataclass(frozen=True)
class Bar:
    """An interval on the scale of a timeline."""

    left: float
    width: float
    look: str
    """The outcome of a mark, `waiting` for the time between two tries, or `around` for a bar that contains others."""
    words: str


@dataclass(frozen=True)
class Row:
    """A visit of a state, or a chunk of a Map."""

    name: str
    level: int
    """0 for a state of the machine, 1 for a chunk, or 2 for a state in a chunk."""
    look: str
    words: str
    started: datetime
    seconds: float | None
    bars: tuple[Bar, ...]

    def after(self, start: datetime) -> float:
        """Return the seconds from the start of the execution to this row."""
        return max(0.0, (self.started - start).total_seconds())


@dataclass(frozen=True)
class Timeline:
    """An execution from its start to its end, or until now."""

    started: datetime
    ended: datetime
    rows: tuple[Row, ...]
    chunks_left_out: int


def timeline_of(execution: Execution, now: datetime) -> Timeline | None:
    """Return the timeline of an execution, or None if its history isn't known."""
    if execution.started is None or not execution.steps:
        return None
    ended = execution.stopped or now
    scale = _Scale(execution.started, ended)
    chunks = sorted(execution.chunks, key=_rank)[:_MOST_CHUNKS]
    return Timeline(
        execution.started,
        ended,
        tuple(row for step in execution.steps for row in _rows(step, scale, {chunk.number for chunk in chunks})),
        len(execution.chunks) - len(chunks),
    )


@dataclass(frozen=True)
class _Scale:
    started: datetime
    ended: datetime

    def bar(self, since: datetime, until: datetime | None, look: str, words: str) -> Bar:
        whole = max(self.ended - self.started, timedelta(microseconds=1))
        left = min(max((since - self.started) / whole * SCALE, 0), SCALE - _SHORTEST)
        right = min(max(((until or self.ended) - self.started) / whole * SCALE, left + _SHORTEST), SCALE)
        return Bar(round(left, 1), round(right - left, 1), look, words)


def _rows(step: Step, scale: _Scale, shown: set[int]) -> Iterator[Row]:
    """Yield the row of a state, then the rows of its shown chunks."""
    yield _state_row(step, 0, scale)
    for chunk in step.chunks:
        if chunk.number in shown:
            is_detailed = len(shown) <= _DETAILED or _chunk_look(chunk) != "succeeded"
            yield _chunk_row(chunk, scale, with_states=not is_detailed)
            yield from (_state_row(inner, 2, scale) for inner in chunk.steps if is_detailed)


def _state_row(step: Step, level: int, scale: _Scale) -> Row:
    return Row(step.name, level, look(step), mark_of([step]).words, step.entered, step.seconds, _bars(step, scale))


def _chunk_row(chunk: Chunk, scale: _Scale, *, with_states: bool) -> Row:
    bars = [scale.bar(chunk.started, chunk.ended, "around", chunk.outcome)]
    for step in chunk.steps if with_states else ():
        bars += [replace(bar, words=f"{step.name}: {bar.words}") for bar in _bars(step, scale)]
    seconds = (chunk.ended - chunk.started).total_seconds() if chunk.ended else None
    look = _chunk_look(chunk)
    return Row(f"Chunk {chunk.number}", 1, look, chunk.outcome, chunk.started, seconds, tuple(bars))


def _bars(step: Step, scale: _Scale) -> tuple[Bar, ...]:
    """Return bars for the tries of a task and the waits between them, or a bar from the state's entry to its exit."""
    tries = [one for one in step.tries if one.started]
    if step.chunks or len(tries) < len(step.tries) or not tries:
        return (scale.bar(step.entered, step.exited, "around" if step.kind == "Map" else look(step), step.outcome),)
    waited = scale.bar(tries[0].started or step.entered, tries[-1].ended, "waiting", "waiting for the next try")
    bars = [
        scale.bar(one.started or step.entered, one.ended, LOOKS[one.outcome], f"try {number} {one.outcome}")
        for number, one in enumerate(tries, 1)
    ]
    return (waited, *bars) if len(tries) > 1 else tuple(bars)


def _chunk_look(chunk: Chunk) -> str:
    is_retried = chunk.outcome is Ended.SUCCEEDED and any(look(step) == "retried" for step in chunk.steps)
    return "retried" if is_retried else LOOKS[chunk.outcome]


def _rank(chunk: Chunk) -> tuple[int, float]:
    """Return a sort key that puts failed and retried chunks first, then the chunks that took longest."""
    trouble = ("failed", "running", "retried", "stopped", "succeeded").index(_chunk_look(chunk))
    return trouble, -(chunk.ended - chunk.started).total_seconds() if chunk.ended else 0
