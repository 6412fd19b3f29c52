"""The expected result of each state of the definition, case by case."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NO_MAP = "tries no Map by itself"
_CATCH_FIRST = "looks at Catch before Retry when it tries a state by itself"

_BATCH = {
    "batch_id": "orders-0123",
    "last_chunk": 2,
    "source": {"bucket": "ingest", "key": "incoming/orders/{} \"Bücher\" + 'x'.jsonl"},
}
_UNKNOWN = {
    "Error": "UnknownError",
    "Cause": "The state machine gave no cause. See the execution's history in Step Functions.",
}
_PLANNED = {"batch": _BATCH, "chunks": [0, 1, 2], "failure": _UNKNOWN}
_CHUNK = {"batch": _BATCH, "chunk": 1}
_NOTIFICATION = {"subject": "s", "message": "m"}
BROKEN = {"Error": "MalformedDocumentError", "Cause": "It is not JSON."}
_CAUGHT = {**_PLANNED, "error": BROKEN}
_DESCRIBED = {"batch": _BATCH, "execution": "orders-0123", "failure": BROKEN, "notice": _NOTIFICATION}


def _written(unnotified: int) -> dict[str, Any]:
    return {**_PLANNED, "written": {"rejected": 2, "unnotified": unnotified, "notice": _NOTIFICATION}}


@dataclass(frozen=True)
class Case:
    """One state, its input, and the expected result."""

    state: str
    when: str
    given: Mapping[str, Any]
    expected: Mapping[str, Any]
    """Members of TestState's response; `output` as JSON."""
    result: Any = None
    """The result of the task or the Map."""
    error: str = ""
    """The error of the task, instead of a result."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """TestState's stateConfiguration."""
    not_local: str = ""

    @property
    def name(self) -> str:
        return f"state {self.state}, {self.when}"


def _lambda_result(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a Lambda task."""
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
        result=_lambda_result({"chunk": 1}),
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
        result=_lambda_result({"chunk": 1}),
    ),
    Case(
        "Write",
        "all well",
        _PLANNED,
        {"status": "SUCCEEDED", "nextState": "AnyRejects", "output": _written(2)},
        result=_lambda_result({"rejected": 2, "unnotified": 2, "notice": _NOTIFICATION, "more": 1}),
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
    Case("NoticeNotSent", "all well", _CAUGHT, {"status": "FAILED", "error": BROKEN["Error"]}),
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
        {"status": "SUCCEEDED", "nextState": "NotifyFailure", "output": {**_DESCRIBED, "notice": _NOTIFICATION}},
        result=_lambda_result({**_NOTIFICATION, "more": 1}),
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
    Case("Failed", "all well", _DESCRIBED, {"status": "FAILED", "error": BROKEN["Error"], "cause": BROKEN["Cause"]}),
)
