"""A revision with the same rejects as the previous one sends no notification, because those were notified already."""

from typing import Any

import pytest
from msgspec import structs

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.documents.manifest import Manifest
from functions.common.planning import plan_batch
from functions.write import index as write
from tests import documents, harness
from tests.unit.orders import lines, order

pytestmark = pytest.mark.usefixtures("aws")

GOOD = [order(order_id=str(number)) for number in range(1, 12)]
MIXED = lines([*GOOD, order(order_id="12", total_amount=1)])


def revision(batch: Batch, number: int) -> Batch:
    """A later revision of a batch, as `replay --republish` plans it."""
    head = s3_utils.storage().head(batch.source.bucket, batch.source.key, batch.source.version_id)
    assert head is not None
    return plan_batch(batch.source, head["LastModified"], batch.chunk_bytes, number)


def change(batch: Batch, **changes: Any) -> None:
    """Change the manifest as if an earlier release had counted differently."""
    manifest = structs.replace(harness.document(Manifest, batch.manifest_key), **changes)
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.manifest_key, manifest.to_bytes())


def test_a_first_revision_notifies_its_rejects() -> None:
    assert harness.run_steps(harness.plan(harness.upload(MIXED)))["unnotified"] == 1
    assert harness.run_steps(harness.plan(harness.upload(lines(GOOD))))["unnotified"] == 0


def test_the_same_rejects_are_not_notified_again() -> None:
    first = harness.run(MIXED)
    for number in (2, 3):
        summary = harness.run_steps(revision(first, number))
        assert (summary["rejected"], summary["unnotified"]) == (1, 0)


def test_a_retry_after_the_commit_returns_the_same() -> None:
    first = harness.run(MIXED)
    again = revision(first, 2)
    assert harness.run_steps(again) == write.handler(again.to_input())


@pytest.mark.parametrize(
    "changes",
    [
        {"rejected_by_reason": {"schema": 1}},
        {"rejected_by_reason": {}, "counts": documents.record_counts(12)},
        {"rejected_by_reason": {"total_mismatch": 2}, "counts": documents.record_counts(12, rejected=2)},
        {"counts": documents.record_counts(13, rejected=1)},
    ],
)
def test_other_rejects_are_notified(changes: dict[str, Any]) -> None:
    first = harness.run(MIXED)
    change(first, **changes)
    assert harness.run_steps(revision(first, 2))["unnotified"] == 1


def test_rejects_are_compared_with_the_last_published_revision() -> None:
    """The first had the same rejects, but the second had none."""
    first = harness.run(MIXED)
    second = revision(first, 2)
    harness.run_steps(second)
    change(second, rejected_by_reason={}, counts=documents.record_counts(12))
    assert harness.run_steps(revision(first, 3))["unnotified"] == 1


def test_a_revision_that_was_never_published_is_skipped() -> None:
    first = harness.run(MIXED)
    assert harness.run_steps(revision(first, 3))["unnotified"] == 0
