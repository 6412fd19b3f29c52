"""The states that an execution visited, read from its history: tries, chunks, caught errors, unreached states."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.execution_history.model import Ended, Step
from functions.common.execution_history.outcomes import not_reached, read_steps
from tests.statemachine import definition as asl
from tests.unit import histories

DEFINITION = asl.load()


def by_name(steps: tuple[Step, ...]) -> dict[str, Step]:
    return {step.name: step for step in steps}


def test_states_come_in_order_with_their_outcomes() -> None:
    steps = read_steps(histories.troubled(), DEFINITION)
    expected = ["PlanChunks", "ProcessChunks", "Write", "AnyRejects", "NotifyRejects", "Published"]
    assert [step.name for step in steps] == expected
    assert {step.outcome for step in steps} == {Ended.SUCCEEDED}
    assert [step.kind for step in steps] == ["Pass", "Map", "Task", "Choice", "Task", "Succeed"]
    assert all(step.exited and step.entered <= step.exited for step in steps)


def test_a_chunk_has_its_own_steps_and_tries() -> None:
    first, second = by_name(read_steps(histories.troubled()))["ProcessChunks"].chunks
    assert (first.number, second.number) == (0, 1)
    assert first.outcome is second.outcome is Ended.SUCCEEDED
    tries = {
        (chunk.number, step.name): [(one.outcome, one.seconds) for one in step.tries]
        for chunk in (first, second)
        for step in chunk.steps
    }
    assert tries == {
        (0, "Validate"): [(Ended.SUCCEEDED, 0.1)],
        (0, "Transform"): [(Ended.TIMED_OUT, 1.0), (Ended.SUCCEEDED, 0.0505)],
        (1, "Validate"): [(Ended.FAILED, 0.04), (Ended.SUCCEEDED, 0.2)],
        (1, "Transform"): [(Ended.SUCCEEDED, 0.06)],
    }
    assert [step.retries for step in first.steps] == [0, 1]


def test_an_unfinished_state_is_running_until_it_is_cut_off() -> None:
    events = histories.aborted()
    [running] = read_steps(events[:-2], DEFINITION)
    assert running.outcome is Ended.RUNNING
    assert [chunk.outcome for chunk in running.chunks] == [Ended.RUNNING] * 2
    assert [one.outcome for one in running.chunks[1].steps[0].tries] == [Ended.FAILED, Ended.RUNNING]
    [aborted] = read_steps(events, DEFINITION)
    assert aborted.outcome is Ended.ABORTED
    assert [chunk.outcome for chunk in aborted.chunks] == [Ended.ABORTED] * 2
    assert [one.outcome for one in aborted.chunks[1].steps[0].tries] == [Ended.FAILED, Ended.ABORTED]


@pytest.mark.parametrize(
    ("end", "expected"), [("ExecutionTimedOut", Ended.TIMED_OUT), ("ExecutionFailed", Ended.FAILED)]
)
def test_a_state_that_the_end_cut_off_ended_as_the_execution_did(end: str, expected: Ended) -> None:
    book = histories.Book()
    at = book.begin(5, book.enter("Task", "Write", 1, 0))
    book.add(end, 100, at)
    [write] = read_steps(book.events, DEFINITION)
    assert (write.outcome, write.tries[0].outcome, write.tries[0].seconds) == (expected, expected, 0.095)


def test_a_caught_failure_has_error_and_cause_without_the_stack_trace() -> None:
    book = histories.Book()
    at = book.begin(5, book.enter("Task", "Write", 1, 0))
    cause = '{"errorMessage": "No.", "errorType": "ContractError", "stackTrace": ["secret"]}'
    at = book.add("TaskFailed", 9, at, taskFailedEventDetails={"error": "ContractError", "cause": cause})
    at = book.leave("Task", "Write", 10, at)
    at = book.enter("Pass", "DescribeFailure", 11, at)
    write, _ = read_steps(book.events)
    assert (write.outcome, write.error, write.cause) == (Ended.CAUGHT, "ContractError", "No.")


def failed_on_embedded() -> list[dict[str, Any]]:
    """The history of a chunk that succeeded after a retry and of one that failed, on the local emulator."""
    failed = {"taskFailedEventDetails": {"error": "TransientError", "cause": "AWS returned SlowDown."}}
    broken = {"taskFailedEventDetails": {"error": "MalformedDocumentError", "cause": "It ends inside."}}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("ExecutionStarted", {}),
        ("MapStateEntered", {"stateEnteredEventDetails": {"name": "ProcessChunks"}}),
        *[("TaskScheduled", {})] * 2,
        ("TaskFailed", failed),
        ("TaskScheduled", {}),
        ("TaskFailed", broken),
        ("MapStateExited", {"stateExitedEventDetails": {"name": "ProcessChunks"}}),
        ("PassStateEntered", {"stateEnteredEventDetails": {"name": "DescribeFailure"}}),
        ("PassStateExited", {"stateExitedEventDetails": {"name": "DescribeFailure"}}),
        ("FailStateEntered", {"stateEnteredEventDetails": {"name": "Failed"}}),
        ("ExecutionFailed", {"executionFailedEventDetails": {"error": "MalformedDocumentError"}}),
        ("TaskSucceeded", {}),
    ]
    return [
        {"id": number, "type": kind, "timestamp": histories.START, **details}
        for number, (kind, details) in enumerate(kinds, 1)
    ]


def test_a_history_without_chunks_has_no_chunks() -> None:
    chunks, *_ = read_steps(failed_on_embedded(), DEFINITION)
    assert (chunks.inside_untold, chunks.scheduled, chunks.chunks, chunks.retries) == (True, 3, [], 0)
    assert [(one.started, one.error) for one in chunks.tries] == [
        (None, "TransientError"),
        (None, "MalformedDocumentError"),
    ]
    assert (chunks.outcome, chunks.error) == (Ended.CAUGHT, "MalformedDocumentError")


def test_a_map_that_continued_after_a_retry_is_not_marked_as_caught() -> None:
    chunks = by_name(read_steps(histories.embedded(), DEFINITION))["ProcessChunks"]
    assert (chunks.outcome, chunks.scheduled, chunks.inside_untold) == (Ended.SUCCEEDED, 4, True)


def test_unreached_states_are_in_the_order_of_the_definition() -> None:
    steps = read_steps(histories.troubled(), DEFINITION)
    assert not_reached(steps, DEFINITION) == (
        *("NoticeNotSent", "DescribeFailure", "RecordFailure", "NotifyFailure", "Failed"),
    )
    steps = read_steps(failed_on_embedded(), DEFINITION)
    assert "Validate" not in not_reached(steps, DEFINITION), "who knows?"
    assert "Write" in not_reached(steps, DEFINITION)
    assert not_reached((), DEFINITION)[:3] == ("PlanChunks", "ProcessChunks", "Validate")


def test_a_redriven_execution_continues_where_it_stopped() -> None:
    book = histories.Book()
    at = book.begin(5, book.enter("Task", "Write", 1, 0))
    at = book.add("ExecutionAborted", 100, at)
    at = book.add("ExecutionRedriven", 200, at, executionRedrivenEventDetails={"redriveCount": 1})
    at = book.end("Succeeded", 300, book.begin(210, at))
    book.leave("Task", "Write", 301, at)
    [write] = read_steps(book.events)
    assert write.outcome is Ended.SUCCEEDED
    assert [one.outcome for one in write.tries] == [Ended.ABORTED, Ended.SUCCEEDED]


@given(st.data())
def test_a_history_with_missing_events_is_read(data: Any) -> None:
    """A history without some of its events must not break the reader."""
    events = data.draw(st.sampled_from([histories.troubled(), histories.aborted(), failed_on_embedded()]))
    kept = data.draw(st.lists(st.sampled_from(range(len(events))), unique=True))
    steps = read_steps([events[at] for at in sorted(kept)], DEFINITION)
    assert all(step.name for step in steps)
