"""Each state of the definition as it is deployed, one at a time, by Step Functions' TestState.

Tasks and the Map are given a mock, so that no function runs and no role is needed. A state without one takes no
context object either: what it reads of that is put into its input
(docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html).
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from botocore.config import Config

from pipeline.smoke.model import Check, expect
from pipeline.smoke.state_cases import BROKEN, CASES, Case
from pipeline.smoke.trial import Trial


def request(definition: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """TestState's parameters for a case, of the definition that the state is in."""
    state = json.dumps(states(definition)[case.state]).replace("$$.Execution.Name", "$.execution")
    asked: dict[str, Any] = {"definition": state, "input": json.dumps(case.given)}
    if case.error:
        asked["mock"] = {"errorOutput": {"error": case.error, "cause": BROKEN["Cause"]}}
    elif case.result is not None:  # the shape of what AWS answers is not what is tried
        asked["mock"] = {"result": json.dumps(case.result), "fieldValidationMode": "NONE"}
    return {**asked, "stateConfiguration": dict(case.settings)} if case.settings else asked


def states(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Every state by its name, those inside the Map too."""
    outer: dict[str, Any] = definition["States"]
    inner = [state["ItemProcessor"]["States"] for state in outer.values() if "ItemProcessor" in state]
    return {name: state for machine in (outer, *inner) for name, state in machine.items()}


def _try(case: Case, trial: Trial) -> str:
    answer = _client(trial).test_state(**request(trial.definition(), case))
    found = {name: answer.get(name) for name in case.expected}
    if "output" in found:
        found["output"] = json.loads(str(found["output"]))
    expect(found, dict(case.expected), "TestState answers")
    return f"{answer['status']}, next {answer['nextState']}" if "nextState" in answer else answer["status"]


def _client(trial: Trial) -> Any:
    """A client that asks the embedded AWS under its one name: TestState has a host of its own, sync-states."""
    return trial.place.client("stepfunctions", Config(inject_host_prefix=trial.place.name == "aws"))


def definition_valid(trial: Trial) -> str:
    """Step Functions itself finds no error in the definition; of what it finds besides it is told."""
    answer = trial.place.step_functions().validate_state_machine_definition(
        definition=json.dumps(trial.definition()), type="STANDARD", severity="WARNING"
    )
    found = [f"{one['severity']} {one['code']} at {one.get('location', '/')}" for one in answer["diagnostics"]]
    expect(
        (answer["result"], [one for one in found if one.startswith("ERROR")]), ("OK", []), "what Step Functions finds"
    )
    return ", ".join(found) or "no error and no warning"


CHECKS = (
    Check("the definition", definition_valid, not_local="takes every definition for valid"),
    *(Check(case.name, partial(_try, case), case.not_local) for case in CASES),
)
