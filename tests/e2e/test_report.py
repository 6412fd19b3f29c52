"""The report of a real run shows everything that the embedded AWS reports about it."""

import re

from pipeline.inspect.report import write_report
from pipeline.run import runs
from tests.e2e.conftest import Pipeline
from tests.e2e.northwind import LINES
from tests.statemachine import definition as asl


def looks(page: str) -> dict[str, str]:
    """The look of each state in the drawing."""
    found = re.findall(r'<g class="state look-(\w+)[^"]*" data-state="(\w+)"', page)
    return {name: look for look, name in found}


def report(pipeline: Pipeline, outcome: runs.RunResult) -> str:
    runs.await_cost(pipeline.place, outcome.upload, 60)
    path = write_report(pipeline.place, outcome.upload.batch_id, pipeline.folder)
    assert path == pipeline.folder / f"{outcome.upload.batch_id}.html"
    return path.read_text("utf-8")


def test_the_report_of_a_partly_rejected_file_covers_it_from_upload_to_cost(pipeline: Pipeline) -> None:
    bad = LINES[1].replace(b'"country":"DE"', b'"country":"Germany"')
    page = report(pipeline, pipeline.run(b"\n".join([*LINES[10:30], bad]), "report.jsonl"))
    assert "<h1>Published, without 1 of its 21 records</h1>" in page
    drawn = looks(page)
    assert drawn.keys() == asl.states(asl.load()).keys()
    assert {name for name, look in drawn.items() if look == "unreached"} == {
        *("NoticeNotSent", "DescribeFailure", "RecordFailure", "NotifyFailure", "Failed")
    }
    assert set(drawn.values()) == {"unreached", "succeeded"}
    for expected in ("not_an_allowed_value", "/customer/address/country", "state_transition", ".parquet"):
        assert expected in page, expected
    assert "Germany" not in page


def test_the_report_of_a_failed_file_shows_the_failure_branch(pipeline: Pipeline) -> None:
    page = report(pipeline, pipeline.run(b"[" + LINES[0], "truncated.json"))
    assert "<h1>Failed: nothing was published</h1>" in page
    assert "MalformedDocumentError" in page
    drawn = looks(page)
    assert (drawn["ProcessChunks"], drawn["RecordFailure"], drawn["Failed"]) == ("failed", "succeeded", "failed")
    assert drawn["Write"] == "unreached"
