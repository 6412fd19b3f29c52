"""The real functions run by the definition, on moto's engine: each gets the input that it needs from the others."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from moto import mock_aws

from functions.common import executions
from functions.common.batch import Batch
from functions.record_failure import index as record_failure
from functions.record_failure.failure import Failure
from functions.record_run import index as record_run
from functions.record_run.history import read_history, without_history
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from pipeline import ROOT
from pipeline.cost import estimate
from tests import harness
from tests.statemachine.definition_cases import Case
from tests.statemachine.engine import Engine, ended, make_batch
from tests.statemachine.moto_engine import ARN, CONFIG, make_engine, serve, skip_waits

GOOD = (ROOT / "tests" / "data" / "northwind_orders.jsonl").read_bytes().splitlines(keepends=True)[:20]
HANDLERS = {
    "validate": validate.handler,
    "transform": transform.handler,
    "write": write.handler,
    "record_failure": record_failure.handler,
}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """moto with the real functions and both buckets. Functions handle one call at a time, as Lambda environments do."""
    lock = Lock()

    def alone(handler: Any) -> Any:
        def call(event: Any) -> Any:
            with lock:
                return handler(event)

        return call

    with mock_aws(config=CONFIG), harness.buckets(monkeypatch, TOPIC_ARN=ARN.format("sns", "notices")):
        _forget_clients()
        skip_waits(monkeypatch)
        serve(monkeypatch, {name: alone(handler) for name, handler in HANDLERS.items()})
        yield make_engine(tmp_path)
    _forget_clients()


def _forget_clients() -> None:
    for client in (record_failure._sns, executions.client):
        client.cache_clear()


def execute(engine: Engine, lines: list[bytes], topic: bool = True) -> dict[str, Any]:
    """Run a file with two chunks. Returns the event that EventBridge sends for a failed execution."""
    data = b"".join(lines)
    batch = harness.plan(harness.upload(data), chunk_bytes=len(data) // 2 + 1)
    client = engine.client("stepfunctions")
    arn = client.start_execution(
        stateMachineArn=engine.machine(Case("", topic=topic)),
        name=batch.batch_id,
        input=json.dumps(batch.to_input()),
    )["executionArn"]
    description = ended(client, arn)
    reported = ("executionArn", "name", "status", "input", "error", "cause")
    times = {field: int(description[field].timestamp() * 1000) for field in ("startDate", "stopDate")}
    return {"detail": {field: description.get(field) for field in reported} | times}


def batch_of(event: dict[str, Any]) -> Batch:
    return Batch.from_input(json.loads(event["detail"]["input"]))


def test_a_file_with_one_bad_record_is_published_and_its_reject_notified(engine: Engine) -> None:
    event = execute(engine, [*GOOD, b"{}\n"])
    assert event["detail"]["status"] == "SUCCEEDED", event
    assert harness.manifest(batch_of(event))["counts"]["published"] == 20
    (notification,) = engine.notifications(event["detail"]["name"], expected=1)
    assert notification["subject"] == "orders: 1 of 21 records rejected"


def test_a_file_without_valid_records_fails_with_a_record_and_one_notification(engine: Engine) -> None:
    event = execute(engine, [b"{}\n"] * 4)
    batch = batch_of(event)
    assert (event["detail"]["status"], event["detail"]["error"]) == ("FAILED", "NoValidRecordsError")
    key = batch.failure_key(batch.batch_id)
    recorded = json.loads(harness.get(key))
    assert (recorded["error"], recorded["notified_by"]) == ("NoValidRecordsError", None)
    (notification,) = engine.notifications(batch.batch_id, expected=1)
    assert key in notification["message"]

    record_failure.handler(event)  # EventBridge reports every failed execution
    assert json.loads(harness.get(key)) == recorded | {"notified_by": "state_machine"}
    assert engine.notifications(batch.batch_id, expected=1) == [notification]


@pytest.mark.parametrize(
    ("lines", "steps", "outside_of_chunks"),
    [
        pytest.param(GOOD, {"Validate": 2, "Transform": 2, "Write": 1}, (17, 5), id="published"),
        pytest.param([*GOOD, b"{}\n"], {"Validate": 2, "Transform": 2, "Write": 1}, (22, 6), id="with a notification"),
        pytest.param(
            [b"{}\n"] * 4, {"Validate": 2, "Transform": 2, "Write": 1, "RecordFailure": 1}, (None, 7), id="failed"
        ),
    ],
)
def test_the_run_record_counts_attempts_and_transitions_from_the_history(
    engine: Engine, lines: list[bytes], steps: dict[str, int], outside_of_chunks: tuple[int | None, int]
) -> None:
    """The history has AWS's event types here. The assumptions of `pipeline estimate` must match it."""
    event = execute(engine, lines)
    record_run.handler(event)
    recorded = json.loads(harness.get(f"runs/orders/{event['detail']['name']}/{event['detail']['name']}.json"))
    measured = {name: step for name, step in recorded["steps"].items() if step["measured"] == "history"}
    assert {name: step["tries"] for name, step in measured.items()} == steps
    assert all(step["billed_ms"] > 0 and not step["unfinished"] for step in measured.values())
    events, states = outside_of_chunks
    assert recorded["transitions"] == {"states": states + 2 * estimate.STATES_A_CHUNK, "retries": 0}
    client = executions.client()
    history = client.get_execution_history(executionArn=event["detail"]["executionArn"], maxResults=1000)["events"]
    assert events in (None, len(history) - 2 * estimate.EVENTS_A_CHUNK)
    if lines is GOOD:
        assert outside_of_chunks == (estimate.EVENTS_A_FILE, estimate.STATES_A_FILE)
    if event["detail"]["status"] == "SUCCEEDED":
        assumed, read = (
            without_history(2, 100, failed=False, notifications=int(lines is not GOOD)),
            read_history(history),
        )
        assert (assumed.entered, assumed.publishes) == (read.entered, read.publishes), (
            "the estimate assumes other steps"
        )
        assert sum(tries.number for tries in assumed.tries.values()) == sum(t.number for t in read.tries.values())


@pytest.mark.parametrize(
    ("lines", "published"),
    [pytest.param([b"{}\n"] * 4, False, id="failure"), pytest.param([*GOOD, b"{}\n"], True, id="rejects")],
)
def test_record_failure_sends_a_notification_that_the_state_machine_could_not_send(
    engine: Engine, lines: list[bytes], published: bool
) -> None:
    """A state whose error was caught is also exited, so its exit does not show that the notification was sent."""
    event = execute(engine, lines, topic=False)
    batch = batch_of(event)
    assert event["detail"]["status"] == "FAILED"
    assert engine.notifications(batch.batch_id, expected=0) == []

    record_failure.handler(event)
    assert json.loads(harness.get(batch.failure_key(batch.batch_id)))["published"] == published
    assert len(engine.notifications(batch.batch_id, expected=1)) == 1


def test_a_failure_with_an_empty_cause_from_aws_gets_a_cause() -> None:
    """A Catch for States.Timeout gets `{"Error": "States.Timeout", "Cause": ""}`."""
    batch = make_batch(chunks=1).to_input()
    failure = {"Error": "States.Timeout", "Cause": ""}
    assert Failure.from_state_machine({"batch": batch, "execution": "e", "failure": failure}).cause
