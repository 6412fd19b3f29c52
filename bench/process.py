"""Starts a new process for each measurement and reads its report."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError

ROOT = Path(__file__).parents[1]
OWN_PYTHON = Path(sys.executable)
PEERS_PYTHON = ROOT / "build" / "tools" / "bench" / "bin" / "python"
WORK = ROOT / "build" / "bench" / "work"
"""The folder for temporary outputs."""

_LAST_LINES = 15


@dataclass(frozen=True)
class Sample:
    """One measurement of a piece of work in a new process."""

    cpu_seconds: float
    """The user and system time of the work, including all threads and child processes."""
    wall_seconds: float
    peak_rss_bytes: int
    startup_cpu_seconds: float = 0.0
    """The CPU time of the process outside the work: interpreter start, imports and exit."""
    rows: Mapping[str, int] = field(default_factory=dict)


def measure(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Sample:
    """Run `command` with the path of its report as the last argument, and return the sample in the report.

    Raises BenchError, with the output of the command, if it fails.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        report, output = Path(folder, "report.json"), Path(folder, "output")
        with output.open("wb") as said:
            process = subprocess.Popen(
                [*command, report], env=clean(environment), cwd=ROOT, stdout=said, stderr=said, stdin=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            tail = "\n".join(output.read_text(errors="replace").splitlines()[-_LAST_LINES:])
            raise BenchError(f"{_shown(command)} failed with {process.returncode}:\n{tail}")
        measured = json.loads(report.read_text())
    startup = usage.ru_utime + usage.ru_stime - measured["cpu_seconds"]
    return Sample(**measured, startup_cpu_seconds=max(0.0, startup))


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run `command`, and return its standard output. Raises BenchError, with the output, if the command fails."""
    done = subprocess.run(
        command, env=clean(environment), cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        tail = "\n".join(f"{done.stdout}{done.stderr}".splitlines()[-_LAST_LINES:])
        raise BenchError(f"{_shown(command)} failed with {done.returncode}:\n{tail}")
    return done.stdout


def clean(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return this environment without variables of AWS and Python, in UTC, with temporary files next to the outputs.

    Files can then be linked instead of copied, and bytecode is cached as by default.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return {**inherited, "TZ": "UTC", "TMPDIR": str(WORK), **(environment or {})}


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command).replace(f"{ROOT}/", "")
