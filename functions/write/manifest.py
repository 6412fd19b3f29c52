"""Builds the manifest of a batch, compares it with a committed manifest, and verifies the manifest's outputs."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from functions.common.batch import Batch, title_of
from functions.common.contract import Contract
from functions.common.documents.manifest import ByteCounts, Manifest, PublishedFile, PublishedTable, RecordCounts
from functions.common.documents.notification import Notification
from functions.common.errors import CommitConflictError, ReconciliationError
from functions.write.reconciliation import Merged, Totals

REJECTS = "rejects.jsonl"
"""The name of the rejects file in `outputs`."""


def manifest(
    batch: Batch,
    contract: Contract,
    totals: Totals,
    merged: Merged,
    outputs: Mapping[str, PublishedFile],
    release: str,
) -> Manifest:
    """Return the manifest of a batch. `outputs` maps file names, such as `orders.csv`, to published files."""
    return Manifest(
        manifest_version=1,
        dataset=batch.dataset,
        batch_id=batch.batch_id,
        revision=batch.revision,
        contract_version=contract.current.number,
        release=release,
        source=batch.source,
        ingested_at=batch.ingested_at,
        ingest_date=batch.ingest_date,
        counts=RecordCounts(
            received=totals.received,
            valid=totals.valid,
            rejected=totals.rejected,
            superseded=merged.superseded,
            published=merged.rows[contract.record_table.name],
        ),
        bytes=ByteCounts(received=totals.received_bytes, unreadable=totals.unreadable_bytes),
        rejected_by_reason=totals.rejected_by_reason,
        records_by_version=totals.records_by_version,
        drift=totals.drift,
        control_totals=merged.control_totals,
        tables={
            table.name: PublishedTable(
                rows=merged.rows[table.name],
                parquet=outputs[f"{table.name}.parquet"],
                csv=outputs[f"{table.name}.csv"],
            )
            for table in contract.tables
        },
        rejects=outputs.get(REJECTS),
    )


def verify(committed: Manifest, digest_of: Callable[[str], str | None]) -> None:
    """Raise ReconciliationError unless every output in the manifest exists and has the recorded SHA-256 digest.

    `digest_of` returns the digest in an object's metadata by key, or None if the object is missing. The rejects file
    may be missing, because it is kept for a shorter time than the tables.
    """
    for output in committed.outputs:
        digest = digest_of(output.key)
        if digest != output.sha256 and not (digest is None and output == committed.rejects):
            raise ReconciliationError(
                f"The batch is committed, but {output.key} is missing or differs from what its manifest records."
            )


def check_same(committed: bytes, own: bytes) -> None:
    """Raise CommitConflictError unless the committed manifest has the same bytes as the manifest of this run."""
    if committed != own:
        raise CommitConflictError("Another run committed this batch with different bytes. The first commit is kept.")


def summary(committed: Manifest, processed_bucket: str, earlier: Manifest | None = None) -> dict[str, Any]:
    """Return the output of `write`: the counts, and a notification to send if `unnotified` is greater than 0.

    `earlier` is the manifest of the latest earlier revision. If both revisions have the same number of rejects for each
    reason, the notification was already sent, and `unnotified` is 0.
    """
    is_known = earlier is not None and _rejects_of(earlier) == _rejects_of(committed)
    return {
        **structs.asdict(committed.counts),
        "unnotified": 0 if is_known else committed.counts.rejected,
        "batch_id": committed.batch_id,
        "notice": _notification(committed, processed_bucket).to_output(),
    }


def _notification(committed: Manifest, processed_bucket: str) -> Notification:
    """Return the notification about a batch's rejects."""
    received, rejected = committed.counts.received, committed.counts.rejected
    rejects = f"s3://{processed_bucket}/{committed.rejects_key}" if committed.rejects else ""
    reasons = "\n".join(f"  {reason}: {number}" for reason, number in committed.rejected_by_reason.items())
    return Notification(
        subject=f"{committed.dataset}: {rejected} of {received} records rejected",
        message=(
            f"{title_of(committed.source.bucket, committed.source.key)} was published without {rejected} of its "
            f"{received} records, because of contract violations.\n\n"
            f"Reasons:\n{reasons}\n\n"
            f"Rejected records, with reasons and positions: {rejects}\n\n"
            "Next: correct these records and upload them as a new file. Don't send the published records again.\n\n"
            f"Batch: {committed.batch_id}\n"
        ),
    )


def _rejects_of(committed: Manifest) -> tuple[int, Mapping[str, int]]:
    """Return the numbers in the notification: the number of received records, and the number of rejects by reason."""
    return committed.counts.received, committed.rejected_by_reason
