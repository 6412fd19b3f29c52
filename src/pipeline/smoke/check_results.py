"""The result of one check of a smoke test."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class CheckOutcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    """Somebody has to do something, but it says nothing against what was tried."""
    OMITTED = "omitted"


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    name: str
    outcome: CheckOutcome
    detail: str
    """What was found, or why it was left out."""
    seconds: float = 0.0


def held(results: Sequence[Result]) -> bool:
    """Whether nothing failed, and anything was tried at all."""
    outcomes = [result.outcome for result in results]
    return CheckOutcome.OK in outcomes and CheckOutcome.FAILED not in outcomes
