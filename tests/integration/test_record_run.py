"""The run record of successful, failed and unusual runs. It is written once."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from functions.common import executions, s3_utils
from functions.common.batch import Batch, run_key
from functions.common.errors import TransientError
from functions.record_run import index as record_run
from functions.record_run.record import ASSUMED_MS
from tests import harness
from tests.unit import histories
from tests.unit.orders import lines, order

DATA = lines([*(order(order_id=str(number)) for number in range(20)), {}])


class StepFunctions:
    """Returns a history, in pages."""

    def __init__(self, events: list[Any], page: int = 10) -> None:
        self.pages = [{"events": events[at : at + page]} for at in range(0, len(events), page)]
        self.parameters: dict[str, Any] = {}

    def get_paginator(self, _: str) -> "StepFunctions":
        return self

    def paginate(self, **parameters: Any) -> Iterator[Any]:
        self.parameters = parameters
        return iter(self.pages)


def ended(batch: Batch, status: str = "SUCCEEDED", **changes: Any) -> dict[str, Any]:
    """EventBridge's event, as docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html has it."""
    milliseconds = int(histories.START.timestamp() * 1000)
    return {
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "detail": {
            "executionArn": f"arn:aws:states:{harness.REGION}:123456789012:execution:test:{batch.batch_id}",
            "stateMachineArn": harness.ENVIRONMENT["STATE_MACHINE_ARN"],
            "name": batch.batch_id,
            "status": status,
            "startDate": milliseconds,
            "stopDate": milliseconds + 6454,
            "input": json.dumps(batch.to_input()),
            "inputDetails": {"included": True},
            "output": None,
            **changes,
        },
    }


