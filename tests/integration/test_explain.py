"""explain and rejects: their output for every outcome of a file, and the next step that they advise."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from functions.common import executions, s3_utils
from functions.common.batch import Batch, batch_id_for, printable
from functions.common.errors import ContractError, PipelineError
from functions.record_failure import index as record_failure
from pipeline import cli
from pipeline.inspect import explain_commands
from pipeline.inspect import show_batch as show_story
from pipeline.inspect.batch_history import Outcome, assemble, collect_history
from pipeline.inspect.batch_history.lookup import look_up
from pipeline.recover import commands as recovery_commands
from pipeline.recover import undelivered
from tests import harness
from tests.integration.deployed import MACHINE, Place, end, execution_called, run_command, use_place
from tests.unit import histories
from tests.unit.orders import lines, order

GOOD, HOPELESS = lines([order()]), b"{}\n" * 5
MIXED = lines([*(order(order_id=str(number)) for number in range(1, 12)), order(order_id="12", total_amount=1)])
KEY = "incoming/orders/x.jsonl"
Run = Callable[..., tuple[int, str, str]]
LONG_AGO = timedelta(hours=4)


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    use_place(place, monkeypatch, explain_commands, recovery_commands)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command. Returns its exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        return run_command(monkeypatch, capsys, *arguments)

    return run


def failing_with(place: Place, error: PipelineError) -> None:
    """Let every run from now on fail with an error."""

    def fail(_: Batch) -> None:
        raise error

    place.step_functions().runs = fail


# --- every way that a file can go -------------------------------------------------------------------------------------


def published(place: Place) -> Batch:
    return place.process(GOOD)


def partly_rejected(place: Place) -> Batch:
    return place.process(MIXED)


def hopeless(place: Place) -> Batch:
    return place.process(HOPELESS)


def crashed(place: Place) -> Batch:
    crash = type("Runtime.ExitError", (PipelineError,), {})
    failing_with(place, crash("RequestId: 1 Error: Runtime exited with error: exit status 1"))
    return place.process(GOOD)


def crashed_and_erased(place: Place) -> Batch:
    batch = crashed(place)
    place.s3().delete_object(Bucket=harness.INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    return batch


def not_notified(place: Place) -> Batch:
    place.step_functions().notify = lambda _: None  # type: ignore[method-assign]
    batch = crashed(place)
    end(batch.batch_id, "FAILED", ago=timedelta(minutes=20))
    return batch


def running(place: Place) -> Batch:
    batch = crashed(place)
    end(batch.batch_id, "RUNNING")
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.failure_key(batch.batch_id))
    return batch


def stuck(place: Place) -> Batch:
    batch = running(place)
    end(batch.batch_id, "RUNNING", ago=LONG_AGO)
    return batch


def event_of(batch: Batch) -> dict[str, Any]:
    source = {"key": batch.source.key, "size": 1, "eTag": "e", "versionId": batch.source.version_id, "sequencer": "1"}
    record = {"bucket": {"name": batch.source.bucket}, "object": source}
    time = "2026-01-01T00:00:00.000Z"
    return {"Records": [{"eventName": "ObjectCreated:Put", "eventTime": time, "s3": record}]}


def queue(place: Place, event: dict[str, Any], error: str = "AccessDenied") -> None:
    """Put an event into the failed-event queue."""
    message = {
        "requestContext": {"functionArn": "arn:aws:lambda:eu-central-1:1:function:starter:live"},
        "requestPayload": event,
        "responsePayload": {"errorType": "ClientError", "errorMessage": error},
    }
    boto3.client("sqs").send_message(QueueUrl=place.outputs()["on_failure_queue_url"], MessageBody=json.dumps(message))


def waiting(place: Place) -> Batch:
    batch = place.upload(GOOD)
    queue(place, event_of(batch))
    queue(place, event_of(place.upload(GOOD, "another.jsonl")), "something else")
    return batch


def never_started(place: Place) -> Batch:
    return place.upload(GOOD)


def lost(place: Place) -> Batch:
    batch = published(place)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    end(batch.batch_id, "SUCCEEDED", ago=LONG_AGO)
    return batch


def gone(place: Place) -> Batch:
    batch = lost(place)
    place.s3().delete_object(Bucket=harness.INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    return batch


def failed_and_erased(place: Place) -> Batch:
    batch = not_notified(place)
    place.s3().delete_object(Bucket=harness.INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.failure_key(batch.batch_id))
    return batch


def notification_not_sent(place: Place) -> Batch:
    batch = published(place)
    failure = {"Error": "SNS.NotFoundException", "Cause": "Topic does not exist"}
    record_failure.handler({"batch": batch.to_input(), "execution": batch.batch_id, "failure": failure})
    end(batch.batch_id, "FAILED", "SNS.NotFoundException")
    return batch


SEND = "replay --rejects FILE --apply"
WAYS: list[tuple[Callable[[Place], Batch], Outcome, str, list[str]]] = [
    (published, Outcome.PUBLISHED, "Published: 1 of 1.", []),
    (
        partly_rejected,
        Outcome.PARTLY_REJECTED,
        "Published: 11 of 12.",
        ["rejects BATCH", SEND],
    ),
    (hopeless, Outcome.FAILED, "NoValidRecordsError: The file has no valid records. Rejected: 5 (", ["rejects BATCH"]),
    (crashed, Outcome.FAILED, "Runtime exited with error", ["replay BATCH --apply", "logs BATCH"]),
    (crashed_and_erased, Outcome.FAILED, "the batch can't be replayed. Upload the file again", ["logs BATCH"]),
    (not_notified, Outcome.FAILED, "No notification", ["replay BATCH --apply", "logs BATCH", "reconcile --apply"]),
    (running, Outcome.RUNNING, "The execution is running.", ["watch"]),
    (stuck, Outcome.STUCK, "start a new, empty emulator", []),
    (waiting, Outcome.WAITING, "ClientError: AccessDenied", ["redrive --apply"]),
    (never_started, Outcome.NOT_STARTED, "it has no execution", ["replay BATCH --apply"]),
    (lost, Outcome.LOST, "its manifest was deleted", ["replay BATCH --apply"]),
    (gone, Outcome.GONE, "deleted or have expired", []),
    (failed_and_erased, Outcome.GONE, "deleted or have expired", []),
    (notification_not_sent, Outcome.PUBLISHED, "A later step failed: SNS.NotFoundException", []),
]


@pytest.mark.parametrize(
    ("way", "outcome", "sentence", "commands"), WAYS, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_outcome_is_shown_with_its_reason_and_the_next_command(
    place: Place, run: Run, way: Callable[[Place], Batch], outcome: Outcome, sentence: str, commands: list[str]
) -> None:
    batch = way(place)
    status, out, _ = run("explain", batch.batch_id)
    assert status == 0, "that a file failed is no failure of the command"
    assert out.startswith(outcome.upper())
    assert sentence in out
    named = [f"pipeline {command} --target local".replace("BATCH", batch.batch_id) for command in commands]
    assert [line.strip() for line in out.splitlines() if line.startswith("    pipeline ")] == named
    shown = json.loads(run("explain", batch.batch_id, "--json")[1])
    assert (shown["outcome"], shown["batch_id"]) == (outcome, batch.batch_id)
    assert [action["command"] for action in shown["actions"] if action["command"]] == named
    assert ("Nothing needs to be done." in out) == (not shown["actions"])


def test_every_suggested_command_exists(place: Place) -> None:
    known = {command.name for command in cli.app.registered_commands}
    named = {word.split()[0] for *_, commands in WAYS for word in commands}
    assert named <= known


# --- names of a batch -------------------------------------------------------------------------------------------------


def test_a_batch_is_found_by_each_of_its_names(place: Place) -> None:
    batch = partly_rejected(place)
    arn = executions.execution_arn(MACHINE, batch.batch_id)
    for what in (
        batch.batch_id,
        f"{batch.batch_id}-replay-3",
        arn,
        f"https://console/states/home?region=x#/v2/executions/details/{arn}",
        KEY,
        f" {KEY} ",
        f"{KEY}?versionId={batch.source.version_id}",
        f"s3://{harness.INGEST}/{KEY}",
        f"s3://{harness.INGEST}/{KEY}?versionId={batch.source.version_id}",
        f"s3://{harness.PROCESSED}/{batch.manifest_key}",
        f"s3://{harness.PROCESSED}/{batch.csv_key('items')}",
        batch.rejected_key,
    ):
        assert look_up(place, what).batch_id == batch.batch_id  # type: ignore[arg-type]


def test_an_execution_with_another_name_is_found_by_its_input(place: Place) -> None:
    batch = place.upload(GOOD)
    place.start(batch, "by-hand")
    assert look_up(place, "by-hand").batch_id == batch.batch_id  # type: ignore[arg-type]
    shown = collect_history(place, "by-hand")  # type: ignore[arg-type]
    assert [(one.name, one.is_forgotten) for one in shown.executions] == [("by-hand", False)]


@pytest.mark.parametrize("name", ["x.jsonl ", "x?versionId=1.jsonl", "arn:x:execution:y.jsonl"])
def test_keys_with_unusual_characters_are_found(place: Place, name: str) -> None:
    place.upload(GOOD, name.strip() if name.endswith(" ") else "other.jsonl")
    batch = place.upload(GOOD, name)
    for what in (f"incoming/orders/{name}", f"s3://{harness.INGEST}/incoming/orders/{name}"):
        assert look_up(place, what).batch_id == batch.batch_id  # type: ignore[arg-type]


def test_no_replay_is_suggested_for_a_lost_batch_without_its_source(place: Place, run: Run) -> None:
    batch = crashed(place)
    place.step_functions().runs = harness.run_steps
    place.start(batch, f"{batch.batch_id}-replay-1")
    end(f"{batch.batch_id}-replay-1", "SUCCEEDED", ago=LONG_AGO)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    place.s3().delete_object(Bucket=harness.INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    shown = collect_history(place, batch.batch_id)  # type: ignore[arg-type]
    assert shown.outcome is Outcome.LOST
    assert [action.command for action in shown.actions] == [""]


def test_a_failure_after_the_commit_without_a_notification_says_what_to_do(place: Place, run: Run) -> None:
    batch = notification_not_sent(place)
    end(batch.batch_id, "FAILED", "SNS.NotFoundException", ago=timedelta(minutes=20))
    printed = run("explain", batch.batch_id)[1]
    assert "Every record is accounted for." not in printed
    assert "pipeline reconcile --apply" in printed


def test_emoji_codes_in_keys_are_shown_as_text(place: Place, run: Run) -> None:
    place.process(GOOD, "a:100:b:key:.jsonl")
    assert "incoming/orders/a:100:b:key:.jsonl" in run("explain", "incoming/orders/a:100:b:key:.jsonl")[1]


def test_a_long_queue_is_read_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is not deleted becomes visible again."""
    for number in range(5):
        queue(place, {"Records": []}, str(number))
    monkeypatch.setattr(undelivered, "_PEEK_SECONDS", 0)
    assert sorted(error for _, error in undelivered.peek(place)) == [f"ClientError: {n}" for n in range(5)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("x.jsonl", "isn't a key, a batch or an execution"),
        (" ", "No file or batch was given."),
        ("tests/data/x.jsonl", "isn't a key, a batch or an execution"),
        ("nonsense", "There is no batch and no execution nonsense"),
        ("orders-" + "0" * 32, "There is no batch"),
        ("orders-" + "0" * 32 + "-r99999999", "There is no batch"),
        ("incoming/orders/none.jsonl", "There is no file incoming/orders/none.jsonl"),
        ("incoming/", "There is no file incoming/"),
        (f"{KEY}?versionId=v9", "There is no version v9"),
        ("s3://elsewhere/x", "isn't in a bucket of this deployment"),
        ("s3://", "isn't in a bucket of this deployment"),
        (f"s3://{harness.PROCESSED}/tables/x", "does not belong to a batch"),
        ("arn:aws:states:eu-central-1:1:execution:other:orders-1", "isn't an execution of this deployment"),
        ("foreign", "The pipeline didn't start the execution foreign"),
    ],
)
def test_a_name_that_matches_nothing_is_explained_with_a_next_step(
    place: Place, run: Run, what: str, sentence: str
) -> None:
    place.step_functions()._client.start_execution(stateMachineArn=MACHINE, name="foreign", input='{"a": 1}')
    for command in ("explain", "rejects"):
        status, out, err = run(command, what)
        assert (status, out) == (2, ""), err
        assert sentence in err
        assert "next:" in err


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_a_key_s_versions_are_listed_with_their_states(place: Place, run: Run) -> None:
    batches = [hopeless(place), published(place), partly_rejected(place)]
    shown = collect_history(place, KEY)  # type: ignore[arg-type]
    assert shown.batch_id == batches[2].batch_id, "a key is its newest version"
    found = [(version.batch_id, version.state, version.is_current, version.is_this) for version in shown.versions]
    assert found == [
        (batches[2].batch_id, "published", True, True),
        (batches[1].batch_id, "published", False, False),
        (batches[0].batch_id, "failed", False, False),
    ]
    out = run("explain", batches[0].batch_id)[1]
    assert f"{batches[2].batch_id}  published (current)" in out
    assert f"{batches[0].batch_id}  failed (this one)" in out
    place.s3().delete_object(Bucket=harness.INGEST, Key=KEY)
    assert "the key is deleted, but its versions are not" in run("explain", KEY)[1]


