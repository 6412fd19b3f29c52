"""Versions that S3 does not return: a recent one may not be visible yet, and an archived one must be restored first."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch import Batch, batch_id_for
from functions.common.errors import (
    ReconciliationError,
    SourceArchivedError,
    SourceMissingError,
    SourceNotVisibleError,
    TransientError,
)
from functions.common.source_visibility import PROPAGATION, may_become_visible
from functions.reconciler import index as reconciler
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from pipeline.inspect import explain_commands
from pipeline.recover import commands as recovery_commands
from pipeline.recover import corrections, restarts
from pipeline.run import runs
from tests import harness
from tests.integration.deployed import Place, run_command, use_place
from tests.unit.orders import lines, order

GOOD = lines([order()])
TWICE = lines([order(), order()])
"""The first is superseded, so `write` reads the source again."""
KEY = "incoming/orders/x.jsonl"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    use_place(place, monkeypatch, explain_commands, recovery_commands)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its exit status and output."""

    def run(*arguments: str) -> tuple[int, str]:
        place.step_functions().started.clear()
        status, out, err = run_command(monkeypatch, capsys, *arguments)
        return status, " ".join((out + err).split())

    return run


def aged(batch: Batch, minutes: float) -> Batch:
    """A batch whose version has a given age."""
    written = datetime.now(UTC) - timedelta(minutes=minutes)
    return replace(batch, ingested_at=f"{written:%Y-%m-%dT%H:%M:%SZ}")


def delete(batch: Batch) -> None:
    source = batch.source
    s3_utils.client().delete_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id)


def missing(age: float, data: bytes = GOOD) -> Batch:
    """A batch of this age, in minutes, whose version S3 does not return."""
    batch = aged(harness.plan(harness.upload(data)), age)
    delete(batch)
    return batch


# --- not visible yet --------------------------------------------------------------------------------------------------


def test_the_window_of_invisibility_is_that_of_aws() -> None:
    assert timedelta(minutes=15) == PROPAGATION
    now = datetime.now(UTC)
    assert may_become_visible(now - timedelta(minutes=14, seconds=50))
    assert not may_become_visible(now - timedelta(minutes=15))
    assert may_become_visible(f"{now:%Y-%m-%dT%H:%M:%SZ}")
    assert may_become_visible(now + timedelta(minutes=1)), "S3's clock may be ahead"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("age", "error"), [(0, SourceNotVisibleError), (14, SourceNotVisibleError), (16, SourceMissingError)]
)
def test_validate_calls_a_young_version_not_visible(age: float, error: type[Exception]) -> None:
    batch = missing(age)
    with pytest.raises(error) as caught:
        validate.handler({"batch": batch.to_input(), "chunk": 0})
    assert batch.source.uri in str(caught.value)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("age", "error"), [(0, SourceNotVisibleError), (16, SourceMissingError)])
def test_write_calls_a_young_version_not_visible(age: float, error: type[Exception]) -> None:
    batch = harness.run(TWICE)
    s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    delete(batch)
    with pytest.raises(error):
        write.handler(aged(batch, age).to_input())


@pytest.mark.usefixtures("aws")
def test_a_version_that_becomes_visible_is_published() -> None:
    """The retry of `validate` starts over."""
    batch = harness.plan(harness.upload(GOOD))
    hidden = replace(batch, source=replace(batch.source, version_id="not-yet"))
    with pytest.raises(SourceNotVisibleError):
        validate.handler({"batch": hidden.to_input(), "chunk": 0})
    assert harness.run_steps(batch)["published"] == 1


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("age", "error"), [(0, TransientError), (16, ReconciliationError)])
def test_a_chunk_that_was_just_staged_may_not_be_visible(age: float, error: type[Exception]) -> None:
    batch = aged(harness.plan(harness.upload(GOOD)), age)
    with pytest.raises(error, match=r"Chunk 0 has no records\.parquet in staging"):
        transform.handler({"batch": batch.to_input(), "chunk": 0})
    with pytest.raises(error, match="Chunk 0 has no counts in staging"):
        write.handler(batch.to_input())


@pytest.mark.usefixtures("aws")
def test_a_manifest_that_is_not_visible_yet_is_not_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = harness.run(GOOD)
    get_bytes = s3_utils.Storage.get_bytes
    monkeypatch.setattr(
        s3_utils.Storage, "get_bytes", lambda s, b, k: None if k == batch.manifest_key else get_bytes(s, b, k)
    )
    with pytest.raises(TransientError, match="does not return its manifest yet"):
        write.handler(batch.to_input())


def without_version(place: Any, name: str) -> None:
    """Let S3 return no version for a PUT, as before versioning takes effect."""
    put: Any = place.s3().put_object

    def put_object(**arguments: Any) -> Any:
        answer = put(**arguments)
        del answer["VersionId"]
        return answer

    s3 = type(
        "S3",
        (),
        {"__getattr__": lambda _, called: put_object if called == name else getattr(boto3.client("s3"), called)},
    )()
    place.s3 = lambda: s3  # type: ignore[method-assign]


def test_an_upload_without_a_version_id_is_followed_by_the_name_that_its_event_gives_it(
    place: Place, tmp_path: Path
) -> None:
    without_version(place, "put_object")
    (tmp_path / "x.jsonl").write_bytes(GOOD)
    uploaded = runs.upload(place, tmp_path / "x.jsonl", "orders")  # type: ignore[arg-type]
    assert uploaded.batch_id == batch_id_for("orders", harness.INGEST, KEY, "null")
    batch_id = f"orders-{'0' * 32}"
    key, correction = corrections.send_correction(place, batch_id, GOOD)  # type: ignore[arg-type]
    assert correction == batch_id_for("orders", harness.INGEST, key, "null")


