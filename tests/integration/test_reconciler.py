"""The reconciler: the state that it derives for each version from the objects and executions, and its action."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from functions.common import s3_utils
from functions.common.batch import Batch, replay_name
from functions.common.batch_state import BatchState, Finding, Patience, Pipeline, survey, versions
from functions.common.errors import TransientError
from functions.reconciler import index as reconciler
from tests import harness
from tests.integration.deployed import CHUNK_BYTES, MACHINE, Place, end, execution_called
from tests.unit.orders import lines, order

GOOD, HOPELESS = lines([order()]), b"{}\n" * 5
AGES = timedelta(days=1)


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    monkeypatch.setenv("RECORD_FAILURE_ARN", "record-failure")
    monkeypatch.setattr(reconciler, "_lambda", lambda: place.functions)
    monkeypatch.setattr(reconciler, "_pipeline", lambda: pipeline(place))
    return place


def pipeline(place: Place) -> Pipeline:
    step_functions: Any = place.step_functions()
    return Pipeline(
        s3_utils.Storage(place.s3()), step_functions, harness.INGEST, harness.PROCESSED, MACHINE, CHUNK_BYTES
    )


def surveyed(place: Place, grace: timedelta = timedelta(0), **selection: Any) -> list[Finding]:
    now = datetime.now(UTC) + timedelta(seconds=1)
    return list(survey(pipeline(place), now - AGES, Patience(now, grace), **selection))


def published(place: Place) -> Batch:
    return place.process(GOOD)


def failed(place: Place) -> Batch:
    return place.process(HOPELESS)


def missing(place: Place) -> Batch:
    return place.upload(GOOD)


def running(place: Place, ago: timedelta = timedelta(0)) -> Batch:
    batch = place.upload(GOOD)
    place.step_functions().runs = lambda _: None
    place.start(batch)
    end(batch.batch_id, "RUNNING", ago=ago)
    return batch


def stuck(place: Place) -> Batch:
    return running(place, timedelta(hours=4))


def ended(place: Place, status: str, ago: timedelta = timedelta(minutes=20)) -> Batch:
    batch = running(place)
    end(batch.batch_id, status, ago=ago)
    return batch


def not_notified(place: Place) -> Batch:
    """Recorded by the state machine; its notification and EventBridge's event were lost."""
    place.step_functions().notify = lambda _: None  # type: ignore[method-assign]
    batch = failed(place)
    end(batch.batch_id, "FAILED", ago=timedelta(minutes=20))
    return batch


def forgotten(place: Place) -> Batch:
    """A batch that failed more than 90 days ago: Step Functions no longer has the execution."""
    batch = failed(place)
    execution_called(batch.batch_id).name = "forgotten"
    execution_called("forgotten").execution_arn += "-forgotten"
    return batch


def replayed(place: Place, status: str) -> Batch:
    batch = failed(place)
    place.step_functions().runs = lambda _: None
    place.start(batch, replay_name(batch.batch_id, 1))
    end(replay_name(batch.batch_id, 1), status, ago=timedelta(minutes=20))
    return batch


def published_by_a_replay(place: Place) -> Batch:
    batch = place.upload(GOOD)
    place.step_functions().runs = _fail_once(place)
    place.start(batch)
    place.start(batch, replay_name(batch.batch_id, 1))
    return batch


def _fail_once(place: Place) -> Callable[[Batch], Any]:
    def fail(_: Batch) -> None:
        place.step_functions().runs = harness.run_steps
        raise TransientError("S3 is away")

    return fail


