"""What the figures were measured on and with: nothing that tells whose machine it is."""

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
    """Processor, cores, memory in MB, system and Python; no path and no host name."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "memory_mb": round(int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) * 1024 / 10**6),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        "python": platform.python_version(),
    }


def load() -> float:
    """How many processes wanted a core in the last minute, on average: other work makes all figures worse."""
    return round(os.getloadavg()[0], 2)


def versions() -> dict[str, dict[str, str]]:
    """The packages that matter, of the pipeline's environment and of the peers'."""
    lock = (ROOT / "requirements" / "bench.txt").read_text("utf-8").splitlines()
    return {"ours": {name: version(name) for name in OWN_PACKAGES}, "peers": locked(PEER_PACKAGES, lock)}


def locked(names: Iterable[str], lines: Iterable[str]) -> dict[str, str]:
    """The versions that a lock file names."""
    pinned = (re.match(r"([\w.-]+)==([^ ;\\]+)", line) for line in lines)
    found = {match[1]: match[2] for match in pinned if match}
    return {name: found[name] for name in names}


def commit() -> str:
    """The commit that was measured, with `+` where the work tree differs from it; empty outside of git."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "functions", "contracts", "bench")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _field(path: str, name: str) -> str:
    """The value of the first line `name : value` of a file of /proc, or empty."""
    file = Path(path)
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
