"""Leaves of botocore's data what the functions' clients need: to read all of it takes longer than all else at a start.

Four fifths of a service's model are its documentation, and the list of endpoints is that of four hundred services.
"""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

SERVICES = ("lambda", "s3", "sns", "stepfunctions", "sts")
"""The services whose models the functions need."""


def prune(data: Path) -> None:
    """Prune `botocore/data` in place; clients of SERVICES do what they did, in every region, without docstrings."""
    for entry in data.iterdir():
        if entry.is_dir() and entry.name not in SERVICES:
            shutil.rmtree(entry)
    for path in [*data.rglob("*.json"), *data.rglob("*.json.gz")]:
        if path.name.startswith("examples-"):
            path.unlink()
        elif path.suffix == ".gz":  # to inflate takes as long as to parse
            _write(path.with_suffix(""), _undocumented(json.loads(gzip.decompress(path.read_bytes()))))
            path.unlink()
    prefixes = {json.loads(path.read_bytes())["metadata"]["endpointPrefix"] for path in data.glob("*/*/service-2.json")}
    endpoints = json.loads((data / "endpoints.json").read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    _write(data / "endpoints.json", endpoints)


def _undocumented(model: Any) -> Any:
    """A model whose documentation is empty; botocore asks for some, and a member of that name is no text and stays."""
    if isinstance(model, dict):
        return {
            name: "" if name == "documentation" and isinstance(value, str) else _undocumented(value)
            for name, value in model.items()
        }
    return [_undocumented(value) for value in model] if isinstance(model, list) else model


def _write(path: Path, content: Any) -> None:
    path.unlink(missing_ok=True)  # uv links a package's files to those of its cache: what is there must stay as it is
    path.write_text(json.dumps(content, separators=(",", ":")))
