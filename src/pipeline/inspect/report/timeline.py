"""When each state of an execution ran, with its retries: rows of bars on one scale."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.inspect.batch_history.model import Chunk, Ended, Execution, Step, Try
from pipeline.inspect.report.marks import look, mark_of

SCALE = 1000
"""Bars go from 0 to this."""

_SHORTEST = 4
_MOST_CHUNKS = 8
_DETAILED = 3
"""Of how many chunks each state has a row of its own; where there are more, only of those with trouble."""


@dataclass(frozen=True)
class Bar:
    """A stretch of time on the scale of a timeline."""

    left: float
    width: float
    look: str
    """As a mark's outcome; `waiting` between two tries."""
    words: str


@dataclass(frozen=True)
class Row:
    """One visit of a state, or one chunk of a Map."""

    name: str
    level: int
    """0 for a state of the machine, 1 for a chunk, 2 for a state in one."""
    look: str
    words: str
    started: datetime
    seconds: float | None
    bars: tuple[Bar, ...]

    def after(self, start: datetime) -> float:
        """Seconds from the start of the execution on."""
        return max(0.0, (self.started - start).total_seconds())


@dataclass(frozen=True)
class Trouble:
    """A try that failed."""

    name: str
    number: int
    """From 1; 0 where the history does not tell."""
    one: Try


@dataclass(frozen=True)
class Timeline:
    """An execution from its start to its end, or until now."""

    started: datetime
    ended: datetime
    rows: tuple[Row, ...]
    chunks_left_out: int
    troubles: tuple[Trouble, ...]


def timeline_of(execution: Execution, now: datetime) -> Timeline | None:
    """The timeline of an execution, or None where nothing tells what it did."""
    if execution.started is None or not execution.steps:
        return None
    ended = execution.stopped or now
    scale = _Scale(execution.started, ended)
    chunks = _worth_showing(execution.chunks)
    rows = tuple(row for step in execution.steps for row in _rows(step, scale, chunks))
    return Timeline(
        execution.started,
        ended,
        rows,
        len(execution.chunks) - len(chunks),
        tuple(trouble for step in execution.steps for trouble in _troubles(step, "")),
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


def _rows(step: Step, scale: _Scale, chunks: set[int]) -> Iterator[Row]:
    yield Row(step.name, 0, look(step), mark_of([step]).words, step.entered, step.seconds, _bars(step, scale))
    for chunk in step.chunks:
        if chunk.number not in chunks:
            continue
        yield from _chunk_rows(chunk, scale, detailed=len(chunks) <= _DETAILED or _chunk_look(chunk) != "succeeded")


def _chunk_rows(chunk: Chunk, scale: _Scale, *, detailed: bool) -> Iterator[Row]:
    """A chunk with its states in rows of their own, or all in one."""
    seconds = (chunk.ended - chunk.started).total_seconds() if chunk.ended else None
    bars = [scale.bar(chunk.started, chunk.ended, "around", str(chunk.outcome))]
    if not detailed:
        bars += [replace(bar, words=f"{step.name}: {bar.words}") for step in chunk.steps for bar in _bars(step, scale)]
    outcome = str(chunk.outcome)
    yield Row(f"Chunk {chunk.number}", 1, _chunk_look(chunk), outcome, chunk.started, seconds, tuple(bars))
    for step in chunk.steps if detailed else ():
        yield Row(step.name, 2, look(step), mark_of([step]).words, step.entered, step.seconds, _bars(step, scale))


def _bars(step: Step, scale: _Scale) -> tuple[Bar, ...]:
    """The tries of a task with the waits between them; of any other state the time from its begin to its end."""
    tries = [one for one in step.tries if one.started]
    if step.chunks or len(tries) < len(step.tries) or not tries:
        return (scale.bar(step.entered, step.exited, "around" if step.kind == "Map" else look(step), step.outcome),)
    waited = scale.bar(tries[0].started or step.entered, tries[-1].ended, "waiting", "waiting for the next try")
    bars = [] if len(tries) == 1 else [waited]
    for number, one in enumerate(tries, 1):
        outcome = "succeeded" if one.outcome is Ended.SUCCEEDED else _try_look(one)
        bars.append(scale.bar(one.started or step.entered, one.ended, outcome, f"try {number} {one.outcome}"))
    return tuple(bars)


def _try_look(one: Try) -> str:
    return {Ended.RUNNING: "running", Ended.ABORTED: "stopped"}.get(one.outcome, "failed")


def _chunk_look(chunk: Chunk) -> str:
    if chunk.outcome is Ended.SUCCEEDED and any(look(step) == "retried" for step in chunk.steps):
        return "retried"
    return {Ended.SUCCEEDED: "succeeded", Ended.RUNNING: "running", Ended.ABORTED: "stopped"}.get(
        chunk.outcome, "failed"
    )


def _worth_showing(chunks: Iterable[Chunk]) -> set[int]:
    """The numbers of the chunks that are shown: what failed or was tried again first, then what took longest."""

    def worth(chunk: Chunk) -> tuple[int, float]:
        trouble = ("failed", "running", "retried", "stopped", "succeeded").index(_chunk_look(chunk))
        seconds = (chunk.ended - chunk.started).total_seconds() if chunk.ended else 0
        return trouble, -seconds

    return {chunk.number for chunk in sorted(chunks, key=worth)[:_MOST_CHUNKS]}


def _troubles(step: Step, where: str) -> Iterator[Trouble]:
    for number, one in enumerate(step.tries, 1):
        if one.outcome in (Ended.FAILED, Ended.TIMED_OUT):
            yield Trouble(f"{step.name}{where}", 0 if step.inside_untold else number, one)
    for chunk in step.chunks:
        for inner in chunk.steps:
            yield from _troubles(inner, f", chunk {chunk.number}")
