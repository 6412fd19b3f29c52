"""status, logs, watch and console: what they show of executions and log lines, on a terminal and in a pipe."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from functions.common import s3_utils
from functions.common.batch import Batch, failure_key, run_key
from pipeline import console as show
from pipeline.inspect import executions as monitor
from pipeline.inspect import monitor_commands, watch
from pipeline.inspect import show_executions as show_runs
from pipeline.recover import restarts
from tests import documents, harness
from tests.integration.deployed import MACHINE, Place, end, run_command, use_place
from tests.integration.test_explain import GOOD, HOPELESS, MIXED, crashed, notification_not_sent, published, queue

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    use_place(place, monkeypatch, monitor_commands)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command. Returns its exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        return run_command(monkeypatch, capsys, *arguments)

    return run


def with_cost(batch: Batch, usd: str = "0.00034") -> Batch:
    s3_utils.storage().put_bytes(
        harness.PROCESSED, run_key("orders", batch.batch_id, batch.batch_id), documents.run_record(usd=usd).to_bytes()
    )
    return batch


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_shows_each_execution_s_outcome_counts_duration_and_cost(place: Place, run: Run) -> None:
    good = with_cost(place.process(GOOD, "good.jsonl"))
    mixed, hopeless = place.process(MIXED, "mixed.jsonl"), place.process(HOPELESS, "hopeless.jsonl")
    running = place.process(GOOD, "running.jsonl")
    end(running.batch_id, "RUNNING", ago=timedelta(seconds=5))
    status = json.loads(run("status", "--json")[1])
    runs = {one["batch_id"]: one for one in status["runs"]}
    assert {name: one["outcome"] for name, one in runs.items()} == {
        good.batch_id: "published",
        mixed.batch_id: "partly rejected",
        hopeless.batch_id: "failed",
        running.batch_id: "running",
    }
    assert {one["key"] for one in runs.values()} == {
        f"incoming/orders/{name}.jsonl" for name in ("good", "mixed", "hopeless", "running")
    }
    assert (runs[good.batch_id]["usd"], runs[mixed.batch_id]["usd"]) == ("0.000340", "")
    assert runs[mixed.batch_id]["counts"]["rejected"] == 1
    assert runs[hopeless.batch_id]["error"] == "NoValidRecordsError"
    assert runs[running.batch_id]["stopped"] is None
    assert 5 <= runs[running.batch_id]["seconds"] < 60
    status, out, _ = run("status")
    assert status == 0
    assert "4 executions: " in out
    assert "Records: 13 received, 12 published, 1 rejected." in out
    assert len(json.loads(run("status", "--limit", "2", "--json")[1])["runs"]) == 2


def test_status_of_a_replayed_batch_shows_both_executions(place: Place) -> None:
    batch = crashed(place)
    place.step_functions().runs = harness.run_steps
    place.start(batch, f"{batch.batch_id}-replay-1")
    outcomes = {one.name: one.outcome for one in monitor.recent_runs(place, 10)}  # type: ignore[arg-type]
    assert outcomes == {batch.batch_id: "failed", f"{batch.batch_id}-replay-1": "published"}


def test_a_failure_after_the_commit_is_published_with_an_error(place: Place) -> None:
    notification_not_sent(place)
    [one] = monitor.recent_runs(place, 10)  # type: ignore[arg-type]
    assert (one.outcome, one.error, one.counts["published"]) == ("published", "SNS.NotFoundException", 1)


def test_a_manifest_that_was_deleted_is_lost(place: Place) -> None:
    batch = published(place)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=batch.manifest_key)
    [one] = monitor.recent_runs(place, 10)  # type: ignore[arg-type]
    assert (one.outcome, one.counts) == ("lost", {})


def test_an_execution_that_was_started_by_hand_is_listed_too(place: Place) -> None:
    place.step_functions()._client.start_execution(stateMachineArn=MACHINE, name="by-hand", input="{}")
    end("by-hand", "ABORTED")
    [one] = monitor.recent_runs(place, 10)  # type: ignore[arg-type]
    assert (one.name, one.key, one.outcome, one.error) == ("by-hand", "", "failed", "ABORTED")


def test_an_execution_with_another_name_is_shown_by_its_input(place: Place) -> None:
    batch = place.upload(GOOD)
    place.start(batch, "by-hand")
    [one] = monitor.recent_runs(place, 10)  # type: ignore[arg-type]
    assert (one.name, one.batch_id, one.outcome) == ("by-hand", batch.batch_id, "published")


def test_status_shows_waiting_events_or_what_to_do_first(place: Place, run: Run) -> None:
    assert "No executions yet. Next:" in run("status")[1]
    queue(place, {"Records": []})
    assert "About 1 event in the failed-event queue: pipeline redrive --target local" in run("status")[1]
    assert json.loads(run("status", "--json")[1])["waiting_events"] == 1


@pytest.mark.parametrize("width", [40, 80, 160, 240])
def test_names_and_commands_to_copy_are_not_truncated(
    place: Place, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    batch = with_cost(place.process(HOPELESS, "a-rather-long-name-of-a-file-" * 3 + ".jsonl"))
    console = Console(width=width, soft_wrap=True, highlight=False, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    for module in (show, show_runs):
        monkeypatch.setattr(module, "out", console)
    show_runs.runs(monitor.recent_runs(place, 10), 0)  # type: ignore[arg-type]
    text = console.export_text()
    assert batch.batch_id in text
    assert "NoValidRecordsError" in text
    assert batch.source.key in text


# --- logs -------------------------------------------------------------------------------------------------------------


def test_logs_shows_lines_of_all_batches_or_of_one(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = published(place), place.process(GOOD, "second.jsonl")
    for batch in (first, second):
        place.log("starter", "execution started", batch_id=batch.batch_id, chunks=1)
    place.log("reconciler", "\x1b[31m[red]boo", level="ERROR")
    _, out, _ = run("logs")
    assert [batch.batch_id in out for batch in (first, second)] == [True, True]
    assert "[red]boo" in out
    assert "\x1b" not in out
    monkeypatch.setattr(restarts, "patience", lambda: restarts.Patience(datetime.now(UTC), timedelta(0)))
    lines = [json.loads(line) for line in run("logs", second.batch_id, "--json")[1].splitlines()]
    logged = [line for line in lines if "function" in line]
    assert [(line["function"], line["message"]) for line in logged] == [("starter", "execution started")]
    assert logged[0]["fields"] == {"batch_id": second.batch_id, "chunks": 1}
    assert len(run("logs", "--lines", "1")[1].splitlines()) == 1


def test_logs_of_a_batch_are_requested_until_an_hour_after_its_end(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = published(place)
    calls: list[Any] = []
    monkeypatch.setattr(monitor_commands, "logs", lambda *arguments: calls.append(arguments) or [])
    monkeypatch.setattr(restarts, "patience", lambda: restarts.Patience(datetime.now(UTC), timedelta(0)))
    end(batch.batch_id, "SUCCEEDED")
    run("logs", batch.batch_id)
    place.start(batch, f"{batch.batch_id}-replay-1")
    end(f"{batch.batch_id}-replay-1", "RUNNING")
    run("logs", batch.batch_id)
    run("logs", batch.batch_id, "--minutes", "1")
    run("logs")
    (_, since, _, _, until), *others = calls
    uploaded = datetime.fromisoformat(batch.ingested_at)
    assert since == uploaded - timedelta(minutes=1)
    assert timedelta(minutes=59) < until - uploaded < timedelta(minutes=61)
    assert [arguments[4] for arguments in others] == [None] * 3, "it runs, or time is asked for, or no batch is"


def test_logs_suggests_a_longer_time_if_no_line_is_found(place: Place, run: Run) -> None:
    assert "To look further back: --minutes" in run("logs")[1]


# --- watch ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def looks(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """The actions between one poll and the next; after the last one the command is interrupted."""
    happens: list[Callable[[], Any]] = []

    def sleep(_: float) -> None:
        if not happens:
            raise KeyboardInterrupt
        happens.pop(0)()

    monkeypatch.setattr(watch.time, "sleep", sleep)
    return happens


def changes(out: str) -> list[tuple[str, str, str]]:
    found = [json.loads(line) for line in out.splitlines() if line.startswith('{"change"')]
    return [(one["change"], one["run"]["outcome"], one["run"]["key"].rpartition("/")[2]) for one in found]


def test_watch_shows_each_start_and_end_once_until_it_is_interrupted(
    place: Place, run: Run, looks: list[Callable[[], Any]]
) -> None:
    before = place.process(GOOD, "before.jsonl")
    end(before.batch_id, "SUCCEEDED", ago=timedelta(minutes=5, seconds=20))
    batches: list[Batch] = []

    def starts() -> None:
        batches.append(place.process(GOOD, "x.jsonl"))
        end(batches[0].batch_id, "RUNNING")

    looks += [starts, lambda: None, lambda: end(batches[0].batch_id, "SUCCEEDED"), lambda: None]
    status, out, err = run("watch", "--json")
    assert (status, err.splitlines()[-1]) == (130, "interrupted")
    assert changes(out) == [("started", "running", "x.jsonl"), ("ended", "published", "x.jsonl")]


def test_watch_shows_the_last_minutes_and_executions_between_two_polls(
    place: Place, run: Run, looks: list[Callable[[], Any]]
) -> None:
    place.process(HOPELESS, "before.jsonl")
    looks += [lambda: place.process(MIXED, "quick.jsonl")]
    _, out, _ = run("watch")
    shown = [line for line in out.splitlines() if not line.startswith("{")]
    assert len(shown) == 2, "one line per execution"
    assert "failed  incoming/orders/before.jsonl" in shown[0]
    assert "NoValidRecordsError" in shown[0]
    assert "partly rejected  incoming/orders/quick.jsonl" in shown[1]
    assert "received 12  published 11  rejected 1" in shown[1]


def test_an_execution_is_watched_to_its_end_among_many_others(
    place: Place, run: Run, looks: list[Callable[[], Any]]
) -> None:
    long = place.process(GOOD, "long.jsonl")
    end(long.batch_id, "RUNNING", ago=timedelta(minutes=2))
    place.step_functions().runs = lambda _: None

    def crowd(number: int) -> Callable[[], Any]:
        return lambda: [place.process(b"", f"{number}-{at}.jsonl") for at in range(103)]

    looks += [crowd(1), lambda: None, crowd(2), lambda: end(long.batch_id, "SUCCEEDED"), lambda: None]
    changed = changes(run("watch", "--json")[1])
    assert [change for change in changed if change[2] == "long.jsonl"] == [
        ("started", "running", "long.jsonl"),
        ("ended", "published", "long.jsonl"),
    ]
    assert len(changed) == 2 + 2 * 103, "the end of each other execution is shown once"


def test_a_failure_record_may_still_be_missing(place: Place, run: Run) -> None:
    batch = place.process(HOPELESS)
    place.s3().delete_object(Bucket=harness.PROCESSED, Key=failure_key("orders", batch.batch_id, batch.batch_id))
    assert json.loads(run("status", "--json")[1])["runs"][0]["outcome"] == "failed"
