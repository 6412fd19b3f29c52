"""Makes independent AWS calls concurrently, because they take most of the time for a small file."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_AT_ONCE = 16


def at_once(call: Callable[[_T], _R], arguments: Iterable[_T], most: int = MOST_AT_ONCE) -> list[_R]:
    """Return the results of `call` for each argument, in order. Raises the first error after all calls have ended."""
    with ThreadPoolExecutor(most) as pool:
        return list(pool.map(call, arguments))
