"""The checks of `make smoke` that change, stop or break something find faults, on a simulated deployment."""

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.errors import CliError
from pipeline.run import runs
from pipeline.smoke.command import NOT_TRIED
from tests import documents
from tests.e2e.smoke import test_first_steps, test_recovery, trial
from tests.e2e.smoke.second_apply import Changed
from tests.e2e.smoke.trial import Trial
from tests.integration.test_smoke import Run, run

__all__ = ["run"]

BATCH = "orders-" + 32 * "0"
MARK = "smoke-0-unhandled"


def denied(*_: object, **__: object) -> Any:
    raise ClientError(
        {"Error": {"Code": "AccessDenied", "Message": "not authorized to perform kms:Decrypt"}}, "PutObject"
    )


class Place:
    """A deployment on AWS whose services return the given responses."""

    name = "aws"
    _outputs: Mapping[str, Any] = {
        "function_names": {"starter": "p-starter", "reconciler": "p-reconciler"},
        "on_failure_queue_url": "https://queue",
        "topic_arn": "arn:topic",
        "processed_bucket": "processed",
    }

    def __init__(self, **services: Any) -> None:
        self._services = services

    def outputs(self) -> Mapping[str, Any]:
        return self._outputs

    def step_functions(self) -> Any:
        return self._services.get("stepfunctions")

    def client(self, service: str, *_: object, **__: object) -> Any:
        return self._services[service]


def trial_of(monkeypatch: pytest.MonkeyPatch, place: Place, notifications: tuple[str, ...] = ()) -> Any:
    for name in ("_PATIENCE_SECONDS", "_PAUSE_SECONDS"):
        monkeypatch.setitem(getattr(trial, name), "aws", 0.0)
    monkeypatch.setattr(trial, "_AUTHORIZATION_SECONDS", 0.2)
    messages = [{"Message": text} for text in notifications]
    subscriber: Any = SimpleNamespace(notifications=lambda words: [one for one in messages if words in one["Message"]])
    made: Any = Trial(place, None, subscriber)  # type: ignore[arg-type]
    return made


def result_of(check: Callable[[Any, Callable[[str], None]], None], on: Any) -> tuple[bool, str]:
    """Whether a check passes on a deployment, and its finding or message."""
    found: list[str] = []
    try:
        check(on, found.append)
    except (AssertionError, pytest.fail.Exception) as failed:
        return False, str(failed)
    return True, found[0]


# --- a second apply ---

BEFORE = {"description": "Role of the function p-starter.", "memory": 256, "tag": None}
AFTER = {
    "description": "Role of the function p-starter, changed by the smoke test.",
    "memory": 320,
    "tag": "changed",
}


@pytest.mark.parametrize("stays", [None, *BEFORE])
def test_a_setting_that_a_second_apply_does_not_change_fails_the_check(stays: str | None) -> None:
    after = {**AFTER, **({stays: BEFORE[stays]} if stays else {})}
    changed: Any = SimpleNamespace(place=Place(), changed=lambda: Changed(None, BEFORE, after))  # type: ignore[arg-type]
    passes, detail = result_of(test_first_steps.test_what_is_deployed_can_be_changed_in_place, changed)
    assert passes == (stays is None), detail


def test_the_second_apply_runs_once_and_its_error_fails_every_check_that_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    applied: list[object] = []

    def fail(place: object) -> Any:
        applied.append(place)
        raise CliError("iam:UpdateRoleDescription is not allowed")

    monkeypatch.setattr(trial, "apply_again", fail)
    on = trial_of(monkeypatch, Place())
    for ask in (on.changed, lambda: on.analyst("athena")):
        with pytest.raises(CliError, match="iam:UpdateRoleDescription is not allowed"):
            ask()
    assert len(applied) == 1


# --- an aborted execution ---


def aborted(monkeypatch: pytest.MonkeyPatch, statuses: list[str], record: Any, *notifications: str) -> tuple[bool, str]:
    uploaded = runs.Upload("b", "k", "v", "orders", BATCH, "arn:execution")
    stopped: list[str] = []
    step_functions = SimpleNamespace(
        stop_execution=lambda executionArn: stopped.append(executionArn),
        describe_execution=lambda executionArn: {"status": statuses[len(stopped) - 1]},
    )
    on = trial_of(monkeypatch, Place(stepfunctions=step_functions), notifications)
    monkeypatch.setattr(on, "send_large", lambda _: uploaded, raising=False)
    monkeypatch.setattr(runs, "follow", lambda *_: iter(["Validate"]))
    monkeypatch.setattr(test_recovery, "read_document", lambda *_: record)
    return result_of(test_recovery.test_an_execution_that_somebody_stops_is_recorded_and_notified_once, on)


RECORD = documents.failure_record(status="ABORTED", error="ExecutionAborted")
SAID = f"{BATCH} failed: ExecutionAborted"


@pytest.mark.parametrize(
    ("statuses", "record", "notifications", "message"),
    [
        (["ABORTED"], RECORD, [SAID], ""),
        (["SUCCEEDED", "ABORTED"], RECORD, [SAID], ""),
        (["SUCCEEDED"] * 3, RECORD, [SAID], "ended before they could be stopped"),
        (["ABORTED"], None, [SAID], "the failure record failures/orders/"),
        (["ABORTED"], documents.failure_record(error="E"), [SAID], "FAILED"),
        (["ABORTED"], RECORD, [], "a notification about"),
        (["ABORTED"], RECORD, [SAID, SAID], "[True, True]"),
        (["ABORTED"], RECORD, [f"{BATCH} failed: E"], "[False]"),
    ],
)
def test_an_aborted_execution_must_be_recorded_and_notified_once(
    monkeypatch: pytest.MonkeyPatch, statuses: list[str], record: Any, notifications: list[str], message: str
) -> None:
    passes, found = aborted(monkeypatch, statuses, record, *notifications)
    assert passes == (not message), found
    assert message in found


