"""The execution that a run record describes, and the deployment that it ran on."""

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
    """0 if the event doesn't say: it leaves out a long input."""
    source_bytes: int
    milliseconds: int
    """From its start to its end."""

    @classmethod
    def from_status_change(cls, event: Mapping[str, Any]) -> Self:
        """The execution in an EventBridge event about its end."""
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
        """The key of its record."""
        return run_key(self.dataset, self.batch_id, self.execution)

    @property
    def manifest_key(self) -> str:
        return manifest_key(self.dataset, self.batch_id)

    @property
    def staging_prefix(self) -> str:
        return staging_prefix(self.dataset, self.batch_id, self.execution)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What costs depend on in addition to the execution."""

    region: str
    architecture: str
    staging_days: int
    """0 keeps staging forever."""
    sizes: Mapping[str, Size]
    """Of each function."""

    @classmethod
    def from_settings(cls, described: Mapping[str, Any]) -> Self:
        """The deployment that the setting `deployment` describes."""
        sizes = {name: Size(*size) for name, size in described["functions"].items()}
        return cls(described["region"], described["architecture"], described["staging_days"], sizes)


def _time(milliseconds: int) -> str:
    """Milliseconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
