"""Reads a contract's `input`: how files of a dataset arrive, and which settings of the deployment it overrides."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from functions.common.config import CONTRACTS, DROP, REJECT, Settings
from functions.common.json_pointer import path_of, pointer_of

KEEP = "keep"
"""The value of `unknown_fields` that only a contract can have. It puts unknown fields into a separate column."""

JSON, JSON_LINES = "json", "jsonl"
"""The values of `format`."""

ALWAYS_IGNORED = ("_*", ".*")
"""The patterns that every dataset ignores. Spark, Hadoop and operating systems give such names to non-data files."""

_POINTER = re.compile(r"(/([^~/]|~[01])*)+")


@dataclass(frozen=True, slots=True)
class InputSettings:
    """Describes how the files of a dataset arrive."""

    records: str = ""
    """The JSON Pointer from a document to its array of records. Empty if no envelope is expected."""
    format: str = ""
    """The format of objects without a known suffix: JSON or JSON_LINES. Empty if it isn't set."""
    ignore: tuple[str, ...] = ()
    """Glob patterns, in addition to ALWAYS_IGNORED."""
    unknown_fields: str = ""
    """REJECT, DROP or KEEP. Empty if the deployment's setting applies."""
    max_reject_ratio: float | None = None
    """The share of rejected records, 0 to 1, above which a file fails. None if the deployment's setting applies."""

    @property
    def record_path(self) -> tuple[str, ...]:
        """The member names that lead from a document to its array of records. Empty if no envelope is expected."""
        return path_of(self.records)

    def unknown_fields_under(self, settings: Settings) -> str:
        """Return how a deployment with these settings treats unknown fields: REJECT, DROP or KEEP."""
        return self.unknown_fields or settings.unknown_fields

    def max_reject_ratio_under(self, settings: Settings) -> float:
        """Return the highest share of rejects, 0 to 1, that a deployment with these settings accepts."""
        return settings.max_reject_ratio if self.max_reject_ratio is None else self.max_reject_ratio

    def pattern_for(self, path: str) -> str | None:
        """Return the pattern that matches a segment of a path below the dataset's folder, or None if none matches."""
        segments = [name for name in path.split("/") if name not in (".", "..")]  # these aren't hidden files
        patterns = (*ALWAYS_IGNORED, *self.ignore)
        return next((one for one in patterns if any(fnmatchcase(segment, one) for segment in segments)), None)


def input_settings(contract: Mapping[str, Any]) -> InputSettings:
    """Return the input settings in a contract's JSON. Raises ValueError or TypeError, with the place of a fault.

    `"envelope": "x"` is the older form of `"input": {"records": "/x"}`.
    """
    given = contract.get("input", {})
    if not isinstance(given, dict):
        raise TypeError("input must be an object")
    for name in sorted(given.keys() - _CHECKS.keys()):
        known = ", ".join(sorted(_CHECKS))
        raise ValueError(f"input has an unknown member: {name}; it can have {known}")
    for name, value in given.items():
        is_valid, expected = _CHECKS[name]
        if not is_valid(value):
            raise ValueError(f"input.{name} must be {expected}")
    if "envelope" in contract and "records" in given:
        raise ValueError("envelope and input.records specify the same setting: remove envelope")
    envelope = contract.get("envelope", "")
    legacy = {"records": pointer_of([envelope])} if envelope else {}
    return InputSettings(**{**legacy, **given, "ignore": tuple(given.get("ignore", ()))})


@cache
def load_input(dataset: str, contracts: Path = CONTRACTS) -> InputSettings:
    """Return the input settings of the contract in `contracts/<dataset>/`, without reading the rest of the contract.

    Returns the defaults if there is no valid contract. In that case, the execution fails and reports it.
    """
    try:
        return input_settings(json.loads((contracts / dataset / "contract.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return InputSettings()


def _is_pattern(value: Any) -> bool:
    """Return whether a value is a pattern for a single name that doesn't match every name."""
    return isinstance(value, str) and bool(value.strip("*")) and not {"/", "\0"} & {*value}


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "records": (
        lambda value: isinstance(value, str) and bool(_POINTER.fullmatch(value)),
        'a JSON Pointer to the array of records, for example "/orders"',
    ),
    "format": (lambda value: value in (JSON, JSON_LINES), f"{JSON} or {JSON_LINES}"),
    "ignore": (
        lambda value: isinstance(value, list) and all(map(_is_pattern, value)),
        "an array of patterns for file or folder names, none of which contains / or matches every name",
    ),
    "unknown_fields": (lambda value: value in (REJECT, DROP, KEEP), f"{REJECT}, {DROP} or {KEEP}"),
    "max_reject_ratio": (
        lambda value: type(value) in (int, float) and 0 <= value <= 1,
        "a number from 0 to 1",
    ),
}
"""For each member of `input`, a test of its value, and a description of valid values."""
