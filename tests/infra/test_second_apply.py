"""A deploy role can also change a deployment: a second apply changes every attribute that can change in place.

The provider's requests are recorded on an embedded AWS. The policies of infra/bootstrap must allow each of them. The
embedded AWS itself checks no conditions, and for many requests not the resource.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from pipeline import ROOT
from pipeline.deploy import build
from pipeline.deploy.targets import Target, embedded_target
from pipeline.deploy.terraform import INFRA
from pipeline.emulator import server as embedded
from tests.infra import iam_decisions, policies, provider_calls
from tests.infra.conftest import Run
from tests.infra.provider_calls import Account, Call
from tests.infra.test_deploy_roles import statements_by_role

pytestmark = pytest.mark.slow

CHANGES = ROOT / "tests" / "infra" / "second_apply"
ACCOUNT = "000000000000"
BOUNDARY = "order-pipeline-boundary-dev"

NOT_DEPLOYED = {
    "aws_cloudwatch_query_definition": "the embedded AWS has no saved queries; one action creates and changes them",
    "aws_s3_bucket_lifecycle_configuration": "the provider waits a minute; one action creates and changes them",
    "aws_lambda_layer_version": "a custom runtime has no layers; the provider replaces a version at any change",
}

WITHOUT_REQUEST = {
    ("aws_lambda_function", "publish"): "says whether a change publishes a version, as each change here does"
}
"""Attributes whose change makes no AWS request."""

_LOG_GROUP = {"logGroupName": "/aws/vendedlogs/states/order-pipeline-dev"}
NOT_RECORDED = {
    ("aws_cloudwatch_log_group", "kms_key_id"): [
        Call("logs", operation, "aws_cloudwatch_log_group", "", _LOG_GROUP)
        for operation in ("AssociateKmsKey", "DisassociateKmsKey")
    ]
}
"""The attributes that the embedded AWS refuses to change, with the requests that the provider makes for each."""

FIRST: Mapping[str, str] = {
    "tags": '{ Team = "first" }',
    "budget": "{ monthly_usd = 20 }",
    "reconcile": '{ schedule = "rate(1 hour)" }',
}
SECOND: Mapping[str, str] = {
    "tags": '{ Team = "second" }',
    "budget": '{ monthly_usd = 30, email = "other@example.org" }',
    "reconcile": '{ schedule = "rate(2 hours)", since_hours = 48 }',
    "alarms": "{ reject_ratio = 0.01 }",
    "ephemeral_storage_mb": "{ write = 5000 }",
    "log_level": "DEBUG",
    "log_retention_days": "7",
    "max_query_bytes": "20000000",
    "memory_mb": "{ starter = 512 }",
    "permissions_boundary": BOUNDARY,  # a role deployed without a boundary gets one
    "retention_days": "{ rejected = 30 }",
    "runbook_url": "https://example.org/runbook",
    "timeout_seconds": "{ starter = 50 }",
}


@dataclass(frozen=True)
class SecondApply:
    """The changes of the second apply, and the requests that it made."""

    configured: Mapping[str, set[str]]
    """The attributes that infra/ sets, by type of resource."""
    changed: Mapping[str, set[str]]
    """Those that the plan changes in place."""
    replaced: Mapping[str, set[str]]
    """Those for which another plan replaces the resource."""
    calls: Sequence[Call]


@pytest.fixture(scope="module")
def second_apply(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondApply]:
    """Deploys with a key, changes everything in a second apply, and plans to replace everything."""
    home = tmp_path_factory.mktemp("second-apply")
    packages = home / "packages"
    packages.mkdir()
    for name in build.FUNCTIONS:
        with ZipFile(packages / f"{name}.zip", "w") as placeholder:
            placeholder.writestr("placeholder", name)
    server = embedded.start(home / "server")
    try:
        first = _place(server, home, FIRST)
        allow_all = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        any_policy = json.dumps({"Version": "2012-10-17", "Statement": [allow_all]})
        first.account_client("iam").create_policy(PolicyName=BOUNDARY, PolicyDocument=any_policy)
        first.workspace.init()
        _drain(first.workspace.apply())
        folder, log = first.workspace.folder, home / "provider.log"
        for name in ("changes_override.tf", "additions.tf"):
            shutil.copy(CHANGES / name, folder)
        second = _place(server, home, SECOND, **provider_calls.LOGGING, TF_LOG_PATH=str(log))
        with second.workspace.planned() as (file, planned):
            _drain(second.workspace.apply(planned=file))
        calls = tuple(provider_calls.recorded(log))
        shutil.copy(CHANGES / "replacements_override.tf", folder / "changes_override.tf")
        other = _place(server, home, SECOND, environment="test", notification_email="third@example.org")
        with other.workspace.planned() as (_, replacing):
            pass
        yield SecondApply(_configured(planned), _changed(planned), _replaced(replacing), calls)
    finally:
        server.stop()


def _place(server: embedded.Server, home: Path, settings: Mapping[str, str], **more: str) -> Target:
    """infra/ on the server with some settings. In `more`, upper-case members are settings of Terraform itself."""
    always = {
        "environment": "dev",
        "customer_managed_key": "true",
        "notification_email": "somebody@example.org",
        "packages_dir": str(home / "packages"),
    }
    own = {name: value for name, value in more.items() if name.isupper()}
    others = {name: value for name, value in more.items() if not name.isupper()}
    place = embedded_target(server, home, **{**always, **settings, **others})
    workspace = replace(place.workspace, environment={**place.workspace.environment, **own})
    return replace(place, workspace=workspace)


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass


def _configured(plan: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for resource in plan["configuration"]["root_module"]["resources"]:
        if resource["mode"] == "managed" and resource["type"].startswith("aws_"):
            found.setdefault(resource["type"], set()).update(resource["expressions"])
    return found


def _changed(plan: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for resource in plan["resource_changes"]:
        change = resource["change"]
        if change["actions"] == ["update"]:
            before, after, unknown = change["before"], change["after"], change["after_unknown"]
            names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
            found.setdefault(resource["type"], set()).update(names & {*after, *unknown})
    return found


def _replaced(plan: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for resource in plan["resource_changes"]:
        paths = resource["change"].get("replace_paths", [])
        found.setdefault(resource["type"], set()).update(str(path[0]) for path in paths)
    return found


def test_every_attribute_is_changed_in_place_or_by_a_replacement(second_apply: SecondApply) -> None:
    missing = {
        kind: names
        - second_apply.changed.get(kind, set())
        - second_apply.replaced.get(kind, set())
        - _not_recorded(kind)
        for kind, names in second_apply.configured.items()
        if kind not in NOT_DEPLOYED
    }
    assert {kind: names for kind, names in missing.items() if names} == {}, (
        "Change these attributes in tests/infra/second_apply/ or in SECOND."
    )


def _not_recorded(kind: str) -> set[str]:
    return {attribute for of, attribute in (*NOT_RECORDED, *WITHOUT_REQUEST) if of == kind}


def test_every_dynamic_block_is_changed(second_apply: SecondApply) -> None:
    """Terraform does not list these among the attributes of a resource."""
    resources = [
        text
        for path in INFRA.glob("*.tf")
        for text in re.findall(r'^resource "\w+" .*?^}', path.read_text(), re.MULTILINE | re.DOTALL)
    ]
    top = {
        (re.findall(r'"(\w+)"', text)[0], name)
        for text in resources
        for name in re.findall(r'^  dynamic "(\w+)"', text, re.MULTILINE)
    }
    assert top
    unchanged = {
        (kind, name)
        for kind, name in top
        if kind not in NOT_DEPLOYED
        and name not in second_apply.changed.get(kind, set()) | second_apply.replaced.get(kind, set())
    }
    assert unchanged == set()


@pytest.mark.parametrize("role", ["deploy-dev", "deploy-prod", "deploy-smoke"])
def test_the_deploy_role_may_make_every_request_of_the_second_apply(
    second_apply: SecondApply, bootstrap_plan: Run, role: str
) -> None:
    environment = role.removeprefix("deploy-").replace("smoke", "smoke-1a2b3c")
    statements = json.loads(json.dumps(statements_by_role(bootstrap_plan)[role]).replace(policies.ACCOUNT, ACCOUNT))
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/order-pipeline-boundary-{role.removeprefix('deploy-')}"
    tags = {"Project": "order-pipeline", "Environment": environment, "Team": "first"}
    account = Account(embedded.REGION, ACCOUNT, tags, boundary)
    refused = {
        f"{request.action} on {request.resource} for {call.resource_type}"
        for call in (_renamed(call, environment) for call in (*second_apply.calls, *chain(*NOT_RECORDED.values())))
        for request in account.needs(call)
        if not iam_decisions.allows(statements, request)
    }
    assert refused == set(), "Add these to infra/bootstrap/permissions.yaml."


def _renamed(call: Call, environment: str) -> Call:
    """The same call for another environment than dev."""
    boundary = "smoke" if environment.startswith("smoke-") else environment

    def rename(text: str) -> str:
        named = text.replace("order-pipeline-boundary-dev", f"order-pipeline-boundary-{boundary}")
        named = named.replace("order-pipeline-dev", f"order-pipeline-{environment}")
        return named.replace("order_pipeline_dev", f"order_pipeline_{environment.replace('-', '_')}")

    params = json.loads(rename(json.dumps(call.params)).replace('"dev"', f'"{environment}"'))
    return replace(call, url=rename(call.url), params=params)
