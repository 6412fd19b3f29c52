"""replay, backfill, reconcile, redrive and erase: what each starts, prints and returns, and that it can be repeated."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.common import s3_utils
from functions.common.batch import Batch, batch_id_for, replay_name, run_key
from functions.common.errors import ContractError
from pipeline.recover import commands as recovery_commands
from pipeline.recover import outputs
from tests import harness
from tests.integration.deployed import Place, end, execution_called, run_command, use_place
from tests.unit.orders import lines, order

GOOD, HOPELESS = lines([order()]), b"{}\n" * 5
MIXED = lines([*(order(order_id=str(number)) for number in range(1, 12)), order(order_id="12", total_amount=1)])
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    use_place(place, monkeypatch, recovery_commands)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command. Returns its exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        place.step_functions().started.clear()
        status, out, err = run_command(monkeypatch, capsys, *arguments)
        printed = "\n".join(line for line in out.splitlines() if not line.startswith("{"))
        return status, printed, err

    return run


def bad_release(place: Place) -> None:
    """Break transform's SQL from now on."""

    def fail(_: Batch) -> None:
        raise ContractError("The contract's SQL failed on these records (BinderException).")

    place.step_functions().runs = fail


def good_release(place: Place) -> None:
    place.step_functions().runs = harness.run_steps


# --- replay -----------------------------------------------------------------------------------------------------------


def failed_by_release(place: Place, name: str = "x.jsonl", folder: str = "incoming/orders/") -> Batch:
    bad_release(place)
    batch = place.process(GOOD, name, folder)
    good_release(place)
    return batch


@pytest.mark.parametrize("by", ["batch", "key", "prefix", "failed"])
def test_a_failed_batch_is_replayed_under_a_new_name_with_the_same_outputs(place: Place, run: Run, by: str) -> None:
    batch = failed_by_release(place)
    selection = {
        "batch": [batch.batch_id],
        "key": [batch.source.key],
        "prefix": ["--prefix", "incoming/orders/x"],
        "failed": ["--failed", "--since", "1d"],
    }[by]
    status, out, _ = run("replay", *selection)
    name = replay_name(batch.batch_id, 1)
    assert (status, place.step_functions().started) == (0, []), "without --apply nothing is started"
    assert name in out
    assert "1 execution would start. To start, add --apply." in out
    status, out, _ = run("replay", *selection, "--apply")
    assert (status, place.step_functions().started) == (0, [name])
    assert "1 of 1 succeeded." in out
    assert harness.manifest(batch)["batch_id"] == batch.batch_id
    before = harness.get(batch.manifest_key)
    status, out, _ = run("replay", *selection, "--apply")
    assert (status, place.step_functions().started) == (0, []), "what is published is not started again"
    assert harness.get(batch.manifest_key) == before


def test_a_replay_that_fails_again_is_reported_and_can_be_replayed_again(place: Place, run: Run) -> None:
    batch = failed_by_release(place)
    bad_release(place)
    for number in (1, 2):
        status, out, _ = run("replay", "--failed", "--apply")
        assert (status, place.step_functions().started) == (1, [replay_name(batch.batch_id, number)])
        assert "ContractError" in out
        assert "0 of 1 succeeded." in out
    good_release(place)
    assert run("replay", "--failed", "--apply")[0] == 0
    assert place.step_functions().started == [replay_name(batch.batch_id, 3)]


def test_only_failed_batches_are_replayed_and_the_others_are_named(place: Place, run: Run) -> None:
    failed = failed_by_release(place, "failed.jsonl")
    place.process(GOOD, "published.jsonl")
    never = place.upload(GOOD, "never.jsonl")
    _, out, _ = run("replay", "--prefix", "incoming/orders", "--apply")
    assert sorted(place.step_functions().started) == sorted([replay_name(failed.batch_id, 1), never.batch_id])
    assert "published" in out


def test_a_batch_that_aws_has_forgotten_is_replayed_from_its_record(place: Place, run: Run) -> None:
    batch = failed_by_release(place)
    execution = execution_called(batch.batch_id)
    execution.name, execution.execution_arn = "forgotten", "arn:forgotten"
    assert run("replay", batch.batch_id, "--apply")[0] == 0
    assert harness.manifest(batch)["source"] == {**batch.to_input()["source"], "sequencer": ""}


