"""The role of `make smoke` can find and destroy the leftovers of dead runs, and is denied other calls.

The tests in smoke/ run with its permissions.
"""

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
from pipeline.smoke.check_results import CheckOutcome
from tests.e2e.deployer import SMOKE_ROLE, acting_as
from tests.e2e.test_deploy_role import STATES, TRUST

pytestmark = pytest.mark.slow


def test_the_smoke_role_can_find_leftovers(as_smoke_role: Target) -> None:
    services = {found.partition(" ")[0] for found in deploy.leftovers(as_smoke_role, "order-pipeline-e2e")}
    assert {service for service, *_ in deploy._LISTINGS} - services == {"kms"}, "there is no key of its own"
    assert deploy.tagged(as_smoke_role, "order-pipeline", "e2e")


@pytest.fixture(scope="module")
def throwing_away(place: Target) -> Target:
    """The place for a user with the unchanged policies of the role."""
    return acting_as(place, SMOKE_ROLE)


def test_the_leftovers_of_a_dead_run_are_destroyed_by_the_next(
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
    "its own role's trust": ("iam", "update_assume_role_policy", {"RoleName": SMOKE_ROLE, "PolicyDocument": TRUST}),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_smoke_role_is_denied(throwing_away: Target, what: str) -> None:
    service, operation, arguments = FORBIDDEN[what]
    with pytest.raises(ClientError) as refused:
        getattr(throwing_away.client(service), operation)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, refused.value
