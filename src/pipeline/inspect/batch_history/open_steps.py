"""Steps while a history is being read, and what each comes to when it ends there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.inspect.batch_history.model import Chunk, Ended, Step, Try

FAILURES = (Ended.FAILED, Ended.TIMED_OUT)


@dataclass(eq=False)
class OpenStep:
    """One visit of a state, as far as its events were read."""

    name: str
    kind: str
    entered: datetime
    branch: "Branch"
    exited: datetime | None = None
    outcome: Ended | None = None
    tries: list[Try] = field(default_factory=list)
    chunks: list["Branch"] = field(default_factory=list)
    shows_inside: bool = False
    """Whether a Map has said that it starts iterations."""
    scheduled: int = 0
    error: str = ""
    cause: str = ""

    @property
    def inside_untold(self) -> bool:
        return self.kind == "Map" and not self.shows_inside and self.scheduled > 0


@dataclass(eq=False)
class Branch:
    """States that follow each other: those of the machine, or of one iteration of a Map."""

    of: OpenStep | None = None
    """The Map that it is an iteration of."""
    number: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    outcome: Ended | None = None
    steps: list[OpenStep] = field(default_factory=list)


def finished(branch: Branch, end: Ended, ended: datetime | None, catches: Mapping[str, set[str]]) -> Iterator[Step]:
    """The steps of a branch as they were when the execution ended, or are now."""
    for at, step in enumerate(branch.steps):
        following = branch.steps[at + 1].name if at + 1 < len(branch.steps) else ""
        yield _step(step, following, end, ended, catches)


def _step(step: OpenStep, following: str, end: Ended, ended: datetime | None, catches: Mapping[str, set[str]]) -> Step:
    cut = Ended.FAILED if step.kind == "Fail" else end
    inner_end = cut if step.exited is None else Ended.ABORTED  # what a Map left behind
    tries = tuple(
        one if one.outcome is not Ended.RUNNING or inner_end is Ended.RUNNING else Try(one.started, ended, inner_end)
        for one in step.tries
    )
    chunks = tuple(_chunk(chunk, inner_end, step.exited or ended, catches) for chunk in step.chunks)
    last = tries[-1] if tries and tries[-1].outcome in FAILURES else None
    outcome = _outcome(step, last, following in catches.get(step.name, set()), cut)
    error, cause = step.error, step.cause
    if outcome is not Ended.SUCCEEDED and not error:
        error, cause = (last.error, last.cause) if last else _worst(chunks)
    return Step(
        name=step.name,
        kind=step.kind,
        entered=step.entered,
        exited=step.entered if step.kind == "Fail" else step.exited,  # it is never left
        outcome=outcome,
        tries=tries,
        chunks=tuple(sorted(chunks, key=lambda chunk: chunk.number)),
        scheduled=step.scheduled + sum(inner.scheduled for chunk in chunks for inner in chunk.steps),
        inside_untold=step.inside_untold,
        error=error,
        cause=cause,
    )


def _outcome(step: OpenStep, last: Try | None, is_caught: bool, cut: Ended) -> Ended:
    if step.exited is None:
        if step.outcome or last:  # that failed, and nothing caught it
            return step.outcome or (last.outcome if last and cut is not Ended.RUNNING else cut)
        return cut
    failed = is_caught or step.outcome in FAILURES or (last is not None and not step.inside_untold)
    return Ended.CAUGHT if failed else Ended.SUCCEEDED


def _chunk(branch: Branch, end: Ended, ended: datetime | None, catches: Mapping[str, set[str]]) -> Chunk:
    assert branch.started is not None
    outcome = branch.outcome or (Ended.ABORTED if end in FAILURES else end)
    steps = tuple(finished(branch, outcome, branch.ended or ended, catches))
    return Chunk(branch.number, branch.started, branch.ended, outcome, steps)


def _worst(chunks: Iterable[Chunk]) -> tuple[str, str]:
    """Error and cause of the chunk that failed first."""
    failed = [chunk for chunk in chunks if chunk.outcome is Ended.FAILED and chunk.steps]
    first = min(failed, key=lambda chunk: chunk.ended or chunk.started, default=None)
    return (first.steps[-1].error, first.steps[-1].cause) if first else ("", "")
