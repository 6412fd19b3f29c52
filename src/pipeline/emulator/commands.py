"""The commands that start and stop the local emulator."""

from collections.abc import Callable, Mapping

from pipeline import console as show
from pipeline.emulator import server as embedded


def local_up() -> None:
    """Start the local emulator, which runs until local-down."""
    server, started = embedded.local_up()
    show.out.print(f"The local emulator {'is' if started else 'was already'} running on 127.0.0.1:{server.port}.")
    show.out.print("Next: make deploy-infra TARGET=local")


def local_down() -> None:
    """Stop the local emulator and delete all its data."""
    stopped = embedded.local_down()
    show.out.print("The local emulator is stopped." if stopped else "The local emulator was not running.")


COMMANDS: Mapping[str, Callable[..., None]] = {"local-up": local_up, "local-down": local_down}
