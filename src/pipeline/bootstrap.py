"""`make bootstrap`: what a team needs once an account. Its state ends up in the bucket that it makes."""

import json
from dataclasses import replace
from typing import Any

from pipeline import backends, environments, show
from pipeline.backends import LocalBackend, S3Backend
from pipeline.deploy import watch
from pipeline.environments import Environment
from pipeline.errors import UsageError
from pipeline.targets import Target
from pipeline.terraform import BOOTSTRAP
from pipeline.workspace import State, Workspace

_ISSUER = "oidc-provider/token.actions.githubusercontent.com"


def bootstrap(place: Target, repository: str | None) -> dict[str, Any]:
    """Apply infra/bootstrap for the environments in infra/environments/ and answer its outputs.

    The repository stays the one of the last time where none is named. Raises CliError.
    """
    variables, bucket = _variables(place.account())
    remote = S3Backend(bucket, f"{variables['project']}/bootstrap.tfstate")
    workspace = Workspace(place.environment, variables, BOOTSTRAP)
    in_file = bool(workspace.left_behind()) or not backends.exists(bucket)
    workspace = replace(workspace, backend=LocalBackend() if in_file else remote)
    workspace.init()
    before = workspace.pull()
    repository = repository or before.outputs.get("repository")
    told = {"repository": repository, "oidc_provider_arn": _foreign_provider(place, before) if repository else None}
    workspace = replace(workspace, variables={**variables, **{name: value for name, value in told.items() if value}})
    watch("preparing the account", workspace.apply(), "infra/bootstrap")
    if in_file:
        show.step(f"moving the state of this into s3://{bucket}")
        workspace = replace(workspace, backend=remote)
        workspace.move_state().unlink()
    return dict(workspace.state().outputs)


def _variables(account: str) -> tuple[dict[str, str], str]:
    """What infra/bootstrap is told, and the name of the bucket that it makes."""
    known = [Environment(name) for name in environments.names()]
    projects = {environment.project for environment in known}
    if len(projects) != 1:
        raise UsageError(
            f"The environments in infra/environments/ are of {', '.join(sorted(projects)) or 'no'} project.",
            "Roles and bucket are one project's: give all of them the same project.",
        )
    regions = {str(one.name): one.setting("region", environments.DEFAULT_REGION) for one in known}
    [project] = projects
    keys = any(one.setting("customer_managed_key", "false") == "true" for one in known)
    variables = {
        "project": project,
        "region": next(iter(regions.values())),
        "environments": json.dumps(regions),
        "smoke_region": regions.get("dev", next(iter(regions.values()))),  # as the workflow says: ENV=dev
        "customer_managed_key": str(keys).lower(),
    }
    return variables, f"tfstate-{project}-{account}"


def _foreign_provider(place: Target, state: State) -> str | None:
    """The account's provider for GitHub's tokens, where somebody else made it: there can be but one."""
    ours = {attributes.get("arn") for kind, attributes in state.resources if kind == "aws_iam_openid_connect_provider"}
    found = place.account_client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return next((one["Arn"] for one in found if one["Arn"].endswith(_ISSUER) and one["Arn"] not in ours), None)