def record_of(event: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    """Record the end of an execution. Returns the stored record."""
    with patch.object(executions, "client", lambda: StepFunctions(events)):
        answer = record_run.handler(event)
    [key] = harness.keys("runs/")
    content: dict[str, Any] = json.loads(harness.get(key))
    assert answer == {"usd": content["usd"]}
    return content


def forget_record() -> None:
    [key] = harness.keys("runs/")
    s3_utils.client().delete_object(Bucket=harness.PROCESSED, Key=key)


def adds_up(content: dict[str, Any]) -> None:
    """Check that the lines and the sum of a record follow from its quantities and prices."""
    for line in content["cost"]:
        assert Decimal(line["usd"]) == Decimal(line["quantity"]) * Decimal(line["price"]), line
    assert sum(Decimal(line["usd"]) for line in content["cost"]) == Decimal(content["usd"]) > 0


def quantity(content: dict[str, Any], item: str) -> Decimal:
    return Decimal(next((line["quantity"] for line in content["cost"] if line["item"] == item), "0"))


@pytest.fixture
def batch(aws: None) -> Batch:
    """A published batch of two chunks, one reject."""
    batch = harness.plan(harness.upload(DATA), len(DATA) // 2 + 1)
    harness.run_steps(batch)
    return batch


def test_a_run_is_recorded_with_its_cost(batch: Batch) -> None:
    content = record_of(ended(batch), histories.troubled())
    assert harness.keys("runs/") == [run_key("orders", batch.batch_id, batch.batch_id)]
    adds_up(content)
    assert (content["dataset"], content["status"], content["records"]) == ("orders", "SUCCEEDED", 21)
    assert (content["started_at"], content["stopped_at"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:06.454Z")
    measured = {name: s for name, s in content["steps"].items() if s["measured"] == "history"}
    assert {name: (s["tries"], s["billed_ms"]) for name, s in measured.items()} == histories.TROUBLED_MS
    assert quantity(content, "Transform") == Decimal(1111 * 1769) / 1_024_000
    assert quantity(content, "Transform, /tmp") == Decimal(1111 * (10240 - 512)) / 1_024_000
    assert quantity(content, "state transitions") == 12
    assert content["transitions"] == {"states": 10, "retries": 2}
    assert quantity(content, "function calls") == 3 + 3 + 1 + 2
    assert quantity(content, "notifications") == 1
    assert content["prices"] == {"dated": content["prices"]["dated"], "region": harness.REGION}
    assert Decimal(content["usd_for_1000_records"]) == pytest.approx(Decimal(content["usd"]) * 1000 / 21)


def test_stored_bytes_are_those_in_the_buckets(batch: Batch) -> None:
    content = record_of(ended(batch), histories.troubled())
    sizes = {prefix: sum(len(harness.get(key)) for key in harness.keys(prefix)) for prefix in ("staging/", "rejected/")}
    published = sum(len(harness.get(key)) for prefix in ("processed/", "tables/") for key in harness.keys(prefix))
    assert content["bytes"] == {
        "source": len(DATA),
        "staged": sizes["staging/"],
        "published": published + sizes["rejected/"],
    }
    days = 7 + 1
    staged = Decimal(sizes["staging/"] * days) / (30 << 30)
    assert quantity(content, "staging, until it expires") == pytest.approx(staged, abs=Decimal("1e-12"))
    kept = Decimal(len(DATA) + published + sizes["rejected/"]) / (1 << 30) * Decimal("0.0245")
    assert Decimal(content["usd_a_month_kept"]) == pytest.approx(kept, abs=Decimal("1e-12"))


def test_staging_without_expiry_costs_per_month(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = json.loads(harness.ENVIRONMENT["DEPLOYMENT"]) | {"staging_days": 0}
    expiring = record_of(ended(batch), histories.troubled())
    harness.forget_clients()
    monkeypatch.setenv("DEPLOYMENT", json.dumps(deployment))
    forget_record()
    content = record_of(ended(batch), histories.troubled())
    assert quantity(content, "staging, until it expires") == 0
    more = Decimal(content["usd_a_month_kept"]) - Decimal(expiring["usd_a_month_kept"])
    assert more == pytest.approx(
        Decimal(content["bytes"]["staged"]) / (1 << 30) * Decimal("0.0245"), abs=Decimal("1e-12")
    )


def test_a_retried_step_makes_its_requests_again(batch: Batch) -> None:
    once = record_of(ended(batch), histories.embedded())["s3_requests"]
    forget_record()
    again = record_of(ended(batch), histories.troubled())["s3_requests"]
    assert again["put"] > once["put"]
    assert again["get"] > once["get"]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_failed_run_costs_the_work_until_its_failure(aws: None, status: str) -> None:
    batch = harness.plan(harness.upload(DATA), len(DATA) // 2 + 1)
    content = record_of(ended(batch, status), histories.aborted())
    adds_up(content)
    assert (content["records"], content["usd_for_1000_records"], content["bytes"]["published"]) == (0, None, 0)
    assert content["bytes"]["source"] == len(DATA)
    assert content["steps"]["Validate"]["unfinished"] == 2
    assert content["steps"]["record_failure"] == {
        **content["steps"]["record_failure"],
        **{"tries": 1, "billed_ms": ASSUMED_MS["record_failure"], "measured": "assumed"},
    }


def test_a_failed_replay_of_a_published_batch_published_nothing(batch: Batch) -> None:
    content = record_of(ended(batch, "FAILED", name=f"{batch.batch_id}-replay-1"), histories.aborted())
    assert (content["execution"], content["batch_id"]) == (f"{batch.batch_id}-replay-1", batch.batch_id)
    assert content["bytes"]["published"] == 0


def test_an_event_without_its_input_is_recorded_from_stored_objects(batch: Batch) -> None:
    """Step Functions omits a long input from the event."""
    whole = record_of(ended(batch), histories.troubled())
    forget_record()
    assert record_of(ended(batch, input=None), histories.troubled()) == whole


def test_an_execution_that_was_started_by_hand_is_recorded(aws: None) -> None:
    batch = harness.plan(harness.upload(DATA))
    content = record_of(ended(batch, "FAILED", name="by-hand", input="{}"), histories.aborted())
    adds_up(content)
    assert harness.keys("runs/") == ["runs/unknown/by-hand/by-hand.json"]


def test_a_map_without_attempts_in_its_history_is_marked(batch: Batch) -> None:
    content = record_of(ended(batch), histories.embedded())
    adds_up(content)
    assert content["steps"]["ProcessChunks"] == {
        "functions": ["validate", "transform"],
        "tries": 4,
        "billed_ms": 600,
        "measured": "span",
        "unfinished": 0,
        "memory_mb": 1769,
        "disk_mb": 10240,
    }
    assert content["steps"]["Write"]["measured"] == "history"


def test_an_unknown_region_has_the_prices_of_another_which_is_recorded(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = json.loads(harness.ENVIRONMENT["DEPLOYMENT"]) | {"region": "xx-nowhere-9"}
    monkeypatch.setenv("DEPLOYMENT", json.dumps(deployment))
    harness.forget_clients()
    content = record_of(ended(batch), histories.troubled())
    assert (content["region"], content["prices"]["region"]) == ("xx-nowhere-9", "us-east-1")


def test_a_run_is_recorded_and_measured_once(batch: Batch, capsys: pytest.CaptureFixture[str]) -> None:
    first = record_of(ended(batch), histories.troubled())
    later = [{**event, "timestamp": event["timestamp"] + timedelta(days=1)} for event in histories.aborted()]
    with patch.object(executions, "client", lambda: StepFunctions(later)):
        record_run.handler(ended(batch))
    [key] = harness.keys("runs/")
    assert json.loads(harness.get(key)) == first
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "EstimatedCostUSD" in line]
    assert [line["EstimatedCostUSD"] for line in emitted] == [[float(first["usd"])]]
    assert emitted[0]["dataset"] == "orders"


class Throttling(StepFunctions):
    """Raises the throttling error of GetExecutionHistory, or another error."""

    def __init__(self, code: str) -> None:
        super().__init__([])
        self.error: Any = {"Error": {"Code": code, "Message": "Rate exceeded"}}

    def paginate(self, **parameters: Any) -> Iterator[Any]:
        raise ClientError(self.error, "GetExecutionHistory")


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_run_whose_history_is_throttled_is_recorded_without_it(batch: Batch, status: str) -> None:
    """Otherwise a burst of files would lose events: 30 files per second exceed the quota of AWS."""
    with patch.object(executions, "client", lambda: Throttling("ThrottlingException")):
        record_run.handler(ended(batch, status))
    [key] = harness.keys("runs/")
    content = json.loads(harness.get(key))
    adds_up(content)
    chunks, failed = content["steps"]["ProcessChunks"], status == "FAILED"
    assert (chunks["measured"], chunks["tries"], chunks["billed_ms"]) == ("execution", 4, 6454)
    assert (content["steps"]["Write"]["measured"], content["steps"]["Write"]["billed_ms"]) == ("execution", 0)
    assert ("RecordFailure" in content["steps"]) == failed
    assert content["transitions"] == {"states": 5 + 2 * 2 + 1, "retries": 0}
    assert quantity(content, "notifications") == 1, "of its reject, or of its failure"


@pytest.mark.parametrize("code", ["InternalError", "AccessDeniedException"])
def test_a_history_that_is_refused_for_another_reason_is_requested_again(batch: Batch, code: str) -> None:
    with (
        patch.object(executions, "client", lambda: Throttling(code)),
        pytest.raises((TransientError, ClientError)),
    ):
        record_run.handler(ended(batch))
    assert harness.keys("runs/") == []


def test_a_history_that_has_not_ended_is_read_again_later(batch: Batch) -> None:
    with (
        patch.object(executions, "client", lambda: StepFunctions(histories.troubled()[:-1])),
        pytest.raises(TransientError, match="does not show the execution's end yet"),
    ):
        record_run.handler(ended(batch))
    assert harness.keys("runs/") == []


def test_the_history_is_read_completely_and_without_data(batch: Batch) -> None:
    client = StepFunctions(histories.troubled(), page=7)
    with patch.object(executions, "client", lambda: client):
        record_run.handler(ended(batch))
    assert client.parameters == {
        "executionArn": ended(batch)["detail"]["executionArn"],
        "includeExecutionData": False,
        "PaginationConfig": {"PageSize": 1000},
    }


def test_a_manifest_does_not_contain_the_cost(batch: Batch) -> None:
    """It would differ between attempts."""
    before = harness.get(batch.manifest_key)
    record_of(ended(batch), histories.troubled())
    assert harness.get(batch.manifest_key) == before
    assert b"usd" not in before