def test_a_running_batch_is_not_replayed(place: Place, run: Run) -> None:
    batch = failed_by_release(place)
    end(batch.batch_id, "RUNNING")
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.failure_key(batch.batch_id))
    status, out, _ = run("replay", batch.batch_id, "--apply")
    assert (status, place.step_functions().started) == (0, [])
    assert "running" in out


def test_a_batch_that_was_aborted_just_now_waits_for_its_functions(place: Place, run: Run) -> None:
    batch = failed_by_release(place)
    end(batch.batch_id, "ABORTED", ago=timedelta(minutes=5))
    status, out, _ = run("replay", batch.batch_id, "--apply")
    assert (status, place.step_functions().started) == (0, [])
    assert "stopped just now" in out
    end(batch.batch_id, "ABORTED", ago=timedelta(minutes=17))
    assert run("replay", batch.batch_id, "--apply")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing is selected. Give BATCH|KEY, --failed, --prefix, --republish or --rejects."),
        (["orders-" + "0" * 32, "--failed"], "--failed can't be combined with BATCH|KEY."),
        (["--prefix", "orders/"], "--prefix can't be orders/"),
        (["incoming/orders/no-such-file"], "There is no file incoming/orders/no-such-file"),
        (["orders-" + "0" * 32, "--since", "1d"], "--since can't be combined with BATCH|KEY."),
        (["--failed", "--release", "x"], "--release requires --republish."),
        (["--failed", "--since", "99999999d"], "--since can't be 99999999d"),
        (["orders-1"], "orders-1 isn't a batch or a key"),
        (["--failed", "--since", "yesterday"], "--since can't be yesterday"),
        (["--failed", "--since", "2026-01-01"], "a time with a time zone"),
        (["--rejects", "no-such-file"], "There is no file no-such-file"),
        (["orders-" + "0" * 32], "There is no batch"),
    ],
)
def test_a_wrong_selection_is_explained(run: Run, arguments: list[str], message: str) -> None:
    status, _, err = run("replay", *arguments)
    assert status == 2
    assert message in err
    assert "next:" in err


# --- republish --------------------------------------------------------------------------------------------------------


