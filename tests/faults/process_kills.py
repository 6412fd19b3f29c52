"""End an invocation at one of its calls, in any thread."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from s3transfer.futures import TransferCoordinator
from s3transfer.tasks import Task


class Killed(BaseException):
    """The end of an invocation, as by `os._exit`: no `except Exception` catches it, and no later call is made."""


@contextmanager
def transfers_that_can_be_killed() -> Iterator[None]:
    """Make the end of an invocation in a thread of s3transfer end the code that waits for the transfer, too.

    s3transfer only passes on an Exception. After other errors its caller would see a success, or wait for ever.
    """
    execute_main, call, run_callback = Task._execute_main, Task.__call__, TransferCoordinator._run_callback

    def hand_on(task: Any, arguments: Any) -> Any:
        try:
            return execute_main(task, arguments)
        except Killed as end:
            task._transfer_coordinator.set_exception(end)
            raise

    def announce(task: Any, *context: Any) -> Any:
        try:
            return call(task, *context)
        except Killed:
            task._transfer_coordinator.announce_done()
            raise

    def no_clean_up(coordinator: Any, callback: Any) -> None:
        with suppress(Killed):  # a killed process cleans nothing up
            run_callback(coordinator, callback)

    with (
        patch.object(Task, "_execute_main", hand_on),
        patch.object(Task, "__call__", announce),
        patch.object(TransferCoordinator, "_run_callback", no_clean_up),
    ):
        yield
