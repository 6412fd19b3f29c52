"""Every path that the definition reads is surely there, and what it hands on is within AWS's limits.

The walk takes every branch, and the real functions answer it, on a moto S3.
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
from tests.statemachine.paths import MAX_PAYLOAD, MissingPathError, Walk, fill

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
    """Every state entered on a walk with a file of three chunks, a reject, and the longest key there can be."""
    lines = (ROOT / "tests" / "data" / "northwind_orders.jsonl").read_bytes().splitlines(keepends=True)[:20]
    data = b"".join([*lines, b"{}\n"])
    with pytest.MonkeyPatch.context() as monkeypatch, harness.buckets(monkeypatch):
        folder = "incoming/orders/"
        source = harness.upload(data, "ü" * ((1024 - len(folder) - 6) // 2) + ".jsonl", folder)
        batch = harness.plan(source, chunk_bytes=-(-len(data) // 3))
        assert batch.last_chunk == 2
        walk = Walk(asl.load(), lambda function, payload: HANDLERS[function](payload), ERROR)
        yield list(walk.visits(batch.to_input(), f"{batch.batch_id}-again"))


def test_every_path_is_there_on_every_branch(visits: list[Visit]) -> None:
    entered = {name for name, _, _ in visits}
    assert entered == set(asl.states(asl.load()))
    assert sum(name == "Transform" for name, _, _ in visits) == 3


def test_what_is_handed_on_stays_below_the_limit(visits: list[Visit]) -> None:
    """Even where the file, its failure record and the notice of it each failed with the longest cause."""
    for name, given, asked in visits:
        for payload in (given, asked):
            assert len(json.dumps(payload, ensure_ascii=False).encode()) < MAX_PAYLOAD, name


def test_every_notice_is_one_that_sns_takes(visits: list[Visit]) -> None:
    """A subject of at most 100 ASCII characters, without line breaks: sns/latest/api/API_Publish."""
    notices = [asked for name, _, asked in visits if name.startswith("Notify")]
    assert len({notice["Subject"] for notice in notices}) == 3, "of rejects, of a failure, of one without a record"
    for notice in notices:
        assert set(notice) == {"TopicArn", "Subject", "Message"}
        assert re.fullmatch(r"[!-~][ -~]{0,99}", notice["Subject"]), notice["Subject"]
        assert 0 < len(notice["Message"].encode()) < MAX_PAYLOAD


def test_both_fails_end_with_error_and_cause(visits: list[Visit]) -> None:
    ends = {(name, asked) for name, _, asked in visits if name in ("Failed", "NoticeNotSent")}
    assert ends == {(name, (ERROR["Error"], ERROR["Cause"])) for name in ("Failed", "NoticeNotSent")}


def test_an_error_without_a_cause_gets_one() -> None:
    """The language's specification does not promise a Cause."""
    described = asl.load()["States"]["DescribeFailure"]["Parameters"]["failure.$"]
    planned = asl.load()["States"]["PlanChunks"]["Parameters"]["failure"]
    filled = fill({"failure.$": described}, {"failure": planned, "error": {"Error": "States.Timeout"}}, {})
    assert filled["failure"] == {"Error": "States.Timeout", "Cause": planned["Cause"]}
    assert set(planned) == {"Error", "Cause"}


@pytest.mark.parametrize("function", ["transform", "write", "record_failure"])
def test_the_walk_sees_an_answer_that_lacks_a_field(function: str) -> None:
    """The walk itself: it stops where a state selects from an answer what is not in it."""
    answers = {
        "validate": {},
        "transform": {"chunk": 0},
        "write": {"rejected": 1, "unnotified": 1, "notice": {"subject": "s", "message": "m"}},
        "record_failure": {"subject": "s", "message": "m"},
        function: {},
    }
    batch = {"batch_id": "b", "source": {"bucket": "b", "key": "k"}, "last_chunk": 0}
    walk = Walk(asl.load(), lambda name, _: answers[name], {"Error": "e", "Cause": "c"})
    with pytest.raises(MissingPathError, match=string.capwords(function, "_").replace("_", "")):
        list(walk.visits(batch, "b"))
