"""The checks for every file that fails."""

from pipeline.run import runs


def assert_failed(outcome: runs.RunResult, error: str, notifications: list[str]) -> None:
    """Fail unless a file has failed with an error, published nothing, left a record, and notified somebody once."""
    uploaded = outcome.upload
    assert not outcome.published
    assert outcome.manifest is None
    assert outcome.failure is not None, "the failure record is missing"
    assert outcome.failure.error == error
    assert outcome.failure.source.key == uploaded.key
    assert outcome.failure.next_step
    assert "Traceback" not in outcome.cause
    assert outcome.line().startswith(
        f"FAILED dataset={uploaded.dataset} batch={uploaded.batch_id} error={error} cause="
    )
    [notification] = notifications
    assert error in notification
    assert outcome.failure.next_step in notification
