"""The checks of `make smoke` find faults, and call only the actions that their role allows."""

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from botocore import xform_name
from botocore.stub import Stubber

from pipeline import ROOT
from tests import harness
from tests.e2e.smoke import (
    test_alarms,
    test_athena,
    test_files,
    test_first_steps,
    test_permissions,
    test_recovery,
    test_states,
)
from tests.e2e.smoke.state_cases import CASES, Case
from tests.integration.test_call_shapes import faults
from tests.statemachine import definition as asl

MODULES = (test_alarms, test_athena, test_files, test_first_steps, test_permissions, test_recovery, test_states)


def test_each_check_has_a_name_of_its_own() -> None:
    tests = [test for module in MODULES for name, test in vars(module).items() if name.startswith("test_")]
    marks = [mark for test in tests for mark in getattr(test, "pytestmark", [])]
    marks += [mark for param in test_states.params() for mark in param.marks]
    names = [mark.args[0] for mark in marks if mark.name == "check"]
    assert names
    assert sorted(names) == sorted(set(names))


OUTPUTS = {
    "name": "order-pipeline-smoke-1a2b3c",
    "state_machine_arn": "arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-smoke-1a2b3c",
    "function_names": {"starter": "order-pipeline-smoke-1a2b3c-starter"},
    "athena_workgroup": "order-pipeline-smoke-1a2b3c",
    "databases": {"orders": "order_pipeline_smoke_1a2b3c_orders"},
}


class Stubbed:
    """A trial on AWS whose clients return the given responses."""

    def __init__(self) -> None:
        self.stubbers: dict[str, Stubber] = {}
        self.place: Any = SimpleNamespace(name="aws", outputs=lambda: OUTPUTS, client=self.client)
        self.definition: Any = asl.load
        self.waited: list[str] = []

    def client(self, service: str, *_: object, **__: object) -> Any:
        return self.stub(service).client

    analyst = client

    def stub(self, service: str) -> Stubber:
        if service not in self.stubbers:
            self.stubbers[service] = Stubber(harness._session().client(service))
            self.stubbers[service].activate()
        return self.stubbers[service]

    def wait_for(self, condition: Callable[[], bool], what: str, aws_seconds: float | None = None) -> None:
        assert condition(), f"{what} did not come within 0 s"


@pytest.fixture
def trial() -> Any:
    return Stubbed()


@pytest.fixture
def found() -> list[str]:
    """The findings that the checks reported."""
    return []


# --- states ---


