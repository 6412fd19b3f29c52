"""Each state of the definition as it is deployed, one at a time, by Step Functions' TestState.

Tasks and the Map are given a mock, so that no function runs and no role is needed. A state without one takes no
context object either: what it reads of that is put into its input
(docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.config import Config

from pipeline.smoke.model import Check, expect
from pipeline.smoke.trial import Trial

_NO_MAP = "tries no Map by itself"
_CATCH_FIRST = "looks at Catch before Retry when it tries a state by itself"

_BATCH = {
    "batch_id": "orders-0123",
    "last_chunk": 2,
    "source": {"bucket": "ingest", "key": "incoming/orders/{} \"Bücher\" + 'x'.jsonl"},
}
_UNKNOWN = {
    "Error": "UnknownError",
    "Cause": "The state machine gave no cause; look at the execution's history.",
}
_PLANNED = {"batch": _BATCH, "chunks": [0, 1, 2], "failure": _UNKNOWN}
_CHUNK = {"batch": _BATCH, "chunk": 1}
_NOTICE = {"subject": "s", "message": "m"}
_BROKEN = {"Error": "MalformedDocumentError", "Cause": "It is not JSON."}
_CAUGHT = {**_PLANNED, "error": _BROKEN}
_DESCRIBED = {"batch": _BATCH, "execution": "orders-0123", "failure": _BROKEN, "notice": _NOTICE}


def _written(rejected: int) -> dict[str, Any]:
    return {**_PLANNED, "written": {"rejected": rejected, "notice": _NOTICE}}


@dataclass(frozen=True)
class Case:
    """One state, what it is given, and what must come of it."""

    state: str
    when: str
    given: Mapping[str, Any]
    expected: Mapping[str, Any]
    """Of TestState's answer; `output` as JSON."""
    result: Any = None
    """What the task or the Map answers."""
    error: str = ""
    """The error that it ends in instead."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """TestState's stateConfiguration."""
    not_local: str = ""

    @property
    def name(self) -> str:
        return f"state {self.state}, {self.when}"


