"""Batches with more history than usual: many replays, revisions, versions and log lines."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.common import s3_utils
from functions.common.batch import Batch, batch_id_for, failure_key
from pipeline.inspect.batch_history import assemble, batch_executions, collect_history, events, lookup
from pipeline.inspect.batch_history.model import Revision
from pipeline.recover import restarts, undelivered
from tests import documents, harness
from tests.integration.deployed import Place, end, execution_called, patience
from tests.integration.test_explain import GOOD, KEY, crashed, hopeless, published
from tests.integration.test_logs import CloudWatchLogs
from tests.unit import histories
from tests.unit.orders import lines, order


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(undelivered, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(restarts, "patience", patience)
    return Place()


def failure_of(batch: Batch, execution: str) -> None:
    """Write the failure record of an execution that Step Functions no longer lists."""
    record = documents.failure_record(
        error="TransientError", cause="", next_step="Wait.", source=batch.source, ingested_at=batch.ingested_at
    )
    key = failure_key("orders", batch.batch_id, execution)
    s3_utils.storage().put_bytes(harness.PROCESSED, key, record.to_bytes())


def revision(batch: Batch, number: int) -> str:
    return batch_id_for("orders", batch.source.bucket, batch.source.key, batch.source.version_id, number)


# --- executions -------------------------------------------------------------------------------------------------------


def test_replays_are_in_the_order_of_their_numbers(place: Any) -> None:
    batch = hopeless(place)
    names = [batch.batch_id, *(f"{batch.batch_id}-replay-{number}" for number in (2, 10))]
    for name in names[1:]:
        failure_of(batch, name)
    assert list(batch_executions.failures_of(place, "orders", batch.batch_id)) == names
    assert [one.name for one in collect_history(place, batch.batch_id).executions] == names


def test_a_replay_is_found_after_one_that_aws_has_deleted(place: Any) -> None:
    batch = crashed(place)
    failure_of(batch, f"{batch.batch_id}-replay-1")
    place.step_functions().runs = lambda _: None  # it leaves no record
    place.start(batch, f"{batch.batch_id}-replay-2")
    found = collect_history(place, batch.batch_id).executions
    assert [(one.replay, one.is_forgotten) for one in found] == [(0, False), (1, True), (2, False)]


def test_only_the_steps_of_the_latest_executions_are_read(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_executions, "MAX_HISTORIES", 1)
    batch = crashed(place)
    place.start(batch, f"{batch.batch_id}-replay-1")
    for name in (batch.batch_id, f"{batch.batch_id}-replay-1"):
        place.step_functions().histories[name] = histories.troubled()
    assert [bool(one.steps) for one in collect_history(place, batch.batch_id).executions] == [False, True]


def test_a_batch_has_ended_only_if_all_its_executions_have(place: Any) -> None:
    batch = crashed(place)
    end(batch.batch_id, "FAILED", ago=timedelta(hours=2))
    first = batch_executions.last_end(place, "orders", batch.batch_id)
    assert first is not None
    assert timedelta(minutes=119) < datetime.now(UTC) - first < timedelta(minutes=121)
    place.start(batch, f"{batch.batch_id}-replay-1")
    end(f"{batch.batch_id}-replay-1", "FAILED", ago=timedelta(hours=1))
    assert batch_executions.last_end(place, "orders", batch.batch_id) > first  # type: ignore[operator]
    end(f"{batch.batch_id}-replay-1", "RUNNING")
    execution_called(f"{batch.batch_id}-replay-1").stop_date = None
    assert batch_executions.last_end(place, "orders", batch.batch_id) is None
    assert batch_executions.last_end(place, "orders", "orders-" + "0" * 32) is None


# --- queue and log ----------------------------------------------------------------------------------------------------


def test_messages_that_were_seen_do_not_count_as_hidden(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    about = SimpleNamespace(about="x", event={}, sent=datetime.now(UTC), function="starter")
    monkeypatch.setattr(undelivered, "waiting", lambda _: 3)
    monkeypatch.setattr(undelivered, "peek", lambda _: iter([(about, "why"), (about, "why")]))
    found, hidden = events.queued(place, "", "", {"x"})
    assert ([one.error for one in found], hidden) == (["why", "why"], 1)
    assert events.queued(place, "", "", {"y"}) == ([], 1)
    monkeypatch.setattr(undelivered, "waiting", lambda _: 1)
    assert events.queued(place, "", "", {"x"})[1] == 0, "SQS only estimates how many wait"


@pytest.mark.parametrize(("n_pages", "is_whole"), [(10, True), (11, False)])
def test_a_log_of_events_is_read_for_ten_pages(n_pages: int, is_whole: bool) -> None:
    log, uploaded = CloudWatchLogs(page=1), datetime(2026, 1, 1, tzinfo=UTC)
    log.events["starter"] = []
    for number in range(n_pages):
        event = "execution_known" if number else "execution_started"
        log.write("starter", uploaded + timedelta(seconds=number), message="about a file", event=event, batch_id="mine")
    place: Any = SimpleNamespace(logs=lambda: log, outputs=lambda: {"log_group_names": {"starter": "starter"}})
    found, whole = events.logged_events(place, "mine", uploaded + timedelta(minutes=1))
    assert [one.started for one in found] == [True, *[False] * 9], "an event may come a minute before S3's own time"
    assert whole is is_whole


def test_a_log_line_that_only_names_a_batch_does_not_belong_to_its_event() -> None:
    log, uploaded = CloudWatchLogs(), datetime(2026, 1, 1, tzinfo=UTC)
    log.events["starter"] = []
    log.write("starter", uploaded, message="x", event="execution_started", batch_id="other", corrects="mine")
    place: Any = SimpleNamespace(logs=lambda: log, outputs=lambda: {"log_group_names": {"starter": "starter"}})
    assert events.logged_events(place, "mine", uploaded) == ([], True)


# --- versions and revisions -------------------------------------------------------------------------------------------


def test_no_version_of_a_deleted_key_is_current(place: Any) -> None:
    published(place)
    place.s3().delete_object(Bucket=harness.INGEST, Key=KEY)
    story = collect_history(place, KEY)
    assert (story.is_deleted, [version.is_current for version in story.versions]) == (True, [False])
    published(place)
    story = collect_history(place, KEY)
    assert (story.is_deleted, [version.is_current for version in story.versions]) == (False, [True, False])


def test_a_revision_is_listed_under_its_version(place: Any) -> None:
    batch = published(place)
    second = revision(batch, 2)
    place.start(Batch.from_input({**batch.to_input(), "batch_id": second}), second)
    story = collect_history(place, second)
    assert [version.is_this for version in story.versions] == [True]
    assert [one.number for one in story.revisions if one.is_read] == [2]


def test_a_revision_is_found_whose_first_one_is_gone(place: Any) -> None:
    batch = published(place)
    second = revision(batch, 2)
    place.start(Batch.from_input({**batch.to_input(), "batch_id": second}), second)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    forgotten = execution_called(batch.batch_id)
    forgotten.name, forgotten.execution_arn = "forgotten", "arn:forgotten"
    assert [one.number for one in collect_history(place, second).revisions] == [2]


def test_a_story_shows_the_published_revision_or_else_the_latest() -> None:
    failed = [Revision(number, f"r{number}", "failed", is_read=False) for number in (1, 2, 3)]
    assert assemble._of_readers(failed) == "r3"
    assert assemble._of_readers([failed[0], Revision(2, "r2", "published", is_read=True), failed[2]]) == "r2"
    assert assemble._of_readers([]) is None


def test_the_file_of_rejects_includes_superseded_records(place: Any) -> None:
    batch = place.process(lines([order()] * 3))
    [rejects] = [one for one in collect_history(place, batch.batch_id).outputs if one.table == "rejects"]
    assert rejects.rows == 2


class Versions:
    """S3's listing of one key's versions, in pages of two."""

    def __init__(self, *keys: str) -> None:
        self._listed = [
            {"Key": key, "VersionId": str(at), "Size": 1, "LastModified": datetime.now(UTC)}
            for at, key in enumerate(keys)
        ]
        self.pages = 0

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(self, **_: Any) -> Any:
        for at in range(0, len(self._listed), 2):
            self.pages += 1
            yield {"Versions": self._listed[at : at + 2]}


@pytest.mark.parametrize(
    ("keys", "found", "pages"),
    [(["k"] * 9, 3, 2), (["k"] * 2, 2, 1), (["k", "k", "kk", "kk", "kk"], 2, 2), (["k"] * 3 + ["kk"] * 4, 3, 2)],
)
def test_versions_of_a_key_are_listed_as_far_as_needed(
    monkeypatch: pytest.MonkeyPatch, keys: list[str], found: int, pages: int
) -> None:
    monkeypatch.setattr(lookup, "_MAX_VERSIONS", 3)
    s3 = Versions(*keys)
    place: Any = SimpleNamespace(s3=lambda: s3, outputs=lambda: {"ingest_bucket": "i"})
    assert [one.version_id for one in lookup.versions_of(place, "k")] == [str(at) for at in range(found)]
    assert s3.pages == pages


def test_a_deleted_key_does_not_affect_another_with_the_same_prefix(place: Any) -> None:
    published(place)
    place.upload(GOOD, "x.jsonl.gz.jsonl")
    place.s3().delete_object(Bucket=harness.INGEST, Key=f"{KEY}.gz.jsonl")
    assert not lookup.is_deleted(place, KEY)
