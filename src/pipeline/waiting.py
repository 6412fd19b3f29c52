"""Waits until a condition is met."""

from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

Seen = TypeVar("Seen")


def wait_for(
    look: Callable[[], Seen],
    seconds: float,
    pause: float,
    until: Callable[[Seen], bool] = bool,
    before_pause: Callable[[Seen], None] = lambda _: None,
) -> Seen:
    """Call `look` until `until` accepts its result or `seconds` have passed. Return the last result.

    `look` is called at least once, with a pause of `pause` seconds after each call. Its errors are raised unchanged.
    """
    polling = Retrying(
        retry=retry_if_not_result(until),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(pause),
        before_sleep=lambda state: before_pause(_result(state)),
        retry_error_callback=_result,
    )
    seen: Seen = polling(look)
    return seen


def _result(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()
