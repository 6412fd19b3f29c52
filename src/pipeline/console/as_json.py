"""Prints the output of `--json` in ASCII: documents and dataclasses as objects, times as ISO 8601 in UTC.

ASCII output prevents keys and causes from controlling a terminal. docs/reference/json-output.md has the shapes.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.console import out


def dump(content: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document. With `indent=None`, the document is one line."""
    out.print(json.dumps(plain(content), indent=indent), markup=False, emoji=False)


def plain(value: Any) -> Any:
    """Convert a value to JSON types. A dataclass with a `seconds` property gets that member too."""
    if is_dataclass(value) and not isinstance(value, type):
        content = {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        return {**content, "seconds": value.seconds} if hasattr(value, "seconds") else content
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