def test_versions_of_other_keys_with_the_same_prefix_are_not_listed(place: Place) -> None:
    batch = published(place)
    place.process(GOOD, "x.jsonl.gz.jsonl")
    shown = collect_history(place, KEY)  # type: ignore[arg-type]
    assert [version.batch_id for version in shown.versions] == [batch.batch_id]


def test_a_replayed_batch_has_both_executions(place: Place, run: Run) -> None:
    batch = crashed(place)
    place.step_functions().runs = harness.run_steps
    run("replay", batch.batch_id, "--apply")
    shown = collect_history(place, batch.batch_id)  # type: ignore[arg-type]
    assert [(one.replay, one.status) for one in shown.executions] == [(0, "FAILED"), (1, "SUCCEEDED")]
    assert (shown.outcome, shown.failed) == (Outcome.PUBLISHED, None)
    out = run("explain", KEY)[1]
    assert out.startswith("PUBLISHED")
    assert "Replay 1: SUCCEEDED" in out
    assert "Runtime.ExitError" in out, "the first execution's end is part of the story"


def test_a_republished_batch_is_shown_in_the_revision_that_readers_get(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = published(place)
    place.deploy("new", monkeypatch)
    run("replay", KEY, "--republish", "--apply")
    second = batch_id_for("orders", batch.source.bucket, KEY, batch.source.version_id, 2)
    shown = collect_history(place, KEY)  # type: ignore[arg-type]
    assert (shown.batch_id, shown.revision) == (second, 2)
    assert [(one.batch_id, one.is_read) for one in shown.revisions] == [(batch.batch_id, False), (second, True)]
    out = run("explain", batch.batch_id)[1]
    assert f"readers get another revision: {second}" in out
    assert f"{second}  published (readers get this one)" in out


def test_the_log_shows_the_event_duplicates_and_missing_events(place: Place, run: Run) -> None:
    batch = published(place)
    place.log("starter", "x", event="execution_started", batch_id=batch.batch_id)
    place.log("starter", "x", event="execution_known", batch_id=batch.batch_id)
    place.log("starter", "x", event="execution_known", batch_id="orders-of-another")
    place.log("starter", f"not a line of ours about {batch.batch_id}")
    out = run("explain", KEY)[1]
    assert out.count("S3's event arrived; the starter started the execution") == 1
    assert out.count("S3's event arrived again, and started nothing") == 1
    other = place.process(GOOD, "found.jsonl")
    place.log("reconciler", "x", level="WARNING", event="execution_started", batch_id=other.batch_id)
    assert "S3's event never arrived, so the reconciler found the file" in run("explain", other.batch_id)[1]


def test_messages_in_use_are_reported_as_hidden(place: Place, run: Run) -> None:
    batch = waiting(place)
    boto3.client("sqs").receive_message(QueueUrl=place.outputs()["on_failure_queue_url"], MaxNumberOfMessages=10)
    out = run("explain", batch.batch_id)[1]
    assert out.startswith("NOT STARTED")
    assert "Not looked up: About 2 messages of the failed-event queue are in use" in out


def test_a_history_is_shown_without_logs_that_can_t_be_read(place: Place, run: Run) -> None:
    published(place)
    place.logs().delete_log_group(logGroupName="starter")
    status, out, _ = run("explain", KEY)
    assert status == 0
    assert "Not looked up: The log of events can't be read (ResourceNotFoundException)." in out


def test_each_step_is_shown_with_its_tries(place: Place, run: Run) -> None:
    batch = partly_rejected(place)
    place.step_functions().histories[batch.batch_id] = histories.troubled()
    out = run("explain", KEY)[1]
    shown = [line.strip() for line in out.splitlines()]
    assert "00:00:06.064  Write  succeeded, 0.34 s" in shown
    assert "2 chunks: 2 succeeded" in shown
    assert "Transform, chunk 0, try 1: timed out after 1.00 s: States.Timeout" in shown
    assert "not reached: NoticeNotSent, DescribeFailure, RecordFailure, NotifyFailure, Failed" in shown


def test_an_execution_that_aws_has_deleted_is_shown_from_its_records(place: Place, run: Run) -> None:
    batch = crashed(place)
    execution = execution_called(batch.batch_id)
    execution.name, execution.execution_arn = "forgotten", "arn:forgotten"
    status, out, _ = run("explain", KEY)
    assert (status, "AWS deleted its history" in out) == (0, True)
    assert "Runtime.ExitError" in out


def test_an_expired_file_of_rejects_is_reported_as_expired(place: Place, run: Run) -> None:
    batch = partly_rejected(place)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.rejected_key)
    for command in ("explain", "rejects"):
        status, out, _ = run(command, KEY)
        assert (status, "The file of rejects no longer exists" in out) == (0, True)