@pytest.mark.parametrize(
    ("happened", "state", "replays"),
    [
        (published, BatchState.PUBLISHED, 0),
        (failed, BatchState.FAILED, 0),
        (missing, BatchState.MISSING, 0),
        (running, BatchState.RUNNING, 0),
        (stuck, BatchState.STUCK, 0),
        (lambda place: ended(place, "TIMED_OUT"), BatchState.NOT_NOTIFIED, 0),
        (lambda place: ended(place, "ABORTED"), BatchState.NOT_NOTIFIED, 0),
        (lambda place: ended(place, "FAILED"), BatchState.NOT_NOTIFIED, 0),
        (lambda place: ended(place, "SUCCEEDED"), BatchState.LOST, 0),
        (not_notified, BatchState.NOT_NOTIFIED, 0),
        (forgotten, BatchState.FAILED, 0),
        (lambda place: replayed(place, "RUNNING"), BatchState.RUNNING, 1),
        (lambda place: replayed(place, "ABORTED"), BatchState.NOT_NOTIFIED, 1),
        (published_by_a_replay, BatchState.PUBLISHED, 0),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_state_of_a_version_is_derived_from_its_traces(
    place: Place, happened: Callable[[Place], Batch], state: BatchState, replays: int
) -> None:
    batch = happened(place)
    [finding] = surveyed(place)
    assert (finding.batch_id, finding.dataset, finding.state) == (batch.batch_id, "orders", state)
    assert finding.replays == replays
    assert finding.version is not None
    assert (finding.version.key, finding.version.version_id) == (batch.source.key, batch.source.version_id)


def test_an_execution_that_has_just_ended_may_still_be_notified(place: Place) -> None:
    batch = ended(place, "ABORTED")
    now = datetime.now(UTC) + timedelta(minutes=16)  # then the file is old enough
    for minutes_before, state in ((1, BatchState.RUNNING), (20, BatchState.NOT_NOTIFIED)):
        end(batch.batch_id, "ABORTED", ago=timedelta(minutes=minutes_before - 16))
        [finding] = survey(pipeline(place), now - AGES, Patience(now, timedelta(minutes=15)))
        assert finding.state is state


def test_a_survey_is_limited_to_its_window_and_prefix(place: Place) -> None:
    for name in ("a.jsonl", "a.jsonl.gz", "b.jsonl"):
        place.upload(GOOD, name)
    harness.upload(b"", "", "incoming/orders/folder/")
    s3_utils.client().put_object(Bucket=harness.INGEST, Key="elsewhere/x.json", Body=b"")
    keys = [finding.version.key for finding in surveyed(place) if finding.version]
    assert keys == [f"incoming/orders/{name}" for name in ("a.jsonl", "a.jsonl.gz", "b.jsonl")]
    assert len(surveyed(place, key="incoming/orders/a.jsonl")) == 1
    assert len(surveyed(place, prefix="incoming/orders/a")) == 2
    assert surveyed(place, grace=timedelta(minutes=5)) == [], "a young version may still be on its way"


def test_every_version_of_a_key_is_found_even_under_a_delete_marker(place: Place) -> None:
    batches = {place.upload(data).batch_id for data in (GOOD, HOPELESS, GOOD)}
    s3_utils.client().delete_object(Bucket=harness.INGEST, Key="incoming/orders/x.jsonl")
    assert {finding.batch_id for finding in surveyed(place)} == batches
    assert len(list(versions(pipeline(place)))) == 3


def test_versions_on_several_pages_are_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        place.upload(GOOD, f"{number:02d}.jsonl")
    listing = place.s3().get_paginator("list_object_versions")
    monkeypatch.setattr(
        place.s3(),
        "get_paginator",
        lambda _: type(
            "Paged", (), {"paginate": lambda _, **a: listing.paginate(**a, PaginationConfig={"PageSize": 7})}
        )(),
    )
    monkeypatch.setattr("functions.common.batch_state._AT_ONCE", 10)
    assert [finding.version.key[-8:-6] for finding in surveyed(place) if finding.version] == [
        f"{number:02d}" for number in range(25)
    ]


# --- the function -----------------------------------------------------------------------------------------------------


def run(**event: Any) -> dict[str, int]:
    answer = reconciler.handler({"since_hours": 24, "grace_minutes": 0, **event})
    return {state: number for state, number in answer.items() if number}


def tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance the clock by a second, because S3's times have no fractions."""
    later = datetime.now(UTC) + timedelta(seconds=1)
    clock = type("Clock", (datetime,), {"now": classmethod(lambda _, zone: later.astimezone(zone))})
    monkeypatch.setattr(reconciler, "datetime", clock)


def test_a_version_whose_event_never_came_is_started(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = missing(place)
    tick(monkeypatch)
    assert run() == {"missing": 1}
    assert place.step_functions().started == [batch.batch_id]
    assert harness.manifest(batch)["counts"]["published"] == 1
    assert run() == {"published": 1}
    assert place.step_functions().started == [batch.batch_id], "the second run finds nothing to do"


def test_an_event_that_arrives_after_the_reconciler_started_the_batch_changes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = missing(place)
    tick(monkeypatch)
    run()
    before = harness.get(batch.manifest_key)
    record = {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {
            "bucket": {"name": harness.INGEST},
            "object": {
                "key": batch.source.key,
                "versionId": batch.source.version_id,
                "size": batch.source.size,
                "eTag": "e",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
    assert place.functions.handlers["starter"]({"Records": [record]}) == {"started": 0, "known": 1, "ignored": 0}
    assert harness.get(batch.manifest_key) == before


@pytest.mark.parametrize(
    ("happened", "error"),
    [(lambda place: ended(place, "ABORTED"), "ExecutionAborted"), (not_notified, "NoValidRecordsError")],
)
def test_a_failure_without_a_notification_is_recorded_and_notified_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, happened: Any, error: str
) -> None:
    batch = happened(place)
    tick(monkeypatch)
    monkeypatch.setattr("functions.record_failure.index._was_notified", lambda _: False)
    assert run() == {"untold": 1}
    assert run() == {"failed": 1}
    [notification] = notifications()
    assert batch.batch_id in notification[1]
    assert error in notification[1]


@pytest.mark.parametrize("happened", [stuck, lambda place: ended(place, "SUCCEEDED")])
def test_a_batch_that_needs_manual_recovery_is_counted_for_the_alarm(
    place: Place, happened: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any
) -> None:
    batch = happened(place)
    tick(monkeypatch)
    capsys.readouterr()
    run()
    printed = capsys.readouterr().out
    assert '"BatchesUnaccounted":[1.0]' in printed
    assert '"Dimensions":[["service"]]' in printed
    assert batch.batch_id in [getattr(record, "batch_id", None) for record in caplog.records]


def test_nothing_is_written_by_the_reconciler_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(place)
    tick(monkeypatch)
    monkeypatch.setattr(place.step_functions(), "runs", lambda _: None)
    run()
    assert harness.keys() == []


def test_a_version_that_is_deleted_meanwhile_is_skipped(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(place)
    tick(monkeypatch)
    monkeypatch.setattr(reconciler, "plan", lambda *_: None)
    assert run() == {"missing": 1}
    assert place.step_functions().started == []


def test_a_throttled_listing_is_transient(place: Place) -> None:
    with Stubber(place.s3()) as stubber:
        stubber.add_client_error("list_object_versions", service_error_code="SlowDown", http_status_code=503)
        with pytest.raises(TransientError, match="ListObjectVersions"):
            run()


# --- what must not hide anything --------------------------------------------------------------------------------------


def test_a_version_that_cannot_be_read_does_not_stop_the_reconciler(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    poison, other = place.upload(GOOD, "a.jsonl"), place.upload(GOOD, "b.jsonl")
    tick(monkeypatch)
    head = place.s3().head_object

    def fail(**arguments: Any) -> Any:
        if poison.batch_id in arguments["Key"]:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "HeadObject")
        return head(**arguments)

    monkeypatch.setattr(place.s3(), "head_object", fail)
    assert run() == {"unknown": 1, "missing": 1}
    assert place.step_functions().started == [other.batch_id]
    assert '"BatchesUnaccounted":[1.0]' in capsys.readouterr().out


def test_a_version_that_cannot_be_started_does_not_stop_the_reconciler(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    poison, other = place.upload(GOOD, "a.jsonl"), place.upload(GOOD, "b.jsonl")
    tick(monkeypatch)
    start = place.step_functions().start_execution

    def fail(**arguments: Any) -> Any:
        if arguments["name"] == poison.batch_id:
            raise ClientError({"Error": {"Code": "InvalidName"}}, "StartExecution")
        return start(**arguments)

    monkeypatch.setattr(place.step_functions(), "start_execution", fail)
    assert run() == {"missing": 2}
    assert place.step_functions().started == [other.batch_id]
    assert '"BatchesUnaccounted":[1.0]' in capsys.readouterr().out


def test_a_published_batch_whose_notification_was_not_sent_is_notified(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = published(place)
    end(batch.batch_id, "FAILED", "SNS.NotFound", ago=timedelta(minutes=20))  # NoticeNotSent
    tick(monkeypatch)
    monkeypatch.setattr("functions.record_failure.index._was_notified", lambda _: False)
    run()
    run()
    assert len(notifications()) == 1
    assert "was published, but a step after that failed" in notifications()[0][2]


def test_a_revision_without_a_notification_is_notified(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = published(place)
    revised = replace(batch, batch_id=f"{batch.batch_id}-r2", revision=2)
    place.step_functions().runs = lambda _: None
    place.start(revised)
    end(revised.batch_id, "TIMED_OUT", ago=timedelta(minutes=20))
    tick(monkeypatch)
    monkeypatch.setattr("functions.record_failure.index._was_notified", lambda _: False)
    assert run() == {"published": 1}
    assert revised.batch_id in notifications()[0][1]


def notifications() -> list[Any]:
    """The notifications, as moto keeps them."""
    topic = sns_backends[DEFAULT_ACCOUNT_ID][harness.REGION].topics[harness.ENVIRONMENT["TOPIC_ARN"]]
    return list(topic.sent_notifications)


def test_a_record_of_an_earlier_release_counts_as_notified(place: Place) -> None:
    batch = failed(place)
    key = batch.failure_key(batch.batch_id)
    record = json.loads(harness.get(key))
    del record["notified_by"]
    s3_utils.storage().put_bytes(harness.PROCESSED, key, json.dumps(record).encode())
    [finding] = surveyed(place)
    assert finding.state is BatchState.FAILED


def test_a_replay_does_not_touch_the_staging_of_the_previous_run(place: Place) -> None:
    batch = failed(place)
    before = {key: harness.get(key) for key in harness.keys("staging/")}
    place.step_functions().runs = harness.run_steps
    place.start(batch, replay_name(batch.batch_id, 1))
    after = {key: harness.get(key) for key in harness.keys("staging/")}
    assert {key: after[key] for key in before} == before
    assert len(after) > len(before)