@contextmanager
def hidden(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let S3 list the sources but return 404 for them."""

    def hiding(call: Callable[..., Any]) -> Callable[..., Any]:
        def refuse_sources(**arguments: Any) -> Any:
            if arguments["Bucket"] == harness.INGEST:
                raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
            return call(**arguments)

        return refuse_sources

    with monkeypatch.context() as patch:
        for name in ("head_object", "get_object"):
            patch.setattr(place.s3(), name, hiding(getattr(place.s3(), name)))
        yield


def test_replay_and_explain_do_not_call_an_invisible_version_deleted(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = place.upload(GOOD)
    with hidden(place, monkeypatch):
        for command in (["replay", batch.batch_id], ["backfill"], ["reconcile", "--grace", "0m"]):
            printed = run(*command, "--apply")[1]
            assert "deleted" not in printed
            assert "S3 lists it but does not return it" in printed
        status, printed = run("explain", batch.batch_id)
        assert (status, "lists this version" in printed, "replay" in printed) == (0, True, False), printed
    assert "1 of 1 succeeded" in run("backfill", "--apply")[1]


def test_the_reconciler_counts_an_invisible_version_as_unaccounted(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does so every hour, until S3 returns the version."""
    place.upload(GOOD)
    pipeline = restarts.pipeline_of(place)  # type: ignore[arg-type]
    monkeypatch.setattr(reconciler, "_pipeline", lambda: pipeline)
    with hidden(place, monkeypatch):
        assert reconciler.handler({"grace_minutes": 0, "since_hours": 24})["missing"] == 1
    assert '"BatchesUnaccounted":[1' in capsys.readouterr().out


def test_a_failed_version_that_is_listed_counts_as_existing(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = place.upload(GOOD)
    place.step_functions().runs = raising(SourceNotVisibleError("S3 does not return it."))
    place.start(batch)
    with hidden(place, monkeypatch):
        printed = run("explain", batch.batch_id)[1]
        assert f"pipeline replay {batch.batch_id} --apply" in printed
        assert "no longer exists" not in printed
    place.step_functions().runs = harness.run_steps
    assert "1 of 1 succeeded" in run("replay", batch.batch_id, "--apply")[1]


def raising(error: Exception) -> Callable[[Batch], Any]:
    def run(_: Batch) -> Any:
        raise error

    return run


# --- archived ---------------------------------------------------------------------------------------------------------


def archived(place: Place, storage_class: Any = "GLACIER") -> Batch:
    """A file in an archive storage class, which failed."""
    s3_utils.client().put_object(Bucket=harness.INGEST, Key=KEY, Body=GOOD, StorageClass=storage_class)
    head = s3_utils.storage().head(harness.INGEST, KEY)
    assert head is not None
    source = harness.Source(harness.INGEST, KEY, head["VersionId"], len(GOOD), head["ETag"].strip('"'), "")
    batch = harness.plan(source)
    place.start(batch)
    return batch


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_file_fails_with_its_own_error(place: Place, storage_class: str) -> None:
    batch = archived(place, storage_class)
    record = json.loads(harness.get(batch.failure_key(batch.batch_id)))
    assert record["error"] == SourceArchivedError.__name__
    assert record["cause"] == f"{batch.source.uri} is archived: S3 returns it only after it is restored."
    assert "restore-object" in record["next_step"]


def test_replay_waits_for_the_restore_as_explain_says(place: Place, run: Run) -> None:
    batch = archived(place)
    printed = run("explain", batch.batch_id)[1]
    assert "Restore the object in S3 (aws s3api restore-object)" in printed
    assert "The source is archived. Restore it, then run the batch again." in printed
    assert json.loads(run_json(run, batch))["is_source_archived"] is True
    status, printed = run("replay", batch.batch_id, "--apply")
    assert (status, place.step_functions().started) == (0, [])
    assert "archived: restore it in S3 first" in printed
    restore: Any = {"Days": 1}
    s3_utils.client().restore_object(
        Bucket=harness.INGEST, Key=KEY, VersionId=batch.source.version_id, RestoreRequest=restore
    )
    assert "The source is archived" not in run("explain", batch.batch_id)[1]
    assert "1 of 1 succeeded" in run("replay", batch.batch_id, "--apply")[1]


def run_json(run: Run, batch: Batch) -> str:
    return run("explain", batch.batch_id, "--json")[1]


def test_backfill_skips_an_archived_file_and_explain_gives_the_reason(place: Place, run: Run) -> None:
    s3_utils.client().put_object(Bucket=harness.INGEST, Key=KEY, Body=GOOD, StorageClass="GLACIER")
    assert "archived: restore it in S3 first" in run("backfill", "--apply")[1]
    assert "Its source is archived: restore it in S3 first" in run("explain", KEY)[1]


@pytest.mark.parametrize(
    ("head", "is_archived"),
    [
        ({}, False),
        ({"StorageClass": "GLACIER"}, True),
        ({"StorageClass": "DEEP_ARCHIVE"}, True),
        ({"StorageClass": "GLACIER_IR"}, False),
        ({"StorageClass": "STANDARD_IA"}, False),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="true"'}, True),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="x"'}, False),
        ({"StorageClass": "INTELLIGENT_TIERING"}, False),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"}, True),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "DEEP_ARCHIVE_ACCESS"}, True),
    ],
)
def test_a_head_says_whether_an_object_is_archived(head: dict[str, str], is_archived: bool) -> None:
    assert s3_utils.is_archived_head(head) is is_archived