def test_a_changed_file_of_rejects_is_an_error(place: Place, run: Run) -> None:
    batch = partly_rejected(place)
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.rejected_key, b"mine\n")
    status, _, err = run("rejects", KEY)
    assert (status, "isn't a file of rejects" in err, "next:" in err) == (1, True, True)


def test_versions_of_the_contract_and_unknown_fields_are_shown(place: Place, run: Run) -> None:
    many = [order(order_id=str(number)) for number in range(11)]
    batch = place.process(lines([*many, order(order_id="odd", loyalty=7)]))
    out = run("explain", batch.batch_id)[1]
    assert "version 1: valid 11, rejected 1" in out
    assert "/loyalty: 1 record of version 1: the record was rejected" in out
    balance = json.loads(run("explain", batch.batch_id, "--json")[1])["balance"]
    assert balance["records_by_version"] == {"1": {"valid": 11, "rejected": 1}}
    assert balance["drift"] == [{"contract_version": 1, "field": "/loyalty", "records": 1, "dropped": False}]


def test_a_manifest_of_a_release_without_versions_is_shown(place: Place, run: Run) -> None:
    batch = published(place)
    content = harness.manifest(batch)
    del content["records_by_version"], content["drift"]
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.manifest_key, json.dumps(content).encode())
    assert run("explain", KEY)[1].startswith("PUBLISHED")


