"""The end of an invocation at one of its calls, in whichever of its threads that is made."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from s3transfer.futures import TransferCoordinator
from s3transfer.tasks import Task


class Killed(BaseException):
    """The end of an invocation, as by `os._exit`: no `except Exception` holds it, no call is made after it."""


@contextmanager
def transfers_that_can_be_killed() -> Iterator[None]:
    """Let the end of an invocation in a thread of s3transfer be the end of who waits for the transfer.

    s3transfer hands on an Exception; after any other its caller would take the transfer for done, or wait for ever.
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
        with suppress(Killed):  # the dead clean nothing up
            run_callback(coordinator, callback)

    with (
        patch.object(Task, "_execute_main", hand_on),
        patch.object(Task, "__call__", announce),
        patch.object(TransferCoordinator, "_run_callback", no_clean_up),
    ):
        yield
