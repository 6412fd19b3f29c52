"""What is billed of an execution, read from its history: tries, milliseconds, transitions."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.record_run.history import History, read_history
from functions.record_run.record import CHUNK_FUNCTIONS, function_of
from tests.statemachine import definition as asl
from tests.unit import histories


def tries(history: History) -> dict[str, tuple[int, int]]:
    return {state: (tries.number, tries.billed_ms) for state, tries in history.tries.items()}


@pytest.mark.parametrize("events", [histories.troubled(), histories.aborted()])
def test_the_histories_here_are_such_as_aws_gives(events: list[Any]) -> None:
    client = boto3.client("stepfunctions", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:  # it knows AWS's model
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


def test_a_try_that_was_under_way_counts_until_the_end() -> None:
    history = read_history(histories.aborted())
    validate = history.tries["Validate"]
    assert (validate.number, validate.unfinished) == (3, 2)
    assert validate.billed_ms == (500 - 100) + (300 - 200) + (500 - 450)
    assert history.retries == 1


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
def test_a_history_that_has_not_ended_says_so(events: list[Any]) -> None:
    assert not read_history(events).ended


def test_lambda_events_count_as_tasks_do() -> None:
    """A state that names a function's ARN as its resource has these."""
    book = histories.Book()
    at = book.add("LambdaFunctionScheduled", 5, book.enter("Task", "Write", 1, 0))
    at = book.add("LambdaFunctionTimedOut", 60, book.add("LambdaFunctionStarted", 10, at))
    at = book.add("LambdaFunctionStarted", 110, book.add("LambdaFunctionScheduled", 100, at))
    book.add("LambdaFunctionSucceeded", 112, at)
    history = read_history(book.events)
    assert (tries(history), history.transitions, history.publishes) == ({"Write": (2, 52)}, 2, 0)


def test_a_function_is_called_as_its_state_is() -> None:
    """What function a try was of follows from the state's name."""
    invoked = {name: asl.function_of(task) for name, task in asl.tasks(asl.load()).items()}
    assert {name: function_of(name) for name, function in invoked.items() if function} == {
        name: function for name, function in invoked.items() if function
    }
    inside = asl.load()["States"]["ProcessChunks"]["ItemProcessor"]["States"]
    assert tuple(asl.function_of(task) for task in inside.values()) == CHUNK_FUNCTIONS
