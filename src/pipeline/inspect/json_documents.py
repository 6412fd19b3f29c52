"""The documents of `explain --json` and `rejects --json`; docs/reference/json-output.md has their shapes."""

from typing import Any

from pipeline.console.as_json import plain
from pipeline.inspect.batch_history.model import BatchRejects, Story

_LEFT_OUT = {"manifest", "definition"}
"""Of a story: the one is in the bucket, the other in Step Functions."""

_BALANCE = ("counts", "rejected_by_reason", "control_totals", "records_by_version", "drift", "bytes")
"""The members of a manifest that are shown as the balance."""


def story(told: Story) -> dict[str, Any]:
    """The document of `explain --json`."""
    content = {name: part for name, part in plain(told).items() if name not in _LEFT_OUT}
    balance = {name: plain(getattr(told.manifest, name)) or {} for name in _BALANCE} if told.manifest else None
    return {"explain_version": 1, **content, "balance": balance}


def rejects(found: BatchRejects) -> dict[str, Any]:
    """The document of `rejects --json`."""
    return {"rejects_version": 1, **plain(found)}
