"""Automatic recovery, and recovery with a command, on the embedded AWS, deployed with the real Terraform."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from functions.common.batch import batch_id_for, replay_name
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from pipeline.deploy.processed_bucket import read_document
from pipeline.recover import outputs
from pipeline.run import runs
from tests.e2e.conftest import Pipeline, event_of, wait_for
from tests.e2e.northwind import LINES

Command = Callable[..., tuple[int, str]]


def upload(pipeline: Pipeline, data: bytes, name: str) -> runs.Upload:
    path = pipeline.folder / name
    path.write_bytes(data)
    return runs.upload(pipeline.place, path, "orders")


def manifest(pipeline: Pipeline, batch_id: str) -> Manifest | None:
    return read_document(pipeline.place, Manifest, f"manifests/orders/{batch_id}.json")


@contextmanager
def broken(pipeline: Pipeline, function: str) -> Iterator[None]:
    """A release in which a function has no permission except to log."""
    iam, role = pipeline.place.client("iam"), pipeline.place.outputs()["function_names"][function]
    before = iam.get_role_policy(RoleName=role, PolicyName="permissions")["PolicyDocument"]
    nothing = {"Effect": "Deny", "Action": ["s3:*", "states:*"], "Resource": "*"}
    iam.put_role_policy(
        RoleName=role,
        PolicyName="permissions",
        PolicyDocument=json.dumps({**before, "Statement": [*before["Statement"], nothing]}),
    )
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="permissions", PolicyDocument=json.dumps(before))


@contextmanager
def no_events(pipeline: Pipeline) -> Iterator[None]:
    """S3 drops every event."""
    s3, bucket = pipeline.place.s3(), pipeline.place.outputs()["ingest_bucket"]
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    configuration.pop("ResponseMetadata", None)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def test_an_event_that_the_starter_cannot_handle_waits_in_the_queue_until_redrive(
    pipeline: Pipeline, command: Command
) -> None:
    with broken(pipeline, "starter"):
        uploaded = upload(pipeline, LINES[0], "waiting.json")
        queue, url = pipeline.place.client("sqs"), pipeline.place.outputs()["on_failure_queue_url"]

        def depth() -> int:
            attributes = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

        wait_for(lambda: depth() == 1, "the event in the failed-event queue")
        assert pipeline.executions(uploaded.batch_id) == []
    status, printed = command("redrive", "--apply")
    assert (status, "handled" in printed) == (0, True), printed
    assert pipeline.end_of(uploaded).published
    assert command("redrive") == (0, "The queue is empty.\n")


def test_the_alarm_on_the_failed_event_queue_names_redrive(pipeline: Pipeline) -> None:
    cloudwatch, place = pipeline.place.client("cloudwatch"), pipeline.place
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=place.outputs()["name"])["MetricAlarms"]
    [alarm] = [each for each in alarms if each["MetricName"] == "ApproximateNumberOfMessagesVisible"]
    queue = place.outputs()["on_failure_queue_url"].split("/")[-1]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": queue}]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert "redrive" in alarm["AlarmDescription"]


def test_the_reconciler_starts_a_version_whose_event_was_dropped(pipeline: Pipeline) -> None:
    with no_events(pipeline):
        uploaded = upload(pipeline, LINES[0], "dropped.json")
        time.sleep(1.1)  # S3's times have no fractions, and the newest are skipped
    assert pipeline.executions(uploaded.batch_id) == []
    response = pipeline.place.client("lambda").invoke(
        FunctionName=pipeline.place.outputs()["function_names"]["reconciler"],
        Qualifier="live",
        Payload=json.dumps({"since_hours": 1, "grace_minutes": 0}),
    )
    found = json.loads(response["Payload"].read())
    assert (found["missing"], found["stuck"], found["lost"]) == (1, 0, 0), found
    assert pipeline.end_of(uploaded).published


def test_replay_publishes_a_batch_that_failed_under_a_bad_release(pipeline: Pipeline, command: Command) -> None:
    with broken(pipeline, "write"):
        outcome = pipeline.run(LINES[0], "unlucky.json")
    assert outcome.failure is not None
    assert (outcome.error, outcome.published) == ("AccessDenied", False)
    batch_id = outcome.upload.batch_id
    assert len(pipeline.notifications(batch_id, expected=1)) == 1
    status, printed = command("replay", batch_id)
    assert (status, manifest(pipeline, batch_id)) == (0, None), "a dry run starts nothing"
    status, printed = command("replay", batch_id, "--apply")
    assert (status, "1 of 1 succeeded." in printed) == (0, True), printed
    assert [run["status"] for run in pipeline.executions(replay_name(batch_id, 1))] == ["SUCCEEDED"]
    published = manifest(pipeline, batch_id)
    assert published is not None
    assert published.counts.published == 1
    assert len(pipeline.notifications(batch_id, expected=1)) == 1, "a replay that succeeds sends no notification"


def test_corrected_rejects_are_published_as_a_batch_of_their_own(pipeline: Pipeline, command: Command) -> None:
    wrong = LINES[0].replace(b'"total_amount":472.38', b'"total_amount":472.39')
    outcome = pipeline.run(b"\n".join([*LINES[1:20], wrong]), "corrected.jsonl")
    rejects = pipeline.tables(outcome)["rejects.jsonl"]
    path = pipeline.folder / "corrected-rejects.jsonl"
    path.write_bytes(rejects.read_bytes().replace(b'"total_amount":472.39', b'"total_amount":472.38'))
    status, printed = command("replay", "--rejects", str(path), "--apply")
    assert status == 0, printed
    batch_id = printed.split("batch ")[-1].strip().rstrip(".")
    wait_for(lambda: manifest(pipeline, batch_id) is not None, f"the manifest of {batch_id}")
    published = manifest(pipeline, batch_id)
    assert published is not None
    assert (published.counts.published, published.source.corrects) == (1, outcome.upload.batch_id)


def test_republish_skips_a_batch_that_the_deployed_release_published(pipeline: Pipeline, command: Command) -> None:
    outcome = pipeline.run(LINES[0], "republished.json")
    status, printed = command("replay", outcome.upload.batch_id, "--republish", "--apply")
    assert status == 0
    assert "already published by the deployed release" in printed


def test_reconcile_reports_only_the_orphan_and_prunes_it(
    pipeline: Pipeline, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = pipeline.run(b"{}\n{}", "accounted.jsonl")
    assert outcome.failure is not None
    wait_for(lambda: notified_by(pipeline, outcome) is not None, "the sender of the notification in the failure record")
    orphan = f"tables/orders/orders/ingest_date={outcome.failure.ingested_at[:10]}/{outcome.upload.batch_id}.parquet"
    bucket = pipeline.place.outputs()["processed_bucket"]
    pipeline.place.s3().put_object(Bucket=bucket, Key=orphan, Body=b"x")
    status, printed = command("reconcile", "--since", "1d", "--grace", "0m", "--apply", "--prune")
    assert status == 0, printed
    assert f"orphan: {orphan} (no manifest names it; kept because it is new" in printed
    assert "0 missing, 0 not notified, 0 lost, 0 unknown" in printed
    monkeypatch.setattr(outputs, "_YOUNG", timedelta(0))
    status, printed = command("reconcile", "--since", "1d", "--grace", "0m", "--apply", "--prune")
    assert (status, "Deleted 1 output" in printed) == (0, True), printed
    assert "orphan" not in command("reconcile", "--since", "1d", "--grace", "0m", "--digests")[1]


def notified_by(pipeline: Pipeline, outcome: runs.RunResult) -> str | None:
    """The sender of the notification about a failure, from its failure record."""
    batch_id = outcome.upload.batch_id
    record = read_document(pipeline.place, FailureRecord, f"failures/orders/{batch_id}/{batch_id}.json")
    assert record is not None
    return record.notified_by


def test_an_erased_batch_leaves_no_version_of_anything(pipeline: Pipeline, command: Command) -> None:
    outcome = pipeline.run(b"\n".join([*LINES[:15], b"{}"]), "erased.jsonl")
    batch_id = outcome.upload.batch_id
    record = f"runs/orders/{batch_id}/{batch_id}.json"
    wait_for(lambda: record in everything(pipeline), record)  # what is written after an erasure would stay
    assert command("erase", batch_id)[0] == 0
    assert batch_id in "".join(everything(pipeline))
    status, printed = command("erase", batch_id, "--apply")
    assert (status, printed.splitlines()[-1]) == (0, "Erased."), printed
    left = [key for key in everything(pipeline) if batch_id in key or "erased.jsonl" in key]
    assert left == []


def everything(pipeline: Pipeline) -> list[str]:
    """The keys of every version in both buckets."""
    keys = []
    for name in ("ingest_bucket", "processed_bucket"):
        bucket = pipeline.place.outputs()[name]
        pages = pipeline.place.s3().get_paginator("list_object_versions").paginate(Bucket=bucket)
        keys += [v["Key"] for page in pages for v in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]
    return keys


def test_ten_concurrent_deliveries_of_an_event_and_a_later_one_start_one_execution(pipeline: Pipeline) -> None:
    with no_events(pipeline):
        uploaded = upload(pipeline, LINES[0], "ten times.json")
    event = event_of(uploaded, size=len(LINES[0]))

    def deliver(_: int) -> dict[str, int]:
        response = pipeline.place.client("lambda").invoke(
            FunctionName=pipeline.place.outputs()["function_names"]["starter"], Qualifier="live", Payload=event
        )
        counts: dict[str, int] = json.loads(response["Payload"].read())
        return counts

    with ThreadPoolExecutor(3) as pool:  # the emulator runs each concurrent call in a process
        counts_of_calls = list(pool.map(deliver, range(10)))
    assert pipeline.end_of(uploaded).published
    counts_of_calls.append(deliver(0))
    assert sum(response["started"] for response in counts_of_calls) == 1
    assert len(pipeline.executions(uploaded.batch_id)) == 1


def test_a_key_that_is_overwritten_starts_a_second_batch(pipeline: Pipeline) -> None:
    first = upload(pipeline, LINES[0], "again.json")
    second = upload(pipeline, LINES[1], "again.json")
    assert first.batch_id != second.batch_id
    outcomes = [pipeline.end_of(uploaded) for uploaded in (first, second)]
    assert all(outcome.published for outcome in outcomes)
    sources = [outcome.manifest.source for outcome in outcomes if outcome.manifest]
    assert sources[0].version_id != sources[1].version_id
    assert sources[0].sequencer < sources[1].sequencer, "readers order the versions by it"
    expected = batch_id_for("orders", first.bucket, first.key, second.version_id)
    assert second.batch_id == expected


@pytest.mark.parametrize("arguments", [["replay"], ["erase", "orders-" + "0" * 32], ["redrive", "--now"]])
def test_a_command_with_wrong_arguments_exits_with_2(command: Command, arguments: list[str]) -> None:
    status, _ = command(*arguments)
    assert status == 2