def test_a_bad_release_is_published_again_as_the_next_revision(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.process(GOOD, "a.jsonl")
    second = place.process(GOOD, "b.jsonl")
    place.deploy("next", monkeypatch)
    assert run("replay", "--republish")[0] == 0
    assert place.step_functions().started == []
    status, _, _ = run("replay", "--republish", "--apply")
    revisions = [batch_id_for("orders", harness.INGEST, b.source.key, b.source.version_id, 2) for b in (first, second)]
    assert (status, sorted(place.step_functions().started)) == (0, sorted(revisions))
    for batch, revised in zip((first, second), revisions, strict=True):
        before, after = harness.manifest(batch), json.loads(harness.get(f"manifests/orders/{revised}.json"))
        assert (after["revision"], after["source"]) == (2, before["source"])
        assert (before["release"], after["release"]) == ("test", "next")
        assert after["counts"] == before["counts"]
    assert "already published by the deployed release" in run("replay", "--republish", "--apply")[1]
    assert place.step_functions().started == [], "what the deployed release published is not published again"


def test_republishing_continues_where_it_was_interrupted(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [place.process(GOOD, name) for name in ("a.jsonl", "b.jsonl")]
    place.deploy("next", monkeypatch)
    steps = harness.run_steps

    def interrupted(batch: Batch) -> Any:
        if batch.source.key.endswith("b.jsonl"):
            raise ContractError("The SQL failed.")
        return steps(batch)

    place.step_functions().runs = interrupted
    assert run("replay", "--republish", "--apply")[0] == 1
    good_release(place)
    assert run("replay", "--republish", "--apply")[0] == 0
    assert place.step_functions().started == [f"{batches[1].batch_id}-r2-replay-1"], "taken up, not counted up"


def test_a_revision_aborted_just_now_is_not_republished_yet(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = place.process(GOOD)
    place.deploy("next", monkeypatch)
    bad_release(place)
    run("replay", "--republish", "--apply")
    good_release(place)
    end(f"{batch.batch_id}-r2", "ABORTED", ago=timedelta(minutes=1))
    status, out, _ = run("replay", "--republish", "--apply")
    assert (status, place.step_functions().started) == (0, [])
    assert "stopped just now" in out


def test_only_batches_of_the_named_release_are_published_again(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.process(GOOD, "good.jsonl")
    place.deploy("bad", monkeypatch)
    bad = place.process(GOOD, "bad.jsonl")
    place.deploy("next", monkeypatch)
    assert run("replay", "--republish", "--release", "bad", "--apply")[0] == 0
    assert place.step_functions().started == [f"{bad.batch_id}-r2"]


# --- corrected rejects ------------------------------------------------------------------------------------------------


def rejects_of(place: Place, tmp_path: Path) -> tuple[Batch, Path, list[dict[str, Any]]]:
    batch = place.process(MIXED)
    return batch, tmp_path / "rejects.jsonl", harness.rejects(batch)


def write(path: Path, rejects: list[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(json.dumps(reject).encode() + b"\n" for reject in rejects))


def test_corrected_rejects_are_a_new_batch_that_names_the_one_it_corrects(
    place: Place, run: Run, tmp_path: Path
) -> None:
    batch, path, rejects = rejects_of(place, tmp_path)
    [reject] = rejects
    reject["record"]["total_amount"] = order()["total_amount"]
    write(path, rejects)
    assert "1 corrected record of" in run("replay", "--rejects", str(path))[1]
    assert len(list_ingest()) == 1, "a dry run sends nothing"
    status, out, _ = run("replay", "--rejects", str(path), "--apply")
    assert status == 0
    key = next(key for key in list_ingest() if "/corrections/" in key)
    assert key in out
    assert run("backfill", "--apply")[0] == 0, "on moto no event starts it"
    [name] = place.step_functions().started
    corrected = json.loads(harness.get(f"manifests/orders/{name}.json"))
    assert name in out or corrected["batch_id"] == name
    assert corrected["source"]["corrects"] == batch.batch_id
    assert corrected["counts"]["published"] == 1
    assert harness.manifest(batch)["source"]["corrects"] == ""
    status, out, _ = run("replay", "--rejects", str(path), "--apply")
    assert status == 0
    assert "were sent before" in out
    assert len(list_ingest()) == 2


def list_ingest() -> list[str]:
    return [found["Key"] for found in s3_utils.client().list_objects_v2(Bucket=harness.INGEST)["Contents"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda reject: reject.pop("record") and reject.update(raw="{half"), "Line 1 isn't a reject with a corrected"),
        (lambda reject: reject.pop("batch_id"), "Line 1 isn't a reject"),
        (lambda reject: reject.update(reason="superseded"), "no record to send"),
        (lambda reject: reject.update(batch_id="orders-" + "0" * 32), "This deployment has no batch orders-000"),
    ],
)
def test_a_correction_that_can_t_be_sent_is_explained(
    place: Place, run: Run, tmp_path: Path, change: Any, message: str
) -> None:
    _, path, rejects = rejects_of(place, tmp_path)
    change(rejects[0])
    write(path, rejects)
    status, _, err = run("replay", "--rejects", str(path), "--apply")
    assert status in (1, 2)
    assert message in err


def test_rejects_of_two_batches_are_sent_separately(place: Place, run: Run, tmp_path: Path) -> None:
    _, path, rejects = rejects_of(place, tmp_path)
    write(path, [rejects[0], rejects[0] | {"batch_id": "orders-" + "0" * 32}])
    assert "rejects of 2 batches" in run("replay", "--rejects", str(path), "--apply")[2]


# --- backfill ---------------------------------------------------------------------------------------------------------


def test_backfill_starts_what_was_never_started_and_nothing_else(place: Place, run: Run) -> None:
    place.process(GOOD, "published.jsonl")
    failed_by_release(place, "failed.jsonl")
    batches = [place.upload(GOOD, f"{number}.jsonl") for number in range(3)]
    assert run("backfill")[0] == 0
    assert place.step_functions().started == []
    status, out, _ = run("backfill", "--apply", "--prefix", "incoming/orders/")
    assert (status, place.step_functions().started) == (0, [batch.batch_id for batch in batches])
    assert "3 of 3 succeeded." in out
    assert run("backfill", "--apply")[:2] == (0, "There is nothing to start.")


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_backfill_runs_no_more_executions_at_a_time_than_allowed(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    names = [place.upload(GOOD, f"{number}.jsonl").batch_id for number in range(7)]
    place.step_functions().runs = lambda _: None
    most, running = 0, set()
    real, start = place.step_functions()._client, place.step_functions().start_execution

    def started(**arguments: Any) -> Any:
        nonlocal most
        listing = start(**arguments)
        end(arguments["name"], "RUNNING")
        running.add(arguments["name"])
        most = max(most, len(running))
        return listing

    def described(**arguments: Any) -> Any:
        listing = real.describe_execution(**arguments)
        if listing["status"] == "RUNNING":
            running.discard(listing["name"])
            end(listing["name"], "SUCCEEDED")  # so it has ended before the next request
        return listing

    monkeypatch.setattr(place.step_functions(), "start_execution", started)
    monkeypatch.setattr(place.step_functions(), "describe_execution", described, raising=False)
    assert run("backfill", "--apply", "--concurrency", str(concurrency))[0] == 0
    assert most == min(concurrency, len(names))


def test_an_interrupted_backfill_reports_it_and_continues_when_repeated(place: Place, run: Run) -> None:
    batches = [place.upload(GOOD, f"{number}.jsonl") for number in range(3)]

    def interrupt(batch: Batch) -> Any:
        if batch.batch_id == batches[1].batch_id:
            raise KeyboardInterrupt
        return harness.run_steps(batch)

    place.step_functions().runs = interrupt
    status, _, err = run("backfill", "--apply", "--concurrency", "1")
    assert status == 130
    assert "run the command again" in err
    end(batches[1].batch_id, "SUCCEEDED")
    harness.run_steps(batches[1])
    good_release(place)
    assert run("backfill", "--apply")[0] == 0
    assert place.step_functions().started == [batches[2].batch_id]


# --- reconcile --------------------------------------------------------------------------------------------------------


def test_reconcile_lists_missing_files_and_starts_them(place: Place, run: Run) -> None:
    place.process(GOOD, "published.jsonl")
    never = place.upload(GOOD, "never.jsonl")
    status, out, _ = run("reconcile", "--grace", "0m")
    assert (status, place.step_functions().started) == (1, [])
    assert "2 files: 1 published, 0 failed, 0 running, 0 stuck, 1 missing, 0 not notified, 0 lost" in out
    assert "incoming/orders/never.jsonl" in out
    status, _, _ = run("reconcile", "--grace", "0m", "--apply")
    assert (status, place.step_functions().started) == (0, [never.batch_id])
    assert run("reconcile", "--grace", "0m")[0] == 0


def test_reconcile_does_not_restart_a_failed_file(place: Place, run: Run) -> None:
    place.process(HOPELESS)
    status, out, _ = run("reconcile", "--grace", "0m", "--apply")
    assert (status, place.step_functions().started) == (0, [])
    assert "1 failed" in out


def test_reconcile_records_a_failure_that_left_nothing(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = failed_by_release(place)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.failure_key(batch.batch_id))
    end(batch.batch_id, "TIMED_OUT", ago=timedelta(minutes=5))
    monkeypatch.setattr("functions.record_failure.index._was_notified", lambda _: False)
    status, out, _ = run("reconcile", "--grace", "0m")
    assert status == 1
    assert "1 not notified" in out
    assert f"no notification was sent of the failed execution {batch.batch_id}" in out
    assert run("reconcile", "--grace", "0m", "--apply")[0] == 0
    assert "1 failed" in run("reconcile", "--grace", "0m")[1]


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object in the bucket is older than any function that may still write."""
    monkeypatch.setattr(outputs, "_YOUNG", timedelta(0))


@pytest.mark.usefixtures("old")
def test_reconcile_finds_orphans_and_prunes_them_only_on_request(place: Place, run: Run) -> None:
    batch, mixed = place.process(GOOD, "good.jsonl"), place.process(MIXED, "mixed.jsonl")
    hopeless = place.process(HOPELESS, "hopeless.jsonl")
    published = harness.keys("tables/") + harness.keys("processed/") + harness.keys("rejected/")
    orphan = hopeless.parquet_key("orders")
    half = batch.csv_key("items").replace("items.csv", "later.csv")
    for key in (orphan, half):
        s3_utils.storage().put_bytes(harness.PROCESSED, key, b"x")
    status, out, _ = run("reconcile", "--grace", "0m")
    assert status == 0, "an orphan is no loss"
    assert sorted(line for line in out.splitlines() if line.startswith(("orphan", "damaged"))) == [
        f"orphan: {half} (no manifest names it)",
        f"orphan: {orphan} (no manifest names it)",
    ]
    run("reconcile", "--grace", "0m", "--apply")
    assert orphan in harness.keys("tables/"), "only --prune deletes"
    assert "Deleted 2 outputs" in run("reconcile", "--grace", "0m", "--apply", "--prune")[1]
    assert harness.keys("tables/") + harness.keys("processed/") + harness.keys("rejected/") == published
    assert mixed.rejected_key in published
    assert hopeless.rejected_key in published, "the failure record names them"


def lost(place: Place) -> Batch:
    batch = place.process(MIXED)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    end(batch.batch_id, "SUCCEEDED", ago=timedelta(minutes=20))
    return batch


def not_notified(place: Place) -> Batch:
    place.step_functions().notify = lambda _: None  # type: ignore[method-assign]
    batch = place.process(HOPELESS)
    end(batch.batch_id, "FAILED", ago=timedelta(minutes=20))
    return batch


def aborted(place: Place) -> Batch:
    batch = failed_by_release(place)
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.parquet_key("orders"), b"x")
    end(batch.batch_id, "ABORTED", ago=timedelta(minutes=5))
    return batch


def foreign(place: Place) -> Batch:
    batch = place.upload(GOOD)
    place.s3().delete_object(Bucket=harness.INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.parquet_key("orders"), b"x")
    return batch


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("happened", [lost, not_notified, aborted, foreign])
def test_outputs_that_may_be_the_only_copy_are_never_pruned(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, happened: Callable[[Place], Batch]
) -> None:
    happened(place)
    monkeypatch.setattr("functions.record_failure.index._was_notified", lambda _: True)
    before = harness.keys("tables/") + harness.keys("processed/") + harness.keys("rejected/")
    assert before
    run("reconcile", "--grace", "0m", "--apply", "--prune")
    assert harness.keys("tables/") + harness.keys("processed/") + harness.keys("rejected/") == before


@pytest.mark.usefixtures("old")
def test_outputs_published_between_check_and_prune_are_kept(place: Place) -> None:
    batch = failed_by_release(place)
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.parquet_key("orders"), b"x")
    since = datetime.now(UTC) - timedelta(days=1)
    [checked] = outputs.check_outputs(place, since, datetime.now(UTC) + timedelta(seconds=1))  # type: ignore[arg-type]
    assert checked.orphans == (batch.parquet_key("orders"),)
    place.start(batch, replay_name(batch.batch_id, 1))
    assert outputs.prune(place, checked) == ()  # type: ignore[arg-type]
    assert batch.parquet_key("orders") in harness.keys("tables/")


def test_prune_cannot_be_combined_with_prefix(run: Run) -> None:
    status, _, err = run("reconcile", "--prefix", "incoming/orders/", "--apply", "--prune")
    assert (status, "--prune can't be combined with --prefix" in err) == (2, True)


def test_reconcile_skips_outputs_of_a_running_execution(place: Place, run: Run) -> None:
    batch = place.upload(GOOD)
    place.step_functions().runs = lambda _: None
    place.start(batch)
    end(batch.batch_id, "RUNNING")
    s3_utils.storage().put_bytes(harness.PROCESSED, batch.parquet_key("orders"), b"x")
    assert "orphan" not in run("reconcile", "--grace", "0m", "--apply", "--prune")[1]


@pytest.mark.parametrize("how", ["gone", "changed", "same size", "all gone"])
def test_reconcile_finds_outputs_that_differ_from_the_manifest(place: Place, run: Run, how: str) -> None:
    batch = place.process(GOOD)
    key = batch.parquet_key("items")
    if how in ("gone", "all gone"):
        for gone in [key] if how == "gone" else harness.keys("tables/") + harness.keys("processed/"):
            place.s3().delete_object(Bucket=harness.PROCESSED, Key=gone)
    else:
        s3_utils.storage().put_bytes(
            harness.PROCESSED, key, b"x" * (len(harness.get(key)) if how == "same size" else 1)
        )
    digests = ["--digests"] if how == "same size" else []
    status, out, _ = run("reconcile", "--grace", "0m", "--apply", "--prune", *digests)
    assert status == 1
    assert f"damaged: {key}" in out


def test_expired_rejects_are_not_reported_as_damaged(place: Place, run: Run) -> None:
    batch = place.process(MIXED)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.rejected_key)
    assert run("reconcile", "--grace", "0m")[0] == 0
    assert run("reconcile", "--grace", "0m", "--digests")[0] == 0


def test_since_accepts_a_time_in_another_zone(place: Place, run: Run) -> None:
    batch = place.process(GOOD)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.parquet_key("items"))
    east = datetime.now(timezone(timedelta(hours=14))) - timedelta(minutes=5)
    status, out, _ = run("reconcile", "--grace", "0m", "--since", east.isoformat(timespec="minutes"))
    assert (status, "damaged" in out) == (1, True)


# --- redrive ----------------------------------------------------------------------------------------------------------


def event_of(batch: Batch) -> dict[str, Any]:
    record = {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {
            "bucket": {"name": harness.INGEST},
            "object": {
                "key": batch.source.key.replace(" ", "+"),
                "versionId": batch.source.version_id,
                "size": batch.source.size,
                "eTag": "e",
                "sequencer": "1",
            },
        },
    }
    return {"Records": [record]}


def arn(function: str) -> str:
    return f"arn:aws:lambda:{harness.REGION}:123456789012:function:{function}:live"


def send(place: Place, body: Any, **attributes: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    boto3.client("sqs").send_message(
        QueueUrl=place.outputs()["on_failure_queue_url"],
        MessageBody=text,
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )


def failed_invocation(function: str, event: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    return {
        "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.000Z",
        "requestContext": {
            "requestId": "1",
            "functionArn": arn(function),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "AWS returned ThrottlingException.", "errorType": "TransientError"},
    }


def test_redrive_returns_an_event_that_failed_every_retry_to_the_starter(place: Place, run: Run) -> None:
    batch = place.upload(GOOD, "a b.jsonl")
    send(place, failed_invocation("starter", event_of(batch)))
    status, out, _ = run("redrive")
    assert status == 0
    for part in (
        "starter",
        "incoming/orders/a b.jsonl",
        "TransientError: AWS returned ThrottlingException.",
        "--apply",
    ):
        assert part in out
    assert place.step_functions().started == []
    status, out, _ = run("redrive", "--apply")
    assert (status, place.step_functions().started) == (0, [batch.batch_id])
    assert "handled" in out
    assert harness.manifest(batch)["counts"]["published"] == 1
    assert run("redrive")[1] == "The queue is empty."


def test_events_that_eventbridge_could_not_deliver_are_sent_again(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Path(__file__).parent / "events"
    send(
        place,
        (events / "execution_aborted.json").read_text("utf-8"),
        TARGET_ARN=arn("record-failure"),
        ERROR_CODE="SDK_CLIENT_ERROR",
        ERROR_MESSAGE="Rate exceeded",
    )
    monkeypatch.setattr("functions.record_failure.index._was_notified", lambda _: False)
    assert run("redrive", "--apply")[0] == 0
    assert len(harness.keys("failures/")) == 1


def test_an_event_that_fails_again_stays_in_the_queue(place: Place, run: Run) -> None:
    send(place, failed_invocation("starter", {"Records": [{"eventName": "ObjectCreated:Put"}]}))
    status, out, err = run("redrive", "--apply")
    assert status == 1
    assert "KeyError" in out
    assert "stay in the queue" in err
    assert "starter" in run("redrive")[1], "it can be seen again at once"


def test_a_message_in_use_is_reported_as_hidden(place: Place, run: Run) -> None:
    send(place, failed_invocation("starter", {"Records": []}))
    boto3.client("sqs").receive_message(QueueUrl=place.outputs()["on_failure_queue_url"], VisibilityTimeout=60)
    status, _, err = run("redrive")
    assert status == 1
    assert "About 1 message can't be read" in err


def test_an_interrupted_redrive_makes_the_message_visible_again(place: Place, run: Run) -> None:
    send(place, failed_invocation("starter", event_of(place.upload(GOOD))))

    def interrupt(_: Batch) -> None:
        raise KeyboardInterrupt

    place.step_functions().runs = interrupt
    assert run("redrive", "--apply")[0] == 130
    assert "starter" in run("redrive")[1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("no JSON", "not JSON"),
        (failed_invocation("somebody-elses", {}), "not for a function of this deployment"),
        ({"any": "thing"}, "not for a function of this deployment"),
        (failed_invocation("somebody-elses", {"Records": ["x"]}), "not for a function of this deployment"),
    ],
)
def test_a_foreign_message_stays_in_the_queue(place: Place, run: Run, body: Any, message: str) -> None:
    send(place, body)
    status, out, _ = run("redrive", "--apply")
    assert status == 1
    assert message in out


# --- erase ------------------------------------------------------------------------------------------------------------


def test_an_erased_batch_leaves_no_version_of_anything(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    versioning = {"Status": "Enabled"}
    place.s3().put_bucket_versioning(Bucket=harness.PROCESSED, VersioningConfiguration=versioning)
    other = place.process(lines([order(order_id="9")]), "other.jsonl")
    kept = versions()
    batch = failed_by_release(place)
    run("replay", "--failed", "--apply")
    place.deploy("next", monkeypatch)
    run("replay", batch.batch_id, "--republish", "--apply")
    assert f"manifests/orders/{batch.batch_id}-r2.json" in harness.keys("manifests/")
    for revision in (batch.batch_id, f"{batch.batch_id}-r2"):  # record_run writes these later
        place.s3().put_object(Bucket=harness.PROCESSED, Key=run_key("orders", revision, revision), Body=b"{}")
    status, out, _ = run("erase", batch.batch_id)
    assert status == 0
    assert "--apply" in out
    assert versions() > kept
    assert run("erase", batch.batch_id, "--apply")[0] == 0
    assert versions() == kept
    assert harness.manifest(other)["counts"]["published"] == 1


@pytest.mark.parametrize("status", ["RUNNING", "ABORTED"])
@pytest.mark.parametrize("revision", [1, 2])
def test_a_batch_is_not_erased_while_a_function_may_still_write(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, revision: int, status: str
) -> None:
    batch = place.process(GOOD)
    name = batch.batch_id
    if revision == 2:
        place.deploy("next", monkeypatch)
        bad_release(place)
        run("replay", "--republish", "--apply")
        name = f"{batch.batch_id}-r2"
    end(name, status, ago=timedelta(minutes=1))
    before = versions()
    exit_status, _, err = run("erase", batch.batch_id, "--apply")
    assert (exit_status, versions()) == (1, before)
    assert f"{name} is running or was just stopped" in err


def test_an_erasure_names_the_corrections(place: Place, run: Run, tmp_path: Path) -> None:
    batch, path, rejects = rejects_of(place, tmp_path)
    rejects[0]["record"]["total_amount"] = order()["total_amount"]
    write(path, rejects)
    run("replay", "--rejects", str(path), "--apply")
    out = run("erase", batch.batch_id)[1]
    assert f"Erase its batch too: incoming/orders/corrections/{batch.batch_id}-" in out


def test_a_key_that_no_xml_can_hold_is_erased(place: Place, run: Run) -> None:
    batch = place.process(GOOD, "bell\x07.jsonl")
    assert "\ufffd" in run("erase", batch.batch_id)[1], "a key must not steer the terminal"
    assert run("erase", batch.batch_id, "--apply")[0] == 0
    assert not versions()


def test_an_erasure_that_was_interrupted_is_repeated(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = place.process(GOOD)
    delete, calls = place.s3().delete_objects, []

    def interrupt(**arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return delete(**arguments)

    monkeypatch.setattr(place.s3(), "delete_objects", interrupt)
    assert run("erase", batch.batch_id, "--apply")[0] == 130
    assert batch.manifest_key not in harness.keys("manifests/")
    execution = execution_called(batch.batch_id)
    execution.name, execution.execution_arn = "forgotten", "arn:forgotten"
    assert run("erase", batch.batch_id, "--apply")[0] == 0
    assert versions() == set()


def versions() -> set[tuple[str, str]]:
    """Every version in both buckets."""
    listings = (s3_utils.client().list_object_versions(Bucket=bucket) for bucket in (harness.INGEST, harness.PROCESSED))
    return {(found["Key"], found["VersionId"]) for listing in listings for found in listing.get("Versions", [])}


def test_an_unknown_batch_can_t_be_erased(run: Run) -> None:
    status, _, err = run("erase", "orders-" + "0" * 32, "--apply")
    assert status == 2
    assert "There is no batch" in err
