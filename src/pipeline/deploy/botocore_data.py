"""Removes botocore data that the functions don't need, because reading it is the slowest part of a cold start.

Documentation is four fifths of a service model, and the list of endpoints covers four hundred services.
"""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

SERVICES = ("lambda", "s3", "sns", "stepfunctions", "sts")
"""The services that the functions call."""


def prune(data: Path) -> None:
    """Prune `botocore/data` in place. Clients of SERVICES work in every region as before, but have no docstrings."""
    for entry in data.iterdir():
        if entry.is_dir() and entry.name not in SERVICES:
            shutil.rmtree(entry)
    for path in [*data.rglob("*.json"), *data.rglob("*.json.gz")]:
        if path.name.startswith("examples-"):
            path.unlink()
        elif path.suffix == ".gz":  # decompressing takes as long as parsing
            _write(path.with_suffix(""), _undocumented(json.loads(gzip.decompress(path.read_bytes()))))
            path.unlink()
    prefixes = {json.loads(path.read_bytes())["metadata"]["endpointPrefix"] for path in data.glob("*/*/service-2.json")}
    endpoints = json.loads((data / "endpoints.json").read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    _write(data / "endpoints.json", endpoints)


def _undocumented(model: Any) -> Any:
    """Return a model with empty documentation strings, which botocore needs. Keeps `documentation` of other types."""
    if isinstance(model, dict):
        return {
            name: "" if name == "documentation" and isinstance(value, str) else _undocumented(value)
            for name, value in model.items()
        }
    return [_undocumented(value) for value in model] if isinstance(model, list) else model


def _write(path: Path, content: Any) -> None:
    path.unlink(missing_ok=True)  # uv hard-links the files of packages to its cache, which must not change
    path.write_text(json.dumps(content, separators=(",", ":")))
