"""The structure of the definition: what can be checked without running it, and what no emulator enforces."""

import json
import re
from typing import Any

import pytest

from functions.common import errors
from functions.common.errors import PipelineError, SourceNotVisibleError, TransientError
from functions.common.planning import MAX_CHUNKS
from pipeline import ROOT
from tests.statemachine import definition as asl

DEFINITION = asl.load()
STATES = asl.states(DEFINITION)
TASKS = asl.tasks(DEFINITION)
RETRIERS = [(name, retrier) for name, task in TASKS.items() for retrier in task["Retry"]]
PIPELINE_ERRORS = {
    name: error for name, error in vars(errors).items() if isinstance(error, type) and issubclass(error, PipelineError)
}
CATCHING = [
    name
    for name, state in DEFINITION["States"].items()
    if state["Type"] in ("Task", "Map")  # only the outermost machine: a Catch can't leave a Map
]

NOT_VISIBLE = SourceNotVisibleError.__name__
"""Its retrier is tested in test_visibility.py."""

SERVICE_ERRORS = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}
"""Faults of Lambda that pass: step-functions/latest/dg/bp-lambda-serviceexception."""

FIELDS = {
    "Pass": {"Comment", "Parameters", "Next"},
    "Task": {
        *("Resource", "Parameters", "TimeoutSeconds", "Retry", "Catch"),
        *("ResultSelector", "ResultPath", "Next", "End"),
    },
    "Map": {"ItemsPath", "MaxConcurrency", "ItemSelector", "ItemProcessor", "ResultPath", "Catch", "Next"},
    "Choice": {"Choices", "Default"},
    "Succeed": set(),
    "Fail": {"Comment", "ErrorPath", "CausePath"},
}
"""The fields that are used of each type of state; AWS refuses a misspelt one, emulators pass over it."""

RULE_FIELDS = {
    "Retry": {"ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxAttempts", "MaxDelaySeconds", "JitterStrategy"},
    "Catch": {"ErrorEquals", "ResultPath", "Next"},
    "Choices": {"Variable", "NumericGreaterThan", "Next"},
}


def strings(value: Any) -> list[str]:
    """Every string in a JSON value, including keys."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *strings(item))]
    return [text for item in value for text in strings(item)] if isinstance(value, list) else []


# --- the file ---------------------------------------------------------------------------------------------------------


def test_every_placeholder_is_inside_a_string_and_is_filled_by_terraform() -> None:
    source = asl.PATH.read_text("utf-8")
    in_strings = {name for text in strings(json.loads(source)) for name in asl.placeholders(text)}
    terraform = (ROOT / "infra" / "state_machine.tf").read_text("utf-8")
    call = re.search(r"templatefile\(local\.definition_file, \{(.*?)\}\)", terraform, re.DOTALL)
    assert call, "infra/state_machine.tf no longer renders the definition with templatefile"
    filled = set(re.findall(r"^\s*(\w+)\s*=", call[1], re.MULTILINE))
    assert asl.placeholders(source) == in_strings == filled


def test_the_definition_uses_only_plain_placeholders() -> None:
    """`render` supports only plain placeholders: no escapes, directives or expressions of Terraform's templates."""
    source = asl.PATH.read_text("utf-8")
    assert "%{" not in source
    assert "$${" not in source
    assert source.count("${") == len(re.findall(r"\$\{\w+\}", source))


def test_the_query_language_is_jsonpath() -> None:
    """JSONPath is the default, and the only query language that every local engine supports."""
    languages = [part.get("QueryLanguage", "JSONPath") for part in (DEFINITION, *STATES.values())]
    assert set(languages) == {"JSONPath"}
    assert not [text for text in strings(DEFINITION) if text.startswith("{%")]


