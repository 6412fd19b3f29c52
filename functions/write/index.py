"""The Lambda handler of `write`, which publishes a batch's tables and commits its manifest."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.errors import PipelineError
from functions.common.telemetry import count, step
from functions.write import manifest as manifests
from functions.write.writer import BatchWriter


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Publish and commit a batch, or verify a committed batch. Return its counts and its reject notification."""
    batch = Batch.from_input(event)
    with step("write", batch.batch_id) as outcome:
        try:
            written = BatchWriter(batch, s3_utils.storage(), settings()).write()
        except PipelineError as refused:
            _count_rejects(batch, refused.rejected_by_reason)
            raise
        manifest = written.manifest
        if written.committed_now:
            counts = structs.asdict(manifest.counts)
            count(batch.dataset, {f"Records{name.capitalize()}": number for name, number in counts.items()})
            _count_rejects(batch, manifest.rejected_by_reason)
        summary = manifests.summary(manifest, settings().processed_bucket, written.earlier)
        outcome |= {key: value for key, value in summary.items() if key not in ("notice", "batch_id")}
        outcome |= {"already_committed": True} if written.was_committed else {}
    return summary


def _count_rejects(batch: Batch, by_reason: Mapping[str, int]) -> None:
    """Emit the number of rejects by reason, once for a published file, and on every run for a file that fails."""
    for reason, number in by_reason.items():
        count(batch.dataset, {"RejectsByReason": number}, reason=reason)
