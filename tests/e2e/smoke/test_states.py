"""Each state of the definition as it is deployed, one at a time, by Step Functions' TestState.

Tasks and the Map are given a mock, so that no function runs and no role is needed. A state without one takes no
context object either: what it reads of that is put into its input
(docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.config import Config

from tests.e2e.smoke.state_cases import BROKEN, CASES, Case
from tests.e2e.smoke.trial import Trial


def params() -> list[Any]:
    """A parameter for each case, under its name in the summary."""
    omitted = [{"not_local": case.not_local} if case.not_local else {} for case in CASES]
    marks = [pytest.mark.check(case.name, **why) for case, why in zip(CASES, omitted, strict=True)]
    return [pytest.param(case, id=case.name, marks=mark) for case, mark in zip(CASES, marks, strict=True)]


@pytest.mark.parametrize("case", params())
def test_a_state_has_the_expected_result(trial: Trial, found: Callable[[str], None], case: Case) -> None:
    answer = client_of(trial).test_state(**request(trial.definition(), case))
    result = {name: answer.get(name) for name in case.expected}
    if "output" in result:
        result["output"] = json.loads(str(result["output"]))
    assert result == dict(case.expected)
    found(f"{answer['status']}, next {answer['nextState']}" if "nextState" in answer else answer["status"])


@pytest.mark.check("the definition", not_local="takes every definition for valid")
def test_step_functions_finds_no_error_in_the_definition(trial: Trial, found: Callable[[str], None]) -> None:
    answer = trial.place.step_functions().validate_state_machine_definition(
        definition=json.dumps(trial.definition()), type="STANDARD", severity="WARNING"
    )
    diagnostics = [f"{one['severity']} {one['code']} at {one.get('location', '/')}" for one in answer["diagnostics"]]
    assert [one for one in diagnostics if one.startswith("ERROR")] == []
    assert answer["result"] == "OK"
    found(", ".join(diagnostics) or "no error and no warning")


def request(definition: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """TestState's parameters for a case, with the state's definition."""
    state = json.dumps(states(definition)[case.state]).replace("$$.Execution.Name", "$.execution")
    parameters: dict[str, Any] = {"definition": state, "input": json.dumps(case.given)}
    if case.error:
        parameters["mock"] = {"errorOutput": {"error": case.error, "cause": BROKEN["Cause"]}}
    elif case.result is not None:  # the shape of AWS's responses isn't tested here
        parameters["mock"] = {"result": json.dumps(case.result), "fieldValidationMode": "NONE"}
    return {**parameters, "stateConfiguration": dict(case.settings)} if case.settings else parameters


def states(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Every state by its name, including those inside the Map."""
    outer: dict[str, Any] = definition["States"]
    inner = [state["ItemProcessor"]["States"] for state in outer.values() if "ItemProcessor" in state]
    return {name: state for machine in (outer, *inner) for name, state in machine.items()}


def client_of(trial: Trial) -> Any:
    """A client that calls the embedded AWS by its only host name: TestState's host has the prefix sync-."""
    return trial.place.client("stepfunctions", Config(inject_host_prefix=trial.place.name == "aws"))