def test_the_manifest_gives_the_numbers_of_a_long_file_of_rejects(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "_REJECT_BYTES", 0)
    place.process(lines([order()] * 30), "again.jsonl")
    out = run("explain", "incoming/orders/again.jsonl")[1]
    assert "superseded 29\n" in out
    assert "The first 1 of these (pipeline rejects reads all of them)" in out
    assert "29 × superseded" in run("rejects", "incoming/orders/again.jsonl")[1]


# --- rejects ----------------------------------------------------------------------------------------------------------


def test_rejects_are_shown_by_rule_with_places_and_hidden_values(place: Place, run: Run) -> None:
    partly_rejected(place)
    status, out, _ = run("rejects", KEY)
    assert status == 0
    assert "1 × total_mismatch at /total_amount" in out
    assert "Vins et alcools" not in out
    assert '"name": "<text:25>"' in out
    assert "To show them, use --show-values." in out
    assert "Vins et alcools" in run("rejects", KEY, "--show-values")[1]
    assert "<text" not in run("rejects", KEY, "--samples", "0")[1]
    shown = json.loads(run("rejects", KEY, "--json")[1])
    assert [(group["reason"], group["count"]) for group in shown["rejects"]["groups"]] == [("total_mismatch", 1)]


@pytest.mark.parametrize(
    ("way", "sentence"),
    [(published, "no record was rejected"), (crashed, "Runtime.ExitError"), (never_started, "is missing")],
)
def test_a_batch_without_rejects_says_why(place: Place, run: Run, way: Callable[[Place], Batch], sentence: str) -> None:
    batch = way(place)
    status, out, _ = run("rejects", batch.batch_id)
    assert (status, sentence in out) == (0, True)
    assert json.loads(run("rejects", batch.batch_id, "--json")[1])["rejects"] is None