# --- the reconciler ---


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"published": 2, "failed": 1, "missing": 0}, ""),
        ({"published": 1, "failed": 1}, "did not find what was sent"),
        ({"published": 2, "failed": 0}, "did not find what was sent"),
    ],
)
def test_the_reconciler_must_find_every_outcome(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, int], message: str
) -> None:
    passes, found = reconciled(monkeypatch, {"Payload": body(answer)})
    assert passes == (not message), found
    assert message in found


def test_a_failing_reconciler_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"FunctionError": "Unhandled", "Payload": body({"errorType": "ClientError", "errorMessage": "x"})}
    passes, found = reconciled(monkeypatch, failed)
    assert (passes, found.splitlines()[0]) == (False, "it failed: ClientError")


def body(content: Any) -> Any:
    return SimpleNamespace(read=lambda: json.dumps(content).encode())


def reconciled(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> tuple[bool, str]:
    calls: list[dict[str, Any]] = []

    def invoke(**arguments: Any) -> Any:
        calls.append(arguments)
        return answer

    on = trial_of(monkeypatch, Place(**{"lambda": SimpleNamespace(invoke=invoke)}))
    sent = [SimpleNamespace(published=True, error=""), SimpleNamespace(published=True, error="")]
    on._made |= {"good": sent[0], "mixed": sent[1], "hopeless": SimpleNamespace(published=False, error="E")}
    result = result_of(test_recovery.test_the_reconciler_finds_how_the_files_ended, on)
    assert [(one["FunctionName"], one["Qualifier"]) for one in calls] == [("p-reconciler", "live")]
    return result


# --- the failed-event queue ---


def failed_events(monkeypatch: pytest.MonkeyPatch, arrives: bool) -> tuple[bool, str]:
    """Run the check with a Lambda that puts its event into the queue, or drops it."""
    waiting: list[dict[str, str]] = []
    invoked: list[dict[str, Any]] = []

    def invoke(**arguments: Any) -> None:
        invoked.append(arguments)
        event = {"requestPayload": json.loads(arguments["Payload"])}
        waiting.extend([{"Body": json.dumps(event), "ReceiptHandle": "r"}] if arrives else [])

    def receive_message(**_: Any) -> dict[str, Any]:
        return {"Messages": [waiting.pop()]} if waiting else {}

    sqs = SimpleNamespace(receive_message=receive_message, delete_message=lambda **_: None)
    on = trial_of(monkeypatch, Place(**{"lambda": SimpleNamespace(invoke=invoke), "sqs": sqs}))
    monkeypatch.setattr(test_recovery, "UNHANDLED", 0.1)
    assert result_of(test_first_steps.test_an_event_that_the_starter_cannot_handle_is_accepted, on)[0]
    result = result_of(test_recovery.test_an_event_that_lambda_has_given_up_on_is_in_the_failed_event_queue, on)
    assert [(one["InvocationType"], one["Qualifier"]) for one in invoked] == [("Event", "live")], "sent once"
    return result


def test_an_unhandled_event_must_reach_the_failed_event_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed_events(monkeypatch, arrives=True)[0]


def test_a_lost_event_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, detail = failed_events(monkeypatch, arrives=False)
    assert (passes, "did not come" in detail) == (False, True)


def test_the_event_of_the_check_makes_the_starter_fail() -> None:
    from functions.starter import index as starter

    with pytest.raises(KeyError):
        starter.handler({"Records": [{"eventName": "ObjectCreated:Put", "about": MARK}]})


# --- authorization that takes its time ---


@pytest.mark.parametrize(("refusals", "outcome"), [(0, True), (2, True), (10**9, False)])
def test_a_call_that_aws_refuses_at_first_is_retried(
    monkeypatch: pytest.MonkeyPatch, refusals: int, outcome: bool
) -> None:
    on, calls = trial_of(monkeypatch, Place()), 0

    def call() -> str:
        nonlocal calls
        calls += 1
        return denied() if calls <= refusals else "done"

    if outcome:
        assert on.settled(call, "it") == "done"
    else:
        with pytest.raises(ClientError, match="kms:Decrypt"):
            on.settled(call, "it")


def test_an_error_other_than_a_refusal_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise ClientError({"Error": {"Code": "NoSuchBucket"}}, "PutObject")

    with pytest.raises(ClientError, match="NoSuchBucket"):
        trial_of(monkeypatch, Place()).settled(call, "it")
    assert calls == [1]


# --- the command ---


def test_smoke_uses_a_customer_managed_key_on_request(run: Run) -> None:
    assert run()[0] == 0
    assert "customer_managed_key" not in run.variables
    assert run("--customer-managed-key")[0] == 0
    assert run.variables["customer_managed_key"] == "true"


def test_omitted_checks_are_listed(run: Run) -> None:
    _, out = run()
    text = " ".join(out.split())
    assert [f"{what}: {why}" for what, why in NOT_TRIED.items() if f"{what}: {why}" not in text] == []
    assert json.loads(run("--json")[1])["not_tried"] == NOT_TRIED