def test_every_state_of_the_definition_has_a_case() -> None:
    assert {case.state for case in CASES} == set(asl.states(asl.load())) == set(test_states.states(asl.load()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_parameters_of_teststate_match_its_model(case: Case) -> None:
    request = test_states.request(asl.load(), case)
    shape = harness._session().client("stepfunctions").meta.service_model.operation_model("TestState").input_shape
    assert faults(request, shape) == []
    assert "$$.Execution" not in request["definition"], "a context object is taken with a mock only"
    kind = json.loads(request["definition"])["Type"]
    assert ("mock" in request) == (kind in ("Task", "Map")), "without a mock a role would be needed; others take none"
    assert "roleArn" not in request


def test_errors_that_step_functions_finds_fail_the_check(trial: Any, found: list[str]) -> None:
    warning = {"severity": "WARNING", "code": "NO_PATH", "message": "m", "location": "/States/Write"}
    error = {"severity": "ERROR", "code": "MISSING_TRANSITION_TARGET", "message": "m"}
    trial.place.step_functions = lambda: trial.client("stepfunctions")
    for result, diagnostics in (("OK", []), ("OK", [warning]), ("FAIL", [error])):
        answer = {"result": result, "diagnostics": diagnostics}
        trial.stub("stepfunctions").add_response("validate_state_machine_definition", answer)
    for _ in range(2):
        test_states.test_step_functions_finds_no_error_in_the_definition(trial, found.append)
    assert found == ["no error and no warning", "WARNING NO_PATH at /States/Write"]
    with pytest.raises(AssertionError, match="MISSING_TRANSITION_TARGET"):
        test_states.test_step_functions_finds_no_error_in_the_definition(trial, found.append)


# --- what only AWS can show ---


def test_a_role_that_can_be_assumed_fails_the_check(trial: Any, found: list[str]) -> None:
    sts = trial.stub("sts")
    for _ in range(2):
        sts.add_client_error("assume_role", "AccessDenied")
    test_permissions.test_only_its_service_assumes_a_role(trial, found.append)
    assert found == ["2 roles refused"]
    keys = {"AccessKeyId": "A" * 16, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2026-01-01T00:00:00Z"}
    sts.add_response("assume_role", {"Credentials": keys})
    sts.add_client_error("assume_role", "AccessDenied")
    with pytest.raises(AssertionError, match="'starter': 'was assumed'"):
        test_permissions.test_only_its_service_assumes_a_role(trial, found.append)


def test_a_role_with_excess_permissions_fails_the_check(
    trial: Any, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {("starter", "machine"): {"states:StartExecution": True, "states:StopExecution": False}}
    monkeypatch.setattr(test_permissions, "decisions", lambda: expected)

    def decide(stop: str) -> None:
        decisions = (("states:StartExecution", "allowed"), ("states:StopExecution", stop))
        answer = {"EvaluationResults": [{"EvalActionName": name, "EvalDecision": made} for name, made in decisions]}
        role = f"arn:aws:iam::123456789012:role/{OUTPUTS['name']}-starter"
        request = {
            "PolicySourceArn": role,
            "ActionNames": ["states:StartExecution", "states:StopExecution"],
            "ResourceArns": [OUTPUTS["state_machine_arn"]],
        }
        trial.stub("iam").add_response("simulate_principal_policy", answer, request)

    decide("implicitDeny")
    test_permissions.test_each_role_allows_its_own_work_only_as_iam_simulates_it(trial, found.append)
    assert found == ["1 allowed, 1 denied"]
    decide("allowed")
    with pytest.raises(AssertionError, match="starter states:StopExecution on machine"):
        test_permissions.test_each_role_allows_its_own_work_only_as_iam_simulates_it(trial, found.append)


@pytest.mark.parametrize(("rows", "fault"), [("7", ""), ("6", "rows"), (None, "FAILED: no such table")])
def test_a_wrong_count_in_a_view_fails_the_check(
    trial: Any, monkeypatch: pytest.MonkeyPatch, rows: str | None, fault: str
) -> None:
    monkeypatch.setattr(test_athena, "published_keys", lambda _: {"orders": set(map(str, range(7)))})
    names = ["orders_current", "rejects", "runs_current"]
    listed = [{"Name": name, "TableType": "VIRTUAL_VIEW"} for name in names]
    trial.stub("glue").add_response("get_tables", {"TableList": [{"Name": "orders"}, *listed]})
    stub = trial.stub("athena")

    def expect_query(sql: str) -> None:
        request = {
            "QueryString": sql,
            "WorkGroup": OUTPUTS["athena_workgroup"],
            "QueryExecutionContext": {"Database": "order_pipeline_smoke_1a2b3c_orders"},
        }
        stub.add_response("start_query_execution", {"QueryExecutionId": "q"}, request)

    for view, number in zip(names, (rows, "13", "2"), strict=True):
        expect_query(f"SELECT count(*) FROM {view}")
        status = {"State": "SUCCEEDED"} if number else {"State": "FAILED", "StateChangeReason": "FAILED: no such table"}
        stub.add_response("get_query_execution", {"QueryExecution": {"Status": status}})
        if number:
            rows = [{"Data": [{"VarCharValue": text}]} for text in ("_col0", number)]
            stub.add_response("get_query_results", {"ResultSet": {"Rows": rows}})
    for view in names if not fault else []:
        expect_query(f"SELECT * FROM {view}")
        stub.add_response("get_query_execution", {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}})
    with pytest.raises(AssertionError, match=fault) if fault else nullcontext():
        test_athena.test_each_view_has_the_expected_rows(trial, lambda _: None)


def test_a_missing_metric_fails_the_check(trial: Any, found: list[str]) -> None:
    trial.good = lambda: SimpleNamespace(upload=SimpleNamespace(dataset="orders"))
    stub = trial.stub("cloudwatch")
    stub.add_response("get_metric_statistics", {"Datapoints": [{"Sum": 630.0}, {"Sum": 200.0}]})
    test_files.test_metrics_arrive_where_the_alarms_look_for_them(trial, found.append)
    assert found == ["RecordsReceived has arrived"]
    stub.add_response("get_metric_statistics", {"Datapoints": []})
    with pytest.raises(AssertionError, match="RecordsReceived did not come"):
        test_files.test_metrics_arrive_where_the_alarms_look_for_them(trial, found.append)


# --- what it asks, and what the workflow's role may ask ---

TESTS = ROOT / "tests" / "e2e"
SOURCES = [
    *(path for path in (TESTS / "smoke").glob("*.py") if path.name != "test_athena.py"),  # calls of the analyst
    TESTS / "notifications.py",
    *(ROOT / "src" / "pipeline" / "smoke").glob("*.py"),
    *(
        ROOT / "src/pipeline" / f"{name}.py"
        for name in ("run/runs", "deploy/processed_bucket", "inspect/executions", "inspect/logs", "deploy/deploy")
    ),
]
SERVICES = (
    "budgets",
    "cloudwatch",
    "events",
    "glue",
    "iam",
    "kms",
    "lambda",
    "logs",
    "resourcegroupstaggingapi",
    "s3",
    "scheduler",
    "sns",
    "sqs",
    "stepfunctions",
    "sts",
)
# Actions whose name differs from the request.
ACTIONS = {
    "DescribeBudgets": "ViewBudget",
    "GetCallerIdentity": "",  # needs none
    "HeadObject": "GetObject",
    "Invoke": "InvokeFunction",
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectsV2": "ListBucket",
    "ListSubscriptionsByTopic": "",  # only pipeline deploy lists subscriptions
}
IN_OUR_NAME = {
    "kms": {"Decrypt", "GenerateDataKey"},
}
"""Calls that services make with the caller's permissions."""


def rights(table: str) -> dict[str, set[str]]:
    """The actions in a file of infra/bootstrap, by purpose, without the name of the service."""
    content = yaml.safe_load((ROOT / "infra" / "bootstrap" / table).read_text())
    return {
        what: {
            action.partition(":")[2]
            for grant in grants
            for kind in ("read", "write", "erase")
            for action in grant.get(kind, [])
        }
        for what, grants in content.items()
    }


def requested() -> set[str]:
    """The actions that the requests in the code of the smoke test need."""
    models = [harness._session().client(service).meta.service_model for service in SERVICES]
    known = {xform_name(operation): operation for model in models for operation in model.operation_names}
    text = "\n".join(path.read_text() for path in SOURCES)
    text = text.replace("executions.history(", "client.get_execution_history(")  # the request of that function
    methods = set(re.findall(r"\.(\w+)\(", text)) | set(re.findall(r'"([a-z0-9_]+)"', text))
    operations = {known[method] for method in methods & known.keys()} - {"Publish"}  # the name of a state's action
    return {ACTIONS.get(operation, operation) for operation in operations} - {""}


def test_the_smoke_role_allows_exactly_the_calls_of_the_checks() -> None:
    deploying = set().union(*rights("permissions.yaml").values())
    trying = rights("smoke.yaml")
    from_state = {"DeleteObject", "GetObject", "PutObject"}  # github.tf
    assert requested() - deploying - from_state - set().union(*trying.values()) == set(), (
        "Add these actions to smoke.yaml."
    )
    for what, actions in trying.items():
        unused = actions - requested() - IN_OUR_NAME.get(what, set())
        assert unused == set(), f"{what} in smoke.yaml has actions that no check calls"
