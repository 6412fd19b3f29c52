"""Describes the machine and the software of a run, without identifying the machine."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.process import ROOT

OWN_PACKAGES = ("boto3", "duckdb", "jsonschema-rs", "orjson")
PEER_PACKAGES = ("dlt", "duckdb", "jsonschema", "orjson", "pandas", "polars", "pyarrow")


def facts() -> dict[str, Any]:
    """Return the processor, cores, memory in MB, system and Python version by name, without paths or host names."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "memory_mb": round(int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) * 1024 / 10**6),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        "python": platform.python_version(),
    }


def load() -> float:
    """Return the load average of the last minute, because other work makes all figures worse."""
    return round(os.getloadavg()[0], 2)


def versions() -> dict[str, dict[str, str]]:
    """Return the versions of the relevant packages, by environment (of the pipeline and of its peers) and name."""
    lock = (ROOT / "requirements" / "bench.txt").read_text("utf-8").splitlines()
    return {"ours": {name: version(name) for name in OWN_PACKAGES}, "peers": locked(PEER_PACKAGES, lock)}


def locked(names: Iterable[str], lines: Iterable[str]) -> dict[str, str]:
    """Return the versions that the lines of a lock file pin for these packages, by name."""
    pinned = (re.match(r"([\w.-]+)==([^ ;\\]+)", line) for line in lines)
    found = {match[1]: match[2] for match in pinned if match}
    return {name: found[name] for name in names}


def commit() -> str:
    """Return the measured commit, with `+` if the work tree differs, or an empty string outside git."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "functions", "contracts", "bench")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _field(path: str, name: str) -> str:
    """Return the value of the first line `name : value` of a file in /proc, or an empty string."""
    file = Path(path)
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
