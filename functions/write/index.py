"""The entry point of `write`: all parts of a batch in, its published tables and its manifest out."""

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
    """Publish and commit a batch, or verify that it is committed; returns its counts and the notice of its rejects."""
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
        answer = manifests.summary(manifest, settings().processed_bucket, written.earlier)
        outcome |= {key: value for key, value in answer.items() if key not in ("notice", "batch_id")}
        outcome |= {"already_committed": True} if written.was_committed else {}
    return answer


def _count_rejects(batch: Batch, by_reason: Mapping[str, int]) -> None:
    """Emit the rejects by reason: of a published file once, of a refused one each time that it is run."""
    for reason, number in by_reason.items():
        count(batch.dataset, {"RejectsByReason": number}, reason=reason)
