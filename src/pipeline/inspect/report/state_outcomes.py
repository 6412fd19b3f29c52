"""The outcome of a state in an execution, as the drawing and the timeline show it."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.common.execution_history.model import Ended, Step

LOOKS = {
    Ended.SUCCEEDED: "succeeded",
    Ended.CAUGHT: "failed",
    Ended.FAILED: "failed",
    Ended.TIMED_OUT: "failed",
    Ended.ABORTED: "stopped",
    Ended.RUNNING: "running",
}
_WORDS = {"Succeed": "reached", "Fail": "reached", "Choice": "passed", "Pass": "passed"}
_WORST = ("failed", "stopped", "running", "retried", "succeeded")


@dataclass(frozen=True)
class Mark:
    """The outcome of a state, as a look and as words."""

    outcome: str
    """How the state is drawn: succeeded, retried, failed, stopped, running, unrecorded or unreached."""
    words: str
    """The outcome in a few words."""


SUCCEEDED = Mark("succeeded", "succeeded")
NOT_RECORDED = Mark("unrecorded", "not recorded")


def look(step: Step) -> str:
    """Return how to draw one visit of a state."""
    if step.kind == "Fail" and step.outcome is not Ended.RUNNING:
        return "failed"
    retried = any(inner.retries for inner in step.walk()) or (step.inside_untold and step.tries)
    return "retried" if step.outcome is Ended.SUCCEEDED and retried else LOOKS[step.outcome]


def mark_of(steps: Sequence[Step]) -> Mark:
    """Return the mark for all visits of a state: the worst outcome, and how many visits had it."""
    looks = [look(step) for step in steps]
    worst = min(looks, key=_WORST.index)
    if len(steps) == 1:
        return Mark(worst, _words(steps[0]))
    number, of_all = looks.count(worst), f" of {len(steps)}"
    return Mark(worst, f"{number}{of_all if number < len(steps) else ''} {worst}")


def _words(step: Step) -> str:
    outcome = "failed" if step.outcome is Ended.CAUGHT else str(step.outcome)
    if step.chunks:
        done, total = sum(chunk.outcome is Ended.SUCCEEDED for chunk in step.chunks), len(step.chunks)
        return f"{total} chunk{'s' * (total > 1)}" if done == total else f"{done} of {total} chunks"
    if step.outcome in (Ended.SUCCEEDED, Ended.FAILED) and step.kind in _WORDS:
        return _WORDS[step.kind]
    return f"{outcome}, {len(step.tries)} tries" if step.retries else outcome