@pytest.mark.parametrize("name", STATES)
def test_a_state_has_only_known_fields(name: str) -> None:
    state = STATES[name]
    assert set(state) - {"Type"} <= FIELDS[state["Type"]], "AWS refuses a definition with an unknown field"
    for field, known in RULE_FIELDS.items():
        assert all(set(rule) == known for rule in state.get(field, ()))
    assert len(name) <= 80


def test_the_machines_have_only_known_fields() -> None:
    outer, inner = asl.machines(DEFINITION)
    assert set(outer) == {"Comment", "StartAt", "TimeoutSeconds", "States"}
    assert set(inner) == {"ProcessorConfig", "StartAt", "States"}


def test_no_two_states_share_a_name() -> None:
    names = [name for machine in asl.machines(DEFINITION) for name in machine["States"]]
    assert sorted(names) == sorted(set(names)), "a name must be unique in the whole definition"


# --- the graph --------------------------------------------------------------------------------------------------------


def test_every_state_can_be_reached() -> None:
    for machine in asl.machines(DEFINITION):
        assert asl.reachable(machine, machine["StartAt"]) == set(machine["States"])


def test_only_succeed_and_fail_end_the_execution() -> None:
    ends = {name: state["Type"] for name, state in DEFINITION["States"].items() if not asl.successors(state)}
    assert ends == {"Published": "Succeed", "NoticeNotSent": "Fail", "Failed": "Fail"}


@pytest.mark.parametrize("name", CATCHING)
def test_every_path_after_a_catch_ends_in_a_fail_state(name: str) -> None:
    for catcher in DEFINITION["States"][name]["Catch"]:
        path = asl.reachable(DEFINITION, catcher["Next"])
        ends = {
            DEFINITION["States"][state]["Type"] for state in path if not asl.successors(DEFINITION["States"][state])
        }
        assert ends == {"Fail"}, f"from the Catch of {name} the execution can end as {ends}"


@pytest.mark.parametrize("name", CATCHING)
def test_every_state_outside_the_map_catches_everything_and_keeps_its_input(name: str) -> None:
    catchers = DEFINITION["States"][name]["Catch"]
    assert [catcher["ErrorEquals"] for catcher in catchers] == [["States.ALL"]]
    assert re.fullmatch(r"\$\.\w*error", catchers[0]["ResultPath"]), "`$` would replace the batch with the error"


def test_every_path_to_failed_records_the_failure_and_notifies() -> None:
    """Without RecordFailure or NotifyFailure there is no path from DescribeFailure to Failed."""
    for left_out in ("RecordFailure", "NotifyFailure"):
        others = {name: state for name, state in DEFINITION["States"].items() if name != left_out}
        others[left_out] = {"Type": "Succeed"}
        assert "Failed" not in asl.reachable({"States": others}, "DescribeFailure")


def test_a_fail_state_reports_the_error_and_cause_of_its_input() -> None:
    fails = {name: state for name, state in STATES.items() if state["Type"] == "Fail"}
    assert {name: (state["ErrorPath"], state["CausePath"]) for name, state in fails.items()} == {
        "Failed": ("$.failure.Error", "$.failure.Cause"),
        "NoticeNotSent": ("$.error.Error", "$.error.Cause"),
    }