def _answers(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the task of a function answers."""
    return {"ExecutedVersion": "1", "Payload": payload, "StatusCode": 200}


CASES = (
    Case(
        "PlanChunks",
        "three chunks",
        _BATCH,
        {"status": "SUCCEEDED", "nextState": "ProcessChunks", "output": _PLANNED},
    ),
    Case(
        "ProcessChunks",
        "all well",
        _PLANNED,
        {"status": "SUCCEEDED", "nextState": "Write", "output": _PLANNED},
        result=[{"chunk": 0}, {"chunk": 1}, {"chunk": 2}],
        not_local=_NO_MAP,
    ),
    Case(
        "ProcessChunks",
        "a chunk fails",
        _PLANNED,
        {"status": "CAUGHT_ERROR", "nextState": "DescribeFailure", "output": _CAUGHT},
        error="MalformedDocumentError",
        settings={"errorCausedByState": "Validate"},
        not_local=_NO_MAP,
    ),
    Case(
        "Validate",
        "all well",
        _CHUNK,
        {"status": "SUCCEEDED", "nextState": "Transform", "output": _CHUNK},
        result=_answers({"chunk": 1}),
    ),
    Case("Validate", "a fault that passes", _CHUNK, {"status": "RETRIABLE"}, error="TransientError"),
    Case(
        "Validate",
        "retries used up",
        _CHUNK,
        {"status": "FAILED", "error": "TransientError"},
        error="TransientError",
        settings={"retrierRetryCount": 6},
    ),
    Case(
        "Validate",
        "a data error",
        _CHUNK,
        {"status": "FAILED", "error": "MalformedDocumentError"},
        error="MalformedDocumentError",
    ),
    Case(
        "Transform",
        "all well",
        _CHUNK,
        {"status": "SUCCEEDED", "output": {"chunk": 1}},
        result=_answers({"chunk": 1}),
    ),
    Case(
        "Write",
        "all well",
        _PLANNED,
        {"status": "SUCCEEDED", "nextState": "AnyRejects", "output": _written(2)},
        result=_answers({"rejected": 2, "notice": _NOTICE, "more": 1}),
    ),
    Case(
        "Write",
        "a fault that passes",
        _PLANNED,
        {"status": "RETRIABLE"},
        error="TransientError",
        not_local=_CATCH_FIRST,
    ),
    Case(
        "Write",
        "a data error",
        _PLANNED,
        {"status": "CAUGHT_ERROR", "nextState": "DescribeFailure", "output": _CAUGHT},
        error="MalformedDocumentError",
    ),
    Case("AnyRejects", "none", _written(0), {"status": "SUCCEEDED", "nextState": "Published"}),
    Case("AnyRejects", "some", _written(2), {"status": "SUCCEEDED", "nextState": "NotifyRejects"}),
    Case(
        "NotifyRejects",
        "all well",
        _written(2),
        {"status": "SUCCEEDED", "nextState": "Published"},
        result={"MessageId": "m"},
    ),
    Case(
        "NotifyRejects",
        "retries used up",
        _written(2),
        {"status": "CAUGHT_ERROR", "nextState": "NoticeNotSent"},
        error="SNS.AuthorizationErrorException",
        settings={"retrierRetryCount": 5},
    ),
    Case("Published", "all well", _written(0), {"status": "SUCCEEDED"}),
    Case("NoticeNotSent", "all well", _CAUGHT, {"status": "FAILED", "error": _BROKEN["Error"]}),
    Case(
        "DescribeFailure",
        "all well",
        {**_CAUGHT, "execution": "orders-0123"},
        {
            "status": "SUCCEEDED",
            "nextState": "RecordFailure",
            "output": {
                **_DESCRIBED,
                "notice": {
                    "subject": "A file could not be processed",
                    "message": "s3://ingest/incoming/orders/{} \"Bücher\" + 'x'.jsonl could not be processed "
                    "(MalformedDocumentError), and its failure record could not be written. Next: look at the "
                    "execution orders-0123 in the Step Functions console, then run the batch again. Batch: "
                    "orders-0123.",
                },
            },
        },
    ),
    Case(
        "RecordFailure",
        "all well",
        _DESCRIBED,
        {"status": "SUCCEEDED", "nextState": "NotifyFailure", "output": {**_DESCRIBED, "notice": _NOTICE}},
        result=_answers({**_NOTICE, "more": 1}),
    ),
    Case(
        "RecordFailure",
        "a data error",
        _DESCRIBED,
        {"status": "CAUGHT_ERROR", "nextState": "NotifyFailure"},
        error="ConfigurationError",
    ),
    Case(
        "NotifyFailure",
        "all well",
        _DESCRIBED,
        {"status": "SUCCEEDED", "nextState": "Failed", "output": _DESCRIBED},
        result={"MessageId": "m"},
    ),
    Case("Failed", "all well", _DESCRIBED, {"status": "FAILED", "error": _BROKEN["Error"], "cause": _BROKEN["Cause"]}),
)


def request(definition: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """TestState's parameters for a case, of the definition that the state is in."""
    state = json.dumps(states(definition)[case.state]).replace("$$.Execution.Name", "$.execution")
    asked: dict[str, Any] = {"definition": state, "input": json.dumps(case.given)}
    if case.error:
        asked["mock"] = {"errorOutput": {"error": case.error, "cause": _BROKEN["Cause"]}}
    elif case.result is not None:  # the shape of what AWS answers is not what is tried
        asked["mock"] = {"result": json.dumps(case.result), "fieldValidationMode": "NONE"}
    return {**asked, "stateConfiguration": dict(case.settings)} if case.settings else asked


def states(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Every state by its name, those inside the Map too."""
    outer: dict[str, Any] = definition["States"]
    inner = [state["ItemProcessor"]["States"] for state in outer.values() if "ItemProcessor" in state]
    return {name: state for machine in (outer, *inner) for name, state in machine.items()}


def _try(case: Case, trial: Trial) -> str:
    answer = _client(trial).test_state(**request(trial.definition, case))
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
    answer = trial.place.step_functions.validate_state_machine_definition(
        definition=json.dumps(trial.definition), type="STANDARD", severity="WARNING"
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
