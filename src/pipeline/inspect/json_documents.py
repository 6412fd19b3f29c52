"""Builds the output of `explain --json` and `rejects --json`. docs/reference/json-output.md has the shapes."""

from typing import Any

from pipeline.console.as_json import plain
from pipeline.inspect.batch_history.model import BatchHistory, BatchRejects

_LEFT_OUT = {"manifest"}
"""Members that are omitted, since the manifest is in the bucket."""

_BALANCE = ("counts", "rejected_by_reason", "control_totals", "records_by_version", "drift", "bytes")
"""The members of a manifest that are shown as the balance."""


def explanation(batch: BatchHistory) -> dict[str, Any]:
    """Return the document that `explain --json` prints."""
    content = {name: part for name, part in plain(batch).items() if name not in _LEFT_OUT}
    balance = {name: plain(getattr(batch.manifest, name)) or {} for name in _BALANCE} if batch.manifest else None
    return {"explain_version": 1, **content, "balance": balance}


def rejects(found: BatchRejects) -> dict[str, Any]:
    """Return the document that `rejects --json` prints."""
    return {"rejects_version": 1, **plain(found)}
