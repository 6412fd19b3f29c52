"""The billed parts of an execution, read from its history: tries, milliseconds, transitions."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.record_run.history import BilledQuantities, read_history
from functions.record_run.record import CHUNK_FUNCTIONS, function_of
from tests.statemachine import definition as asl
from tests.unit import histories


def tries(history: BilledQuantities) -> dict[str, tuple[int, int]]:
    return {state: (tries.number, tries.billed_ms) for state, tries in history.tries.items()}


@pytest.mark.parametrize("events", [histories.troubled(), histories.aborted()])
def test_the_test_histories_match_the_model_of_aws(events: list[Any]) -> None:
    client = boto3.client("stepfunctions", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:  # botocore has AWS's model
        stubber.add_response("get_execution_history", {"events": events})
        client.get_execution_history(executionArn="arn:aws:states:eu-central-1:1:execution:x:y")
    known = client.meta.service_model.shape_for("HistoryEventType").enum
    assert {event["type"] for event in events} <= set(known)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["previousEventId"] < event["id"] for event in events)


def test_tries_are_separate_where_iterations_interleave() -> None:
    history = read_history(histories.troubled())
    assert tries(history) == histories.TROUBLED_MS
    assert not any(tries.is_span or tries.unfinished for tries in history.tries.values())
    assert (history.publishes, history.events, history.ended) == (1, len(histories.troubled()), True)


def test_transitions_are_states_entered_and_retries() -> None:
    history = read_history(histories.troubled())
    outside = ["PlanChunks", "ProcessChunks", "Write", "AnyRejects", "NotifyRejects", "Published"]
    assert history.entered == len(outside) + 2 * len(CHUNK_FUNCTIONS)
    assert history.retries == 2
    assert history.transitions == 12


def test_an_unfinished_try_counts_until_the_end_of_the_execution() -> None:
    history = read_history(histories.aborted())
    validate = history.tries["Validate"]
    assert (validate.number, validate.unfinished) == (3, 2)
    assert validate.billed_ms == (500 - 100) + (300 - 200) + (500 - 450)
    assert history.retries == 1


@pytest.mark.parametrize("ends", [["ExecutionAborted"], ["TaskStateAborted", "ExecutionAborted"]])
def test_an_end_that_follows_a_running_try_counts_it(ends: list[str]) -> None:
    book = histories.Book()
    at = book.begin(5, book.enter("Task", "Write", 1, 0))
    for end in ends:
        at = book.add(end, 100, at)
    write = read_history(book.events).tries["Write"]
    assert (write.number, write.billed_ms, write.unfinished) == (1, 95, 1)


def test_a_try_that_could_not_start_is_not_billed() -> None:
    book = histories.Book()
    at = book.add(
        "LambdaFunctionStartFailed", 6, book.add("LambdaFunctionScheduled", 5, book.enter("Task", "Write", 1, 0))
    )
    at = book.add("LambdaFunctionStarted", 110, book.add("LambdaFunctionScheduled", 100, at))
    book.add("LambdaFunctionSucceeded", 112, at)
    history = read_history(book.events)
    assert (tries(history), history.retries) == ({"Write": (1, 2)}, 1)


def test_a_map_whose_inside_is_not_shown_is_one_span() -> None:
    history = read_history(histories.embedded())
    assert tries(history) == {"ProcessChunks": (4, 600), "Write": (1, 88)}
    assert [state for state, tries in history.tries.items() if tries.is_span] == ["ProcessChunks"]
    assert history.transitions == 4 + 4, "each task inside is one, as are the states outside"


def test_events_after_the_end_do_not_count() -> None:
    events = histories.embedded()
    late = [{**event, "id": event["id"] + len(events)} for event in events]
    assert read_history([*events, *late]) == read_history(events)


@pytest.mark.parametrize("events", [[], histories.troubled()[:-1]])
def test_a_history_without_an_end_is_not_marked_as_ended(events: list[Any]) -> None:
    assert not read_history(events).ended


def test_lambda_events_count_like_task_events() -> None:
    """A state that names a function's ARN as its resource has these."""
    book = histories.Book()
    at = book.add("LambdaFunctionScheduled", 5, book.enter("Task", "Write", 1, 0))
    at = book.add("LambdaFunctionTimedOut", 60, book.add("LambdaFunctionStarted", 10, at))
    at = book.add("LambdaFunctionStarted", 110, book.add("LambdaFunctionScheduled", 100, at))
    book.add("LambdaFunctionSucceeded", 112, at)
    history = read_history(book.events)
    assert (tries(history), history.transitions, history.publishes) == ({"Write": (2, 52)}, 2, 0)


def test_the_function_of_a_try_follows_from_its_state() -> None:
    """The name of the state gives the function of a try."""
    invoked = {name: asl.function_of(task) for name, task in asl.tasks(asl.load()).items()}
    assert {name: function_of(name) for name, function in invoked.items() if function} == {
        name: function for name, function in invoked.items() if function
    }
    inside = asl.load()["States"]["ProcessChunks"]["ItemProcessor"]["States"]
    assert tuple(asl.function_of(task) for task in inside.values()) == CHUNK_FUNCTIONS
