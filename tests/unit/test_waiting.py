"""Waiting for a condition: how often it is called, what is returned, and when the wait ends."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tenacity import nap

from pipeline.deploy import deploy
from pipeline.errors import CliError
from pipeline.run import runs
from pipeline.run.runs import Upload
from pipeline.waiting import wait_for


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses so far. They advance only a simulated clock."""
    made: list[float] = []
    monkeypatch.setattr(nap.time, "sleep", made.append)
    monkeypatch.setattr(nap.time, "monotonic", lambda: 1000 + sum(made))
    return made


def results(*values: object) -> Callable[[], object]:
    return iter(values).__next__


def test_the_first_true_result_is_returned(pauses: list[float]) -> None:
    assert wait_for(results(None, [], "found"), 10, 2) == "found"
    assert pauses == [2, 2]


def test_a_condition_that_already_holds_is_not_waited_for(pauses: list[float]) -> None:
    assert wait_for(results("found"), 10, 2) == "found"
    assert pauses == []


def test_the_condition_is_called_once_if_the_time_is_zero(pauses: list[float]) -> None:
    assert wait_for(results(None), 0, 2) is None
    assert pauses == []


def test_the_last_result_is_returned_when_the_time_is_up(pauses: list[float]) -> None:
    assert wait_for(results(*range(100)), 5, 2, until=lambda number: number == 50) == 3
    assert pauses == [2, 2, 2]


def test_each_result_is_reported_before_the_pause(pauses: list[float]) -> None:
    reported: list[object] = []
    assert wait_for(results(3, 1, 0), 10, 2, until=lambda left: not left, before_pause=reported.append) == 0
    assert reported == [3, 1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_ends_the_waiting(error: type[BaseException], pauses: list[float]) -> None:
    def look() -> None:
        raise error

    with pytest.raises(error):
        wait_for(look, 10, 2)
    assert pauses == []


def test_an_upload_whose_execution_never_starts_is_reported(pauses: list[float]) -> None:
    def describe(executionArn: str) -> dict[str, str]:
        raise ClientError({"Error": {"Code": "ExecutionDoesNotExist"}}, "DescribeExecution")

    machine = "arn:aws:states:eu-central-1:1:stateMachine:x"
    client = SimpleNamespace(describe_execution=describe)
    place: Any = SimpleNamespace(
        name="aws", is_temporary=False, step_functions=lambda: client, outputs=lambda: {"state_machine_arn": machine}
    )
    upload = Upload("bucket", "incoming/orders/x.jsonl", "v1", "orders", "orders-1", "arn")
    with pytest.raises(CliError, match="No execution of orders-1 started within 180 seconds") as refused:
        list(runs.follow(place, upload))
    assert "pipeline explain orders-1" in refused.value.next_step
    assert sum(pauses) == pytest.approx(180, abs=1)


@pytest.mark.parametrize(
    ("listed", "left", "looks"),
    [([["queue x"], ["queue x"], []], [], 3), ([["queue x"]] * 99, ["queue x"], 19)],
    ids=["forgotten in time", "something is left"],
)
def test_destroy_waits_while_aws_lists_deleted_resources(
    listed: list[list[str]], left: list[str], looks: int, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter(listed)
    tags = {"Project": "shop", "Environment": "dev"}
    workspace = SimpleNamespace(init=lambda: None, destroy=lambda: (line for line in ()))
    place: Any = SimpleNamespace(
        name="aws", account=lambda: "1", workspace=workspace, state=lambda: SimpleNamespace(tags=tags)
    )
    monkeypatch.setattr(deploy, "_tags", lambda *_: {})
    monkeypatch.setattr(deploy, "leftovers", lambda *_: next(found))
    assert deploy.destroy(place) == left
    assert len(pauses) == looks - 1
