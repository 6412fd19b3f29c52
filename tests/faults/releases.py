"""Functions that are worse than the real ones: they crash, raise, or were changed for the worse."""

from collections.abc import Callable
from typing import Any

from functions.common import errors
from tests.faults.cloud import HANDLERS
from tests.faults.executor import CrashError

Function = Callable[[Any], Any]


def crashing(step: str, crash: str, times: float, *, when_done: bool) -> Function:
    """A step whose process ends, `times` times, before or after it has done its work."""
    left = times

    def function(event: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            return HANDLERS[step](event)
        if when_done:
            HANDLERS[step](event)
        raise CrashError(crash)

    return function


def raising(error: str) -> Function:
    """A step that raises an error of functions/common/errors.py."""

    def function(_event: Any) -> Any:
        raise getattr(errors, error)("as it is")

    return function


def done_already(event: Any) -> Any:
    """A step whose chunks are in staging."""
    return {"chunk": event["chunk"]}
