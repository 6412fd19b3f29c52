"""What the roles may not do: by IAM's own simulation, by a call that a function makes, and by who takes on a role."""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from functions.common.batch import Batch
from pipeline.smoke.model import Check, CheckFailedError, expect
from pipeline.smoke.trial import Trial

# role, action, on what: what each needs
_ALLOWED = (
    ("starter", "s3:GetObjectVersion", "ingest/incoming/orders/x"),
    ("starter", "states:StartExecution", "machine"),
    ("validate", "s3:GetObjectVersion", "ingest/incoming/orders/x"),
    ("validate", "s3:PutObject", "processed/staging/x"),
    ("transform", "s3:GetObject", "processed/staging/x"),
    ("write", "s3:GetObjectVersion", "ingest/incoming/orders/x"),
    ("write", "s3:PutObject", "processed/manifests/x"),
    ("record_failure", "s3:PutObject", "processed/failures/x"),
    ("record_failure", "sns:Publish", "notices"),
    ("record_run", "s3:PutObject", "processed/runs/x"),
    ("reconciler", "states:ListExecutions", "machine"),
    ("state-machine", "sns:Publish", "notices"),
)
# and what its neighbours do
_DENIED = (
    ("starter", "s3:PutObject", "processed/staging/x"),
    ("starter", "sns:Publish", "notices"),
    ("validate", "s3:PutObject", "processed/tables/x"),
    ("validate", "states:StartExecution", "machine"),
    ("transform", "s3:GetObjectVersion", "ingest/incoming/orders/x"),
    ("transform", "s3:PutObject", "processed/manifests/x"),
    ("write", "s3:PutObject", "ingest/incoming/orders/x"),
    ("write", "s3:PutObject", "processed/failures/x"),
    ("record_failure", "s3:PutObject", "processed/manifests/x"),
    ("record_failure", "sns:Publish", "alarms"),
    ("record_run", "s3:GetObject", "processed/staging/x"),
    ("record_run", "sns:Publish", "notices"),
    ("reconciler", "s3:GetObject", "processed/tables/x"),
    ("reconciler", "s3:PutObject", "processed/manifests/x"),
    ("state-machine", "s3:GetObject", "processed/tables/x"),
    *(
        (role, "s3:DeleteObject", where)
        for role in ("starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler")
        for where in ("ingest/incoming/orders/x", "processed/manifests/x")
    ),
)


def roles(trial: Trial) -> str:
    """IAM's simulation of each role allows its own work and not its neighbours'."""
    names = _Names.of(trial)
    asked: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for expected, table in ((True, _ALLOWED), (False, _DENIED)):
        for role, action, where in table:
            asked[role, where][action] = expected
    wrong = []
    for (role, where), actions in asked.items():
        answer = trial.place.client("iam").simulate_principal_policy(
            PolicySourceArn=names.role(role), ActionNames=sorted(actions), ResourceArns=[names.resource(where)]
        )
        decided = {one["EvalActionName"]: one["EvalDecision"] == "allowed" for one in answer["EvaluationResults"]}
        wrong += [f"{role} {action} on {where}" for action, may in actions.items() if decided[action] != may]
    expect(wrong, [], "decided otherwise than they should be")
    return f"{len(_ALLOWED)} allowed, {len(_DENIED)} denied"


def denied_call(trial: Trial) -> str:
    """A function that is told to read what it may not is refused by S3 itself."""
    described = trial.place.step_functions().describe_execution(executionArn=trial.good().upload.execution_arn)
    batch = Batch.from_input(json.loads(described["input"]))
    manifest = replace(batch.source, bucket=trial.place.outputs()["processed_bucket"], key=batch.manifest_key)
    foreign = replace(batch, source=manifest, execution=f"{batch.batch_id}-smoke")
    answer = trial.place.client("lambda").invoke(
        FunctionName=trial.place.outputs()["function_names"]["validate"],
        Payload=json.dumps({"batch": foreign.to_input(), "chunk": 0}),
    )
    said = json.loads(answer["Payload"].read())
    if "FunctionError" not in answer or "AccessDenied" not in said.get("errorMessage", ""):
        raise CheckFailedError(f"validate could read a manifest, or failed otherwise: {said}")
    return "validate may not read a manifest: AccessDenied"


def trust(trial: Trial) -> str:
    """Nobody but its service takes on a role, not even who deployed it."""
    names, sts = _Names.of(trial), trial.place.client("sts")
    for role in (*trial.place.outputs()["function_names"], "state-machine"):
        try:
            sts.assume_role(RoleArn=names.role(role), RoleSessionName="smoke")
        except ClientError as refused:
            expect(refused.response["Error"]["Code"], "AccessDenied", f"the answer of STS for {role}")
        else:
            raise CheckFailedError(f"the role of {role} can be taken on")
    return f"{len(trial.place.outputs()['function_names']) + 1} roles refused"


def function_policies(trial: Trial) -> str:
    """S3 and EventBridge may invoke what they have to, each for one source, and nobody else may."""
    functions, found = trial.place.client("lambda"), {}
    for key, name in trial.place.outputs()["function_names"].items():
        for qualifier in ({}, {"Qualifier": "live"}):
            try:
                policy = functions.get_policy(FunctionName=name, **qualifier)["Policy"]
            except functions.exceptions.ResourceNotFoundException:
                continue
            for statement in json.loads(policy)["Statement"]:
                found[key, statement["Principal"]["Service"]] = bool(qualifier) and "ArnLike" in statement["Condition"]
    expected = {("starter", "s3.amazonaws.com"), ("record_failure", "events.amazonaws.com")}
    expect(found, dict.fromkeys({*expected, ("record_run", "events.amazonaws.com")}, True), "who may invoke")
    return "S3 and EventBridge by alias and source, nobody else"


@dataclass(frozen=True)
class _Names:
    """The ARNs of a deployment."""

    partition: str
    account: str
    outputs: Any

    @classmethod
    def of(cls, trial: Trial) -> "_Names":
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


CHECKS = (
    Check("roles, simulated", roles),
    Check("a call that is denied", denied_call),
    Check("who takes on a role", trust, not_local="enforces no trust policy"),
    Check("who invokes a function", function_policies),
)
