"""Measures the cold start of each function, and the processing time of a small file in warm functions."""

import json
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bench import ours
from bench.process import OWN_PYTHON, ROOT, WORK, run

_BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The interpreter outside any virtual environment, which also runs the local zips."""


def cold_starts(starts: int) -> dict[str, dict[str, list[float]]]:
    """Return the milliseconds from the first import until a function has its clients, in `starts` new interpreters.

    `venv` imports from .venv, with cached bytecode. `zip` imports only from the content of the function's zip, as the
    runtime client does. The files are in the page cache in both cases.
    """
    script = {function: ours.cold_start_script(function) for function in ours.FUNCTIONS}
    zips = _unpack_zips()
    found: dict[str, dict[str, list[float]]] = {"venv": {}, "zip": {}}
    for _ in range(1 + starts):
        for function in ours.FUNCTIONS:
            in_venv = run([OWN_PYTHON, "-c", script[function]], ours.ENVIRONMENT)
            packed = {**ours.ENVIRONMENT, "PYTHONPATH": str(zips[function]), "PYTHONDONTWRITEBYTECODE": "1"}
            from_zip = run([_BASE_PYTHON, "-S", "-c", script[function]], packed, cwd=zips[function])
            found["venv"].setdefault(function, []).append(float(in_venv))
            found["zip"].setdefault(function, []).append(float(from_zip))
    return {kind: {name: all_[1:] for name, all_ in functions.items()} for kind, functions in found.items()}


def _unpack_zips() -> dict[str, Path]:
    """Return the folder of each function's unpacked zip. Outdated zips are rebuilt."""
    run([OWN_PYTHON, "-m", "pipeline", "build", "--target", "local"])
    folders = {function: WORK / "zip" / function for function in ours.FUNCTIONS}
    for function, folder in folders.items():
        shutil.rmtree(folder, ignore_errors=True)
        with zipfile.ZipFile(ROOT / "build" / "local" / f"{function}.zip") as archive:
            archive.extractall(folder)
    return folders


def warm_runs(path: Path, repeats: int, endpoint: Mapping[str, str]) -> dict[str, dict[str, list[float]]]:
    """Return each handler's `wall` and `cpu` milliseconds for a small file, from `repeats` runs in a warm process."""
    environment = {**ours.ENVIRONMENT, **endpoint}
    run([OWN_PYTHON, "-m", "bench.ours", "upload", path], environment)
    said = run([OWN_PYTHON, "-m", "bench.ours", "warm", path, str(repeats)], environment)
    runs = json.loads(said.splitlines()[-1])
    return {
        kind: {function: [one[function][kind] for one in runs] for function in ours.FUNCTIONS}
        for kind in ("wall", "cpu")
    }
