"""The timeline of an execution: when each state ran, with its tries and the waits between them."""

from datetime import timedelta

import pytest

from pipeline.inspect.batch_history.model import Execution
from pipeline.inspect.report.drawing import Transition, drawing_of
from pipeline.inspect.report.state_outcomes import Mark
from pipeline.inspect.report.timeline import SCALE, Timeline, timeline_of
from tests.report import stories
from tests.unit import histories
from tests.unit.histories import START


def reached(execution: Execution) -> dict[str, Mark]:
    """The marks of the states that an execution visited."""
    return dict(drawing_of(execution).marks)


def timeline(execution: Execution) -> Timeline:
    found = timeline_of(execution, stories.WRITTEN)
    assert found is not None
    return found


def test_tries_and_the_waits_between_them_are_bars() -> None:
    found = timeline(stories.execution(histories.troubled(), "SUCCEEDED"))
    rows = {(row.name, row.level): row for row in found.rows}
    assert [row.name for row in found.rows if row.level == 0] == [
        *("PlanChunks", "ProcessChunks", "Write", "AnyRejects", "NotifyRejects", "Published")
    ]
    write = rows["Write", 0]
    [bar] = write.bars
    whole = (found.ended - found.started).total_seconds()
    assert bar.left == pytest.approx((6.100 / whole) * SCALE, abs=0.1)
    assert bar.width == pytest.approx((0.300 / whole) * SCALE, abs=0.1)
    transform = next(row for row in found.rows if row.name == "Transform" and row.look == "retried")
    assert [bar.look for bar in transform.bars] == ["waiting", "failed", "succeeded"]
    assert transform.words == "succeeded, 2 tries"


def test_every_bar_is_on_the_scale_and_can_be_seen() -> None:
    for execution in (*stories.failed().executions, *stories.partly_rejected().executions):
        for row in timeline(execution).rows:
            assert row.bars
            for bar in row.bars:
                assert 0 <= bar.left < bar.left + bar.width <= SCALE + 0.1
                assert bar.width >= 1


def test_failed_tries_are_listed_with_error_and_time() -> None:
    troubles = stories.failed().executions[-1].troubles
    assert [trouble.number for trouble in troubles] == [1, 2, 3, 4, 5, 6, 7]
    assert {(trouble.name, trouble.one.error) for trouble in troubles} == {("Write", "TransientError")}
    first = stories.partly_rejected().executions[0].troubles
    assert [(trouble.name, trouble.one.error) for trouble in first] == [
        ("Transform, chunk 0", "States.Timeout"),
        ("Validate, chunk 1", ""),
    ]


def test_chunks_with_errors_and_the_longest_of_many_are_shown() -> None:
    found = timeline(stories.execution(stories.many_chunks(100, failing=3), "SUCCEEDED"))
    shown = [row.name for row in found.rows if row.level == 1]
    assert shown == [f"Chunk {number}" for number in (3, *range(93, 100))]
    assert found.chunks_left_out == 92


def test_only_chunks_with_errors_have_a_row_for_each_state() -> None:
    found = timeline(stories.execution(stories.many_chunks(4, failing=3), "SUCCEEDED"))
    names = [(row.name, row.level) for row in found.rows]
    well = [("Chunk 0", 1), ("Chunk 1", 1), ("Chunk 2", 1)]
    assert names == [("ProcessChunks", 0), *well, ("Chunk 3", 1), ("Validate", 2)]
    around, inner = found.rows[1].bars
    assert (around.look, inner.look, inner.words) == ("around", "succeeded", "Validate: try 1 succeeded")
    few = timeline(stories.execution(stories.many_chunks(3, failing=2), "SUCCEEDED"))
    assert [row.level for row in few.rows] == [0, 1, 2, 1, 2, 1, 2]


def test_the_timeline_of_a_running_execution_ends_now() -> None:
    execution = stories.execution(histories.troubled()[:-12], "RUNNING", stopped=None)
    found = timeline_of(execution, START + timedelta(seconds=10))
    assert found is not None
    assert found.ended == START + timedelta(seconds=10)
    assert "running" in {row.look for row in found.rows}


def test_an_execution_without_history_has_no_timeline() -> None:
    assert timeline_of(stories.execution([*histories.troubled()], "SUCCEEDED", steps=()), stories.WRITTEN) is None


def test_marks_show_retries_failures_and_unreached_states() -> None:
    marks = reached(stories.partly_rejected().executions[0])
    assert {name: (mark.outcome, mark.words) for name, mark in marks.items()} == {
        "PlanChunks": ("succeeded", "passed"),
        "ProcessChunks": ("retried", "2 chunks"),
        "Validate": ("retried", "1 of 2 retried"),
        "Transform": ("retried", "1 of 2 retried"),
        "Write": ("succeeded", "succeeded"),
        "AnyRejects": ("succeeded", "passed"),
        "NotifyRejects": ("succeeded", "succeeded"),
        "Published": ("succeeded", "reached"),
    }
    marks = reached(stories.failed().executions[-1])
    assert (marks["Write"].outcome, marks["Write"].words) == ("failed", "failed, 7 tries")
    assert marks["Failed"].outcome == "failed"
    assert "Published" not in marks
    aborted = reached(stories.failed().executions[0])
    assert aborted["ProcessChunks"].outcome == "stopped"


@pytest.mark.parametrize(
    ("story", "taken"),
    [
        (
            stories.failed(),
            {
                *(("PlanChunks", "ProcessChunks", False), ("Validate", "Transform", False)),
                *(("ProcessChunks", "Write", False), ("Write", "DescribeFailure", True)),
                *(("DescribeFailure", "RecordFailure", False), ("RecordFailure", "NotifyFailure", False)),
                ("NotifyFailure", "Failed", False),
            },
        ),
        (
            stories.published(),
            {
                *(("PlanChunks", "ProcessChunks", False), ("Validate", "Transform", False)),
                *(("ProcessChunks", "Write", False), ("Write", "AnyRejects", False)),
                ("AnyRejects", "Published", False),
            },
        ),
    ],
    ids=["failed", "published, on the local emulator"],
)
def test_taken_transitions_are_marked(story: stories.BatchHistory, taken: set[Transition]) -> None:
    assert story.latest is not None
    assert drawing_of(story.latest).taken == taken
