"""A check, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.smoke.trial import Trial


class CheckOutcome(StrEnum):
    """What came of a check."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    """Somebody has to do something, but it says nothing against what was tried."""
    OMITTED = "omitted"


class CheckFailedError(Exception):
    """Something is not as it should be; says what was found instead."""


@dataclass(frozen=True)
class Check:
    """Something that must hold of a deployment."""

    name: str
    run: Callable[[Trial], str]
    """Answers what was found, in a few words; raises CheckFailedError, or whatever AWS says."""
    not_local: str = ""
    """Why the embedded AWS can't be asked; empty where it can."""


@dataclass(frozen=True)
class Result:
    """What came of one check."""

    name: str
    outcome: CheckOutcome
    detail: str
    """What was found, or why it was left out."""
    seconds: float = 0.0


def held(results: Sequence[Result]) -> bool:
    """Whether nothing failed, and anything was tried at all."""
    outcomes = [result.outcome for result in results]
    return CheckOutcome.OK in outcomes and CheckOutcome.FAILED not in outcomes


def expect(found: object, expected: object, what: str) -> None:
    """Raise CheckFailedError where something is not what it should be."""
    if found != expected:
        raise CheckFailedError(f"{what}: {found!r}, not {expected!r}")
