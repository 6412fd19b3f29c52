"""Calls to AWS that need not wait for each other, several at once: of a small file they take most of the time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_AT_ONCE = 16


def at_once(call: Callable[[_T], _R], arguments: Iterable[_T], most: int = MOST_AT_ONCE) -> list[_R]:
    """What `call` answers to each argument, in their order. Raises the first error, once no call goes on."""
    with ThreadPoolExecutor(most) as pool:
        return list(pool.map(call, arguments))
