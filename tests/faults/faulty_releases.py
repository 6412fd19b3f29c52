"""Faulty releases of the functions: they crash, raise, or produce wrong output."""

from collections.abc import Callable
from typing import Any

from functions.common import errors
from tests.faults.executor import CrashError
from tests.faults.simulated_cloud import HANDLERS

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
    """A step whose chunks are already in staging."""
    return {"chunk": event["chunk"]}
