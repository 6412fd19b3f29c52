"""What the roles may not do: by IAM's own simulation, by a call that a function makes, and by who assumes a role."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.common.batch import Batch
from tests.e2e.smoke.trial import Trial

FUNCTIONS = ("starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler")

OBJECTS = (
    ("starter", "ingest", "incoming/orders/x", True, False),
    ("starter", "processed", "staging/x", False, False),
    ("validate", "ingest", "incoming/orders/x", True, False),
    ("validate", "processed", "staging/x", False, True),
    ("validate", "processed", "tables/x", False, False),
    ("transform", "ingest", "incoming/orders/x", False, False),
    ("transform", "processed", "staging/x", True, True),
    ("transform", "processed", "manifests/x", False, False),
    ("write", "ingest", "incoming/orders/x", True, False),
    ("write", "processed", "staging/x", True, False),
    ("write", "processed", "manifests/x", True, True),
    ("write", "processed", "tables/x", True, True),
    ("write", "processed", "failures/x", False, False),
    ("record_failure", "processed", "failures/x", True, True),
    ("record_failure", "processed", "manifests/x", True, False),
    ("record_failure", "processed", "tables/x", False, False),
    ("record_run", "processed", "runs/x", False, True),
    ("record_run", "processed", "manifests/x", True, False),
    ("record_run", "processed", "staging/x", False, False),
    ("reconciler", "ingest", "incoming/orders/x", True, False),
    ("reconciler", "processed", "manifests/x", True, False),
    ("reconciler", "processed", "failures/x", True, False),
    ("reconciler", "processed", "tables/x", False, False),
    ("state-machine", "processed", "tables/x", False, False),
)
"""For each role, the bucket and the key of an object, whether it may read it, and whether it may write it."""

CALLS = (
    *((role, "states:StartExecution", "machine", role in ("starter", "reconciler")) for role in FUNCTIONS),
    *((role, "sns:Publish", "notices", role in ("record_failure", "state-machine"))
      for role in (*FUNCTIONS, "state-machine")),
    ("record_failure", "sns:Publish", "alarms", False),
    ("reconciler", "states:ListExecutions", "machine", True),
)  # fmt: skip
"""For each role, a call, what it is made on, and whether the role may make it."""


def decisions() -> dict[tuple[str, str], dict[str, bool]]:
    """By role and resource, each action and whether it is allowed."""
    expected: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for role, bucket, key, may_read, may_write in OBJECTS:
        reading = "s3:GetObjectVersion" if bucket == "ingest" else "s3:GetObject"  # a source is read by its version
        expected[role, f"{bucket}/{key}"] |= {reading: may_read, "s3:PutObject": may_write}
    for role in FUNCTIONS:
        for where in ("ingest/incoming/orders/x", "processed/manifests/x"):
            expected[role, where]["s3:DeleteObject"] = False  # no function deletes anything
    for role, action, where, may_call in CALLS:
        expected[role, where][action] = may_call
    return expected


@pytest.mark.check("roles, simulated")
def test_each_role_allows_its_own_work_only_as_iam_simulates_it(trial: Trial, found: Callable[[str], None]) -> None:
    names, expected, decided = Names.of(trial), decisions(), {}
    for (role, where), actions in expected.items():
        answer = trial.place.client("iam").simulate_principal_policy(
            PolicySourceArn=names.role(role), ActionNames=sorted(actions), ResourceArns=[names.resource(where)]
        )
        decided[role, where] = {
            one["EvalActionName"]: one["EvalDecision"] == "allowed" for one in answer["EvaluationResults"]
        }
    wrong = [
        f"{role} {action} on {where}"
        for (role, where), actions in expected.items()
        for action, may in actions.items()
        if decided[role, where][action] != may
    ]
    assert wrong == [], "decided otherwise than they should be"
    each = [may for actions in expected.values() for may in actions.values()]
    found(f"{each.count(True)} allowed, {each.count(False)} denied")


@pytest.mark.check("a call that is denied")
def test_a_function_that_reads_what_it_may_not_is_refused_by_s3(trial: Trial, found: Callable[[str], None]) -> None:
    described = trial.place.step_functions().describe_execution(executionArn=trial.good().upload.execution_arn)
    batch = Batch.from_input(json.loads(described["input"]))
    manifest = replace(batch.source, bucket=trial.place.outputs()["processed_bucket"], key=batch.manifest_key)
    foreign = replace(batch, source=manifest, execution=f"{batch.batch_id}-smoke")
    answer = trial.place.client("lambda").invoke(
        FunctionName=trial.place.outputs()["function_names"]["validate"],
        Payload=json.dumps({"batch": foreign.to_input(), "chunk": 0}),
    )
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" in answer, f"validate could read a manifest: {result}"
    assert "AccessDenied" in result.get("errorMessage", ""), f"validate failed otherwise: {result}"
    found("validate may not read a manifest: AccessDenied")


@pytest.mark.check("who assumes a role", not_local="enforces no trust policy")
def test_only_its_service_assumes_a_role(trial: Trial, found: Callable[[str], None]) -> None:
    """The deploy role can't assume it either."""
    names, sts, errors = Names.of(trial), trial.place.client("sts"), {}
    for role in (*trial.place.outputs()["function_names"], "state-machine"):
        try:
            sts.assume_role(RoleArn=names.role(role), RoleSessionName="smoke")
            errors[role] = "was assumed"
        except ClientError as refused:
            errors[role] = refused.response["Error"]["Code"]
    assert errors == dict.fromkeys(errors, "AccessDenied")
    found(f"{len(errors)} roles refused")


@pytest.mark.check("who invokes a function")
def test_s3_and_eventbridge_invoke_what_they_have_to_and_nobody_else_does(
    trial: Trial, found: Callable[[str], None]
) -> None:
    functions, policies = trial.place.client("lambda"), {}
    for key, name in trial.place.outputs()["function_names"].items():
        for qualifier in ({}, {"Qualifier": "live"}):
            try:
                policy = functions.get_policy(FunctionName=name, **qualifier)["Policy"]
            except functions.exceptions.ResourceNotFoundException:
                continue
            for statement in json.loads(policy)["Statement"]:
                for_one_source = bool(qualifier) and "ArnLike" in statement["Condition"]
                policies[key, statement["Principal"]["Service"]] = for_one_source
    assert policies == {
        ("starter", "s3.amazonaws.com"): True,
        ("record_failure", "events.amazonaws.com"): True,
        ("record_run", "events.amazonaws.com"): True,
    }
    found("S3 and EventBridge by alias and source, nobody else")


@dataclass(frozen=True)
class Names:
    """The ARNs of a deployment."""

    partition: str
    account: str
    outputs: Any

    @classmethod
    def of(cls, trial: Trial) -> "Names":
        _, partition, _, _, account, *_ = trial.place.outputs()["state_machine_arn"].split(":")
        return cls(partition, account, trial.place.outputs())

    def role(self, role: str) -> str:
        name = self.outputs["function_names"].get(role) or f"{self.outputs['name']}-{role}"
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def resource(self, where: str) -> str:
        others = {"machine": "state_machine_arn", "notices": "topic_arn", "alarms": "alarms_topic_arn"}
        if where in others:
            return str(self.outputs[others[where]])
        bucket, _, key = where.partition("/")
        return f"arn:{self.partition}:s3:::{self.outputs[f'{bucket}_bucket']}/{key}"
