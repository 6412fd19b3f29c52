"""What `pipeline smoke` tries, on the embedded AWS: each check that it can be asked, and the omissions by name.

Whoever asks has the policies that infra/bootstrap gives the workflow's role for it, and no others.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.deploy import deploy
from pipeline.deploy.backends import S3Backend
from pipeline.deploy.targets import Target
from pipeline.deploy.workspace import Workspace
from pipeline.smoke import state_store, throwaway
from pipeline.smoke.checks import CHECKS, run_check
from pipeline.smoke.model import Check, CheckOutcome
from pipeline.smoke.trial import Trial, listening
from tests.e2e.deployer import UNTOLD, acting_as
from tests.e2e.test_deploy_role import ACCOUNT, STATES, TRUST

ROLE = "order-pipeline-deploy-smoke"

OMITTED = {
    "metrics": "makes no metrics of what functions log",
    "who takes on a role": "enforces no trust policy",
    "the definition": "takes every definition for valid",
    "state ProcessChunks, all well": "tries no Map by itself",
    "state ProcessChunks, a chunk fails": "tries no Map by itself",
    "state Write, a fault that passes": "looks at Catch before Retry when it tries a state by itself",
    "Athena's views": "knows no views; their SQL is tested on DuckDB",
    "saved queries": "knows no views, which they read; they are tested on DuckDB",
    "Athena's console": "knows only some of what the console asks",
    "an event that fails": "hands over no event that a function's alias has failed to handle",
    "the failed-event queue": "hands over no event that a function's alias has failed to handle",
}
"""Everything that is only tried on AWS, and why; docs/architecture.md lists it too."""


@pytest.fixture(scope="module")
def trial(place: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The deployment of all end-to-end tests, under the role's policies with its name in place of a throw-away's."""
    names = {"order-pipeline-smoke-*": "order-pipeline-e2e", "order_pipeline_smoke_*": "order_pipeline_e2e"}
    trying = acting_as(place, ROLE, names)
    with listening(trying) as ear:
        trial = Trial(trying, tmp_path_factory.mktemp("smoke"), ear)
        bind_analyst(place, trial, names)
        yield trial


def bind_analyst(place: Target, trial: Trial, names: dict[str, str]) -> None:
    """Bind the analyst by the boundary of the smoke test, as a throw-away's is: an environment's allows no query."""
    iam, smoke = place.client("iam"), f"arn:aws:iam::{ACCOUNT}:policy/order-pipeline-boundary-smoke"
    version = iam.get_policy(PolicyArn=smoke)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=smoke, VersionId=version)["PolicyVersion"]["Document"]
    untold = [action for action in UNTOLD if action.startswith("athena:Get")]
    document["Statement"].append({"Effect": "Allow", "Action": untold, "Resource": "*"})
    text = json.dumps(document)
    for name, other in names.items():
        text = text.replace(name, other)
    boundary = iam.create_policy(PolicyName="order-pipeline-boundary-renamed", PolicyDocument=text)["Policy"]["Arn"]
    role = trial.changed().place.outputs()["analyst_role_arn"].rpartition("/")[2]
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=boundary)


@pytest.mark.parametrize("check", [check for check in CHECKS if check.name not in OMITTED], ids=lambda c: c.name)
def test_check_holds(trial: Trial, check: Check) -> None:
    result = run_check(trial, check)
    assert result.outcome is CheckOutcome.OK, result.detail


def test_what_is_omitted_is_known_and_said(trial: Trial) -> None:
    omitted = {check.name: run_check(trial, check) for check in CHECKS if check.name in OMITTED}
    assert {name: result.detail for name, result in omitted.items()} == {
        name: f"the embedded AWS {why}" for name, why in OMITTED.items()
    }
    assert {result.outcome for result in omitted.values()} == {CheckOutcome.OMITTED}


def test_what_is_left_could_be_seen(trial: Trial) -> None:
    services = {found.partition(" ")[0] for found in deploy.leftovers(trial.place, "order-pipeline-e2e")}
    assert {service for service, *_ in deploy._LISTINGS} - services == {"kms"}, "there is no key of its own"
    assert deploy.tagged(trial.place, "order-pipeline", "e2e")


# --- the role itself ---


@pytest.fixture(scope="module")
def throwing_away(place: Target) -> Target:
    """The place for who has the role's policies as they are."""
    return acting_as(place, ROLE)


def test_what_a_run_that_died_has_left_is_destroyed_by_the_next(
    place: Target, throwing_away: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in throwing_away.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    backend = S3Backend(STATES, "order-pipeline/smoke/smoke-1a2b3c.tfstate")
    boundary = "order-pipeline-boundary-smoke"
    variables = {**place.workspace.variables, "environment": "smoke-1a2b3c", "permissions_boundary": boundary}
    workspace = Workspace(throwing_away.environment, variables, tmp_path / "infra", backend)
    workspace.init()
    list(workspace.apply("-target=aws_sns_topic.alarms", "-target=aws_iam_role.state_machine"))
    place.s3().put_object(
        Bucket=STATES, Key=f"{backend.key}.tflock", Body=b'{"ID": "11111111-2222-4333-8444-555555555555"}'
    )
    left = throwaway._Throwaway("local", throwing_away.environment, place.runtime, workspace)
    assert len(deploy.leftovers(left, "order-pipeline-smoke-1a2b3c")) == 2

    monkeypatch.setattr(throwaway, "HOME", tmp_path / ".smoke")
    monkeypatch.setattr(throwaway, "aws_target", lambda: left)
    monkeypatch.setattr(throwaway, "on_aws", lambda _: left)
    monkeypatch.setattr(state_store, "DEAD_AFTER", timedelta())
    [swept] = throwaway.sweep("smoke-4d5e6f")

    assert swept.outcome is CheckOutcome.OK, swept.detail
    assert deploy.leftovers(left, "order-pipeline-smoke-1a2b3c") == []
    assert place.s3().list_objects_v2(Bucket=STATES, Prefix="order-pipeline/smoke/").get("Contents", []) == []


FORBIDDEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "an environment's queue": ("sqs", "create_queue", {"QueueName": "order-pipeline-e2e-x"}),
    "an environment's state": (
        "s3",
        "get_object",
        {"Bucket": STATES, "Key": "order-pipeline/environments/e2e.tfstate"},
    ),
    "an environment's role": (
        "iam",
        "update_assume_role_policy",
        {"RoleName": "order-pipeline-e2e-write", "PolicyDocument": TRUST},
    ),
    "its own role's trust": ("iam", "update_assume_role_policy", {"RoleName": ROLE, "PolicyDocument": TRUST}),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_role_may_not_touch(throwing_away: Target, what: str) -> None:
    service, operation, arguments = FORBIDDEN[what]
    with pytest.raises(ClientError) as refused:
        getattr(throwing_away.client(service), operation)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, refused.value
