"""A stored document that someone changed stops its readers with its name, and is never overwritten."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.common import s3_utils
from functions.common.batch import Batch
from functions.common.batch_state import BatchState, Patience, look_at_batch
from functions.common.errors import DocumentError
from functions.record_failure import index as record_failure
from functions.write import index as write
from pipeline import cli
from pipeline.inspect import explain_commands
from pipeline.recover import restarts
from tests import harness
from tests.integration.deployed import Place
from tests.unit.orders import lines, order

GOOD = lines([order()])
CHANGED = b'{"mine": "SECRET"}'


def change(key: str) -> bytes:
    """Replace the content of an object; returns the previous content."""
    whole = harness.get(key)
    s3_utils.storage().put_bytes(harness.PROCESSED, key, CHANGED)
    return whole


def failure_event(batch: Batch) -> dict[str, Any]:
    """The input of record_failure in the failure branch."""
    failure = {"Error": "EmptyFileError", "Cause": "x"}
    return {"batch": batch.to_input(), "execution": batch.batch_id, "failure": failure}


def test_a_changed_manifest_is_reported_and_the_batch_is_published_after_its_restore(aws: None) -> None:
    batch = harness.run(GOOD)
    whole = change(batch.manifest_key)
    with pytest.raises(DocumentError, match=f"^{batch.manifest_key} can't be read as a manifest: ") as refused:
        write.handler(batch.to_input())
    assert "SECRET" not in str(refused.value)
    assert harness.get(batch.manifest_key) == CHANGED
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.manifest_key, whole)
    assert write.handler(batch.to_input())["published"] == 1


def test_changed_counts_of_a_chunk_are_reported_and_a_replay_publishes(aws: None) -> None:
    batch = harness.plan(harness.upload(GOOD))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(write, "handler", lambda _: {})
        harness.run_steps(batch)
    key = batch.staging_key(0, "counts.json")
    change(key)
    with pytest.raises(DocumentError, match=f"^{key} can't be read as a chunk's counts: ") as refused:
        write.handler(batch.to_input())
    assert "under staging/, run the batch again" in refused.value.next_step
    assert harness.run_steps(replace(batch, execution=f"{batch.batch_id}-replay-1"))["published"] == 1


def test_a_changed_failure_record_is_reported_and_not_overwritten(aws: None) -> None:
    batch = harness.plan(harness.upload(GOOD))
    key = batch.failure_key(batch.batch_id)
    printed = record_failure.handler(failure_event(batch))
    whole = change(key)
    with pytest.raises(DocumentError, match=f"^{key} can't be read as a failure record: "):
        record_failure.handler(failure_event(batch))
    assert harness.get(key) == CHANGED
    s3_utils.storage().put_bytes(harness.PROCESSED, key, whole)
    assert record_failure.handler(failure_event(batch)) == printed


def test_a_failure_whose_record_was_changed_counts_as_not_notified(aws: None) -> None:
    place = Place()
    batch = place.process(b"{}\n")
    change(batch.failure_key(batch.batch_id))
    patience = Patience(datetime.now(UTC) + timedelta(seconds=1), timedelta(0))
    found = look_at_batch(restarts.pipeline_of(place), "orders", batch.batch_id, patience)
    assert found.state is BatchState.NOT_NOTIFIED


def test_explain_names_the_document_and_says_what_to_do(
    aws: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place()
    monkeypatch.setattr(explain_commands, "target", lambda _: place)
    batch = place.process(GOOD)
    change(batch.manifest_key)
    monkeypatch.setattr(sys, "argv", ["pipeline", "explain", batch.batch_id, "--target", "local"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = " ".join(capsys.readouterr().err.split())
    assert left.value.code == 1
    assert f"{batch.manifest_key} can't be read as a manifest" in printed
    assert "restore the version of the object that the pipeline wrote" in printed
