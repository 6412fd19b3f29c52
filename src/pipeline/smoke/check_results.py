"""The results of the checks in a smoke test."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class CheckOutcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    """Someone must act, but not because of the tested deployment."""
    OMITTED = "omitted"


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    name: str
    outcome: CheckOutcome
    detail: str
    """What was found, or why the check was omitted."""
    seconds: float = 0.0


def held(results: Sequence[Result]) -> bool:
    """Return whether at least one check passed and none failed."""
    outcomes = [result.outcome for result in results]
    return CheckOutcome.OK in outcomes and CheckOutcome.FAILED not in outcomes
