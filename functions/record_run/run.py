"""Describes the execution of a run record, and the deployment on which it ran."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from functions.common.batch import is_batch_id, manifest_key, replay_of, run_key, staging_prefix
from functions.common.planning import UNKNOWN_DATASET
from functions.common.pricing.costs import Size


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """An execution that has ended."""

    dataset: str
    batch_id: str
    execution: str
    execution_arn: str
    status: str
    """SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    started_at: str
    stopped_at: str
    chunks: int
    """The number of chunks, or 0 if the event doesn't show it because the input is too long."""
    source_bytes: int
    milliseconds: int
    """The duration of the execution."""

    @classmethod
    def from_status_change(cls, event: Mapping[str, Any]) -> Self:
        """Parse the EventBridge event that reports the end of an execution."""
        detail = event["detail"]
        batch_id = replay_of(detail["name"])[0]
        try:
            batch = json.loads(detail["input"])
            chunks, source_bytes = int(batch["last_chunk"]) + 1, int(batch["source"]["size"])
        except (TypeError, ValueError, KeyError):
            chunks, source_bytes = 0, 0
        return cls(
            dataset=batch_id.partition("-")[0] if is_batch_id(batch_id) else UNKNOWN_DATASET,
            batch_id=batch_id,
            execution=detail["name"],
            execution_arn=detail["executionArn"],
            status=detail["status"],
            started_at=_time(detail["startDate"]),
            stopped_at=_time(detail["stopDate"]),
            chunks=chunks,
            source_bytes=source_bytes,
            milliseconds=max(0, detail["stopDate"] - detail["startDate"]),
        )

    @property
    def key(self) -> str:
        """The key of the run record."""
        return run_key(self.dataset, self.batch_id, self.execution)

    @property
    def manifest_key(self) -> str:
        return manifest_key(self.dataset, self.batch_id)

    @property
    def staging_prefix(self) -> str:
        return staging_prefix(self.dataset, self.batch_id, self.execution)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The properties of a deployment on which costs depend."""

    region: str
    architecture: str
    staging_days: int
    """The number of days after which objects in staging expire. 0 keeps them forever."""
    sizes: Mapping[str, Size]
    """The memory and /tmp size of each function, by name."""

    @classmethod
    def from_settings(cls, described: Mapping[str, Any]) -> Self:
        """Return the deployment that the setting `deployment` describes."""
        sizes = {name: Size(*size) for name, size in described["functions"].items()}
        return cls(described["region"], described["architecture"], described["staging_days"], sizes)


def _time(milliseconds: int) -> str:
    """Return milliseconds since 1970 as a UTC time in ISO 8601."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
