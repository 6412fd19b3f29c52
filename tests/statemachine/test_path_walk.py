"""Every path that the definition reads exists, and what the states pass on is within AWS's limits.

The walk takes every branch and invokes the real functions, on a moto S3.
"""

import json
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest

from functions.record_failure import index as record_failure
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from pipeline import ROOT
from tests import harness
from tests.statemachine import definition as asl
from tests.statemachine.path_walk import MAX_PAYLOAD, MissingPathError, Walk, fill

HANDLERS = {
    "validate": validate.handler,
    "transform": transform.handler,
    "write": write.handler,
    "record_failure": record_failure.handler,
}
ERROR = {"Error": "E" * 256, "Cause": '"' * 32_768}
"""The longest that Step Functions keeps, and twice as long once it is JSON."""

Visit = tuple[str, Any, Any]


@pytest.fixture(scope="module")
def visits() -> Iterator[list[Visit]]:
    """Every state of a walk, for a file with three chunks, a reject, and the longest possible key."""
    lines = (ROOT / "tests" / "data" / "northwind_orders.jsonl").read_bytes().splitlines(keepends=True)[:20]
    data = b"".join([*lines, b"{}\n"])
    with pytest.MonkeyPatch.context() as monkeypatch, harness.buckets(monkeypatch):
        folder = "incoming/orders/"
        source = harness.upload(data, "ü" * ((1024 - len(folder) - 6) // 2) + ".jsonl", folder)
        batch = harness.plan(source, chunk_bytes=-(-len(data) // 3))
        assert batch.last_chunk == 2
        walk = Walk(asl.load(), lambda function, payload: HANDLERS[function](payload), ERROR)
        yield list(walk.visits(batch.to_input(), f"{batch.batch_id}-again"))


def test_every_path_exists_on_every_branch(visits: list[Visit]) -> None:
    entered = {name for name, _, _ in visits}
    assert entered == set(asl.states(asl.load()))
    assert sum(name == "Transform" for name, _, _ in visits) == 3


def test_the_payload_of_every_state_is_below_the_limit(visits: list[Visit]) -> None:
    """Even if the file, its failure record and its notification each failed with the longest cause."""
    for name, given, parameters in visits:
        for payload in (given, parameters):
            assert len(json.dumps(payload, ensure_ascii=False).encode()) < MAX_PAYLOAD, name


def test_sns_accepts_every_notification(visits: list[Visit]) -> None:
    """A subject has at most 100 ASCII characters, without line breaks: sns/latest/api/API_Publish."""
    notifications = [parameters for name, _, parameters in visits if name.startswith("Notify")]
    assert len({notification["Subject"] for notification in notifications}) == 3, (
        "rejects, a failure, a failure without a record"
    )
    for notification in notifications:
        assert set(notification) == {"TopicArn", "Subject", "Message"}
        assert re.fullmatch(r"[!-~][ -~]{0,99}", notification["Subject"]), notification["Subject"]
        assert 0 < len(notification["Message"].encode()) < MAX_PAYLOAD


def test_both_fail_states_have_an_error_and_a_cause(visits: list[Visit]) -> None:
    ends = {(name, parameters) for name, _, parameters in visits if name in ("Failed", "NoticeNotSent")}
    assert ends == {(name, (ERROR["Error"], ERROR["Cause"])) for name in ("Failed", "NoticeNotSent")}


def test_an_error_without_a_cause_gets_a_cause() -> None:
    """The language's specification does not guarantee a Cause."""
    described = asl.load()["States"]["DescribeFailure"]["Parameters"]["failure.$"]
    planned = asl.load()["States"]["PlanChunks"]["Parameters"]["failure"]
    filled = fill({"failure.$": described}, {"failure": planned, "error": {"Error": "States.Timeout"}}, {})
    assert filled["failure"] == {"Error": "States.Timeout", "Cause": planned["Cause"]}
    assert set(planned) == {"Error", "Cause"}


@pytest.mark.parametrize("function", ["transform", "write", "record_failure"])
def test_the_walk_fails_if_the_result_of_a_function_lacks_a_field(function: str) -> None:
    """The walk fails at a state that selects a missing field from a function's result."""
    results = {
        "validate": {},
        "transform": {"chunk": 0},
        "write": {"rejected": 1, "unnotified": 1, "notice": {"subject": "s", "message": "m"}},
        "record_failure": {"subject": "s", "message": "m"},
        function: {},
    }
    batch = {"batch_id": "b", "source": {"bucket": "b", "key": "k"}, "last_chunk": 0}
    walk = Walk(asl.load(), lambda name, _: results[name], {"Error": "e", "Cause": "c"})
    with pytest.raises(MissingPathError, match=string.capwords(function, "_").replace("_", "")):
        list(walk.visits(batch, "b"))
