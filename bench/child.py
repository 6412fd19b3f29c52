"""Runs a piece of work in the current process, and reports the resources that the work used."""

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
    """Run `work`, and return its CPU seconds, wall seconds and peak memory in bytes by name, and its result.

    CPU is user and system time of all threads, and of child processes that have ended. Earlier
    imports are not included. `bench.process` measures the whole process.
    """
    cpu, wall = _cpu_seconds(), time.perf_counter()
    result = work()
    cpu, wall = _cpu_seconds() - cpu, time.perf_counter() - wall
    return {"cpu_seconds": cpu, "wall_seconds": wall, "peak_rss_bytes": peak_rss_bytes()}, result


def _cpu_seconds() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes.

    Linux's VmHWM is ru_maxrss without the memory of the parent before exec, which getrusage(2) includes.
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(arguments: list[str]) -> None:
    """Measure `module.function(source, out)`, which returns rows by table, and write the measurement to `report`.

    The arguments are `module function source out report`.
    """
    module, function = importlib.import_module(arguments[0]), arguments[1]
    source, out, report = map(Path, arguments[2:])
    measured, rows = measure(lambda: getattr(module, function)(source, out))
    report.write_text(json.dumps({**measured, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
