"""Makes independent AWS calls concurrently: for a small file, they take most of the time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_AT_ONCE = 16


def at_once(call: Callable[[_T], _R], arguments: Iterable[_T], most: int = MOST_AT_ONCE) -> list[_R]:
    """Return the results of `call` for each argument, in order. After all calls have ended, raises the first error."""
    with ThreadPoolExecutor(most) as pool:
        return list(pool.map(call, arguments))