# --- hostile strings -------------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07\x9b2J[red]boo[/red] [/] \u202e\r\n"


@pytest.mark.parametrize("json_", [(), ("--json",)])
def test_hostile_strings_are_shown_as_text(place: Place, run: Run, json_: tuple[str, ...]) -> None:
    failing_with(place, ContractError(HOSTILE))
    name = "[bold]x[/bold][/]\u202egnp.jsonl"
    batch = place.process(GOOD, name)
    place.step_functions().runs = harness.run_steps
    bad = {**order(order_id="y"), HOSTILE: HOSTILE, "status": HOSTILE}
    rejecting = place.process(lines([*(order(order_id=str(number)) for number in range(11)), bad]))
    shown = [
        run("explain", batch.batch_id, *json_),
        run("explain", rejecting.batch_id, *json_),
        run("rejects", rejecting.batch_id, "--show-values", *json_),
    ]
    for status, out, err in shown:
        assert status == 0, err
        text = "".join(out.split("\n"))
        assert printable(text) == text, "the output has a character that controls the terminal"
        assert "owned" in out or "bold" in out
    if not json_:
        assert "[bold]x[/bold][/]" in shown[0][1], "markup is text"
        assert all("[red]boo[" in out for _, out, _ in shown)
    status, _, err = run("explain", HOSTILE)
    assert (status, "\x1b" in err, "[red]boo[/red]" in err) == (2, False, True)


def test_a_key_that_moto_cannot_list_is_shown_as_text(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """moto's listings can't hold such a key; S3's can."""
    batch = published(place)
    shown = collect_history(place, batch.batch_id)  # type: ignore[arg-type]
    assert shown.source is not None
    capsys.readouterr()
    show_story.history(replace(shown, source=replace(shown.source, key=HOSTILE, version_id=HOSTILE, etag=HOSTILE)))
    text = "".join(capsys.readouterr().out.split("\n"))
    assert printable(text) == text
    assert text.count("[red]boo[/red] [/]") == 3
