"""Runs one piece of work in this process, which is a fresh one, and says what it took."""

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")

_STATUS = Path("/proc/self/status")


def measure(work: Callable[[], _Result]) -> tuple[dict[str, float], _Result]:
    """Do the work; answers CPU and wall seconds of the work and the process's peak in bytes, and what the work answers.

    CPU is user and system time of all threads, and of child processes that have ended. What was imported before
    is not in it; `bench.process` knows the whole process's time.
    """
    cpu, wall = _cpu_seconds(), time.perf_counter()
    result = work()
    cpu, wall = _cpu_seconds() - cpu, time.perf_counter() - wall
    return {"cpu_seconds": cpu, "wall_seconds": wall, "peak_rss_bytes": peak_rss_bytes()}, result


def _cpu_seconds() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def peak_rss_bytes() -> int:
    """The most memory that this process has had resident, in bytes.

    Linux's VmHWM is ru_maxrss without what was the parent's before exec (getrusage(2) counts that too).
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(arguments: list[str]) -> None:
    """`module function source out report`: import the module, measure `function(source, out)`, which answers rows."""
    module, function = importlib.import_module(arguments[0]), arguments[1]
    source, out, report = map(Path, arguments[2:])
    measured, rows = measure(lambda: getattr(module, function)(source, out))
    report.write_text(json.dumps({**measured, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
