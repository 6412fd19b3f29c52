"""The memory of all processes of a group, observed while something runs."""

import os
import threading
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


class Watch:
    """Samples the resident memory of the group twice a second. `peak` is the maximum in bytes."""

    def __init__(self, group: int) -> None:
        self._group, self._done = group, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak = 0
        self.processes = 0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.5):
            sizes = [resident(pid) for pid in pids(self._group)]
            self.processes = max(self.processes, len(sizes))
            self.peak = max(self.peak, sum(sizes) + resident(os.getpid()))


def pids(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                found.append(int(process.name))
    return found


def resident(pid: int) -> int:
    """The resident memory of a process in bytes, including all shared memory."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    return 0