def test_the_results_of_the_map_are_discarded() -> None:
    """The results of many chunks would exceed the 256 KiB that states can pass on."""
    maps = [state for state in STATES.values() if state["Type"] == "Map"]
    assert len(maps) == 1
    assert maps[0]["ResultPath"] is None
    assert maps[0]["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}
    assert 1 <= maps[0]["MaxConcurrency"] <= 40, "an inline Map runs at most 40 at once"


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_tasks_only_invoke_functions_and_publish_notifications() -> None:
    invoked = {name: asl.function_of(task) for name, task in TASKS.items() if task["Resource"] == asl.LAMBDA}
    assert invoked == {
        "Validate": "validate",
        "Transform": "transform",
        "Write": "write",
        "RecordFailure": "record_failure",
    }
    assert {name for name, task in TASKS.items() if task["Resource"] == asl.SNS} == {"NotifyRejects", "NotifyFailure"}
    assert len(TASKS) == 6


@pytest.mark.parametrize("name", TASKS)
def test_the_timeout_of_a_task_is_ten_seconds_longer_than_that_of_its_function(name: str) -> None:
    """For every timeout that infra/variables.tf allows, the function's own timeout comes first and reports more."""
    variables = (ROOT / "infra" / "variables.tf").read_text("utf-8")
    every, record_failure = (
        re.search(pattern, variables)
        for pattern in (
            r"for seconds in values\(var\.timeout_seconds\) : seconds >= 1 && seconds <= (\d+)",
            r"condition\s*= var\.timeout_seconds\.record_failure <= (\d+)",
        )
    )
    assert every, "infra/variables.tf no longer bounds timeout_seconds"
    assert record_failure, "infra/variables.tf no longer bounds timeout_seconds.record_failure"
    longest = {"record_failure": int(record_failure[1]), None: 0}.get(asl.function_of(TASKS[name]), int(every[1]))
    assert TASKS[name]["TimeoutSeconds"] >= longest + 10
    assert TASKS[name]["TimeoutSeconds"] < DEFINITION["TimeoutSeconds"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_invokes_a_function_is_retried_for_named_errors_only(name: str) -> None:
    retried = {error for retrier in TASKS[name]["Retry"] for error in retrier["ErrorEquals"]}
    assert "States.ALL" not in retried
    if TASKS[name]["Resource"] == asl.LAMBDA:
        assert retried >= {*SERVICE_ERRORS, "Lambda.CodeArtifactUserPendingException", "TransientError"}
        assert "States.TaskFailed" not in retried, "it matches every error of a function, including data errors"
    else:
        assert retried == {"States.TaskFailed", "States.Timeout"}


@pytest.mark.parametrize(("name", "retrier"), [one for one in RETRIERS if NOT_VISIBLE not in one[1]["ErrorEquals"]])
def test_a_retrier_has_exponential_backoff_with_a_limit_and_full_jitter(name: str, retrier: asl.State) -> None:
    assert retrier["JitterStrategy"] == "FULL"
    assert retrier["BackoffRate"] > 1
    assert 1 <= retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 120
    assert retrier["MaxAttempts"] >= 1


@pytest.mark.parametrize("name", TASKS)
def test_each_error_is_in_only_one_retrier(name: str) -> None:
    """The first match decides. A second entry would have no effect."""
    errors_of_task = [error for retrier in TASKS[name]["Retry"] for error in retrier["ErrorEquals"]]
    assert len(errors_of_task) == len(set(errors_of_task))


def test_every_error_name_in_the_definition_is_an_error_class_and_no_data_error_is_retried() -> None:
    """Names without a dot are names of Python classes. Data errors must not be retried."""
    rules = [
        *(retrier for _, retrier in RETRIERS),
        *(catcher for state in STATES.values() for catcher in state.get("Catch", ())),
    ]
    named = {error for rule in rules for error in rule["ErrorEquals"] if "." not in error}
    assert named <= PIPELINE_ERRORS.keys(), "functions/common/errors.py has no such class"
    retried = {error for _, retrier in RETRIERS for error in retrier["ErrorEquals"] if error in PIPELINE_ERRORS}
    assert retried == {TransientError.__name__, NOT_VISIBLE}
    assert not TransientError.__subclasses__(), "AWS matches names, not base classes: a subclass would not be retried"


# --- limits of AWS ----------------------------------------------------------------------------------------------------


def test_the_definition_numbers_up_to_the_maximum_of_chunks() -> None:
    ranges = [text for text in strings(DEFINITION) if text.startswith("States.ArrayRange(")]
    assert ranges == ["States.ArrayRange(0, $.last_chunk, 1)"]
    assert MAX_CHUNKS <= 1_000, "States.ArrayRange makes at most 1,000 elements"
