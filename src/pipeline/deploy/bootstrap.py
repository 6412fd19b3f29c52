"""`make bootstrap`: what a team needs once an account. It may be run again, also where it was interrupted anywhere.

The bucket is made first, so that Terraform's state is in it from the beginning and no step leaves a state elsewhere.
"""

import json
import re
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from pipeline import console as show
from pipeline.deploy import backends, environments
from pipeline.deploy.backends import S3Backend
from pipeline.deploy.deploy import watch
from pipeline.deploy.environments import DEFAULT_PROJECT, DEFAULT_REGION, Environment
from pipeline.deploy.targets import Target
from pipeline.deploy.terraform import BOOTSTRAP
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.errors import CliError, UsageError

_ISSUER = "oidc-provider/token.actions.githubusercontent.com"
_AUDIENCE = "sts.amazonaws.com"
_REPOSITORY = re.compile(r"[\w.-]+(@[0-9]+/[\w.-]+@[0-9]+|/[\w.-]+)", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")


def bootstrap(place: Target, repository: str | None = None, region: str | None = None) -> dict[str, Any]:
    """Apply infra/bootstrap for the environments in infra/environments/ and answer its outputs.

    The repository stays the one of the last time where none is named, and the bucket stays where it is; at first it is
    made in `region`, or in that of all environments. Raises CliError.
    """
    environments.check_apart()
    repository = _as_in_tokens(repository) if repository else None
    project, regions, keys = _shared_settings()
    account = place.account()
    bucket = backends.bucket_name(project, account)
    variables = {
        "project": project,
        "region": _made(place, bucket, regions, region),
        "environments": json.dumps(regions),
        "smoke_region": regions.get("dev", next(iter(regions.values()))),  # as the workflow says: ENV=dev
        "customer_managed_key": str(keys).lower(),
    }
    remote = S3Backend(bucket, f"{project}/bootstrap.tfstate")
    workspace = Workspace(place.environment, variables, BOOTSTRAP, remote, data=f".terraform-{account}")
    _move_file(workspace, account)
    workspace.init()
    before = workspace.pull()
    workspace = replace(workspace, variables={**variables, **_for_github(place, before, repository)})
    if bucket not in before.buckets:
        workspace.take_over("aws_s3_bucket.state", bucket)
    try:
        watch("preparing the account", workspace.apply(), "infra/bootstrap")
    except CliError as refused:
        if "EntityAlreadyExists" not in str(refused) or not _take_over(place, workspace, project):
            raise
        watch("preparing the account", workspace.apply(), "infra/bootstrap")
    return dict(workspace.pull().outputs)


def without_ids(repository: str) -> str:
    """owner/name of a repository, which GitHub's tokens may call owner@1234/name@5678."""
    return re.sub(r"@[0-9]+", "", repository)


def _as_in_tokens(repository: str) -> str:
    """A repository as GitHub's tokens name it; they put `repo:` before it. Raises UsageError for anything else."""
    name = repository.removeprefix("repo:")
    if not _REPOSITORY.fullmatch(name):
        raise UsageError(
            f"{repository} is not a repository as GitHub's tokens name it: owner/name, or owner@1234/name@5678 where "
            "it was made, renamed or moved since July 2026.",
            "GitHub says which: gh api repos/OWNER/NAME/actions/oidc/customization/sub --jq .sub_claim_prefix",
        )
    return name


def _shared_settings() -> tuple[str, dict[str, str], bool]:
    """The project, the region of each environment, and whether one has a key of its own.

    By the files that the team shares: what one person has set for himself is nothing that roles are made of.
    """
    known = [Environment(name) for name in environments.names()]
    projects = {one.shared_setting("project", DEFAULT_PROJECT) for one in known}
    if len(projects) != 1:
        raise UsageError(
            f"The environments in infra/environments/ are of {', '.join(sorted(projects)) or 'no'} project.",
            "Roles and bucket are one project's: give all of them the same project.",
        )
    regions = {str(one.name): one.shared_setting("region", DEFAULT_REGION) for one in known}
    keys = any(one.shared_setting("customer_managed_key", "false") == "true" for one in known)
    return projects.pop(), regions, keys


def _made(place: Target, bucket: str, regions: dict[str, str], wanted: str | None) -> str:
    """The region of the bucket, which is made where it is not there yet. Raises CliError."""
    there = backends.region_of(bucket)
    if there and wanted and wanted != there:
        raise UsageError(
            f"The bucket of the state, {bucket}, is in {there}, not in {wanted}.", "It stays there: name no region."
        )
    region = there or wanted or _common(regions)
    if not _REGION.fullmatch(region):
        raise UsageError(f"{region} is not an AWS region: they look like eu-central-1.")
    show.step(f"the bucket of Terraform's state {'is' if there else 'will be'} {bucket}, in {region}")
    if there:
        return region
    try:
        _make(place, bucket, region)
    except ClientError as refused:
        raise CliError(
            f"The bucket of the state, {bucket}, can't be made in {region}: {refused}.",
            "Log in as an administrator of the account. If the name is another account's, give the project another.",
        ) from refused
    return region


def _common(regions: dict[str, str]) -> str:
    """The one region of all environments. Raises UsageError where they are of several."""
    if len(set(regions.values())) > 1:
        which = ", ".join(f"{name} is in {region}" for name, region in regions.items())
        raise UsageError(
            f"The environments are in several regions ({which}), and the bucket of the state can be in one only.",
            f"Say in which: make bootstrap REGION={next(iter(regions.values()))}",
        )
    return next(iter(regions.values()))


def _make(place: Target, bucket: str, region: str) -> None:
    """The bucket, bare as yet: Terraform takes it over and does the rest."""
    # in the first of all regions a bucket's own must not be said
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3 = place.account_client("s3", region)
    s3.create_bucket(Bucket=bucket, **where)
    s3.get_waiter("bucket_exists").wait(Bucket=bucket)


def _move_file(workspace: Workspace, account: str) -> None:
    """Move a state that an earlier release has left in a file. Raises CliError for another account's."""
    behind = workspace.left_behind()
    if not behind:
        return
    if account not in behind.read_text():
        raise CliError(
            f"infra/bootstrap/{behind.name} is the state of what was begun in another account than {account}.",
            "Finish that first: make bootstrap with the credentials of that account moves it there.",
        )
    show.step(f"moving the state of this from {behind.name} into the bucket")
    workspace.move_state().unlink()


def _for_github(place: Target, before: StateFile, repository: str | None) -> dict[str, str]:
    """The variables that make the roles, for the repository that is named or that they are for already."""
    repository = repository or before.outputs.get("repository")
    if not repository:
        return {}
    provider = _foreign_provider(place, before)
    return {"repository": repository, **({"oidc_provider_arn": provider} if provider else {})}


def _take_over(place: Target, workspace: Workspace, project: str) -> list[str]:
    """Let Terraform know of the roles and policies that it made without writing it down; answers which.

    They were under way when it was interrupted: its provider breaks off a call that AWS carries out nevertheless. Only
    what has the tags that it is made with is meant.
    """
    iam = place.account_client("iam")
    roles = iam.get_paginator("list_roles").paginate().search("Roles[].[RoleName, RoleName]")
    policies = iam.get_paginator("list_policies").paginate(Scope="Local").search("Policies[].[PolicyName, Arn]")
    there = {"aws_iam_role": dict(roles), "aws_iam_policy": dict(policies)}
    with workspace.planned() as (_, content):
        missing = [one for one in content["resource_changes"] if one["change"]["actions"] == ["create"]]
    taken = []
    for one in missing:
        identifier = there.get(one["type"], {}).get(one["change"]["after"].get("name"))
        if (
            identifier
            and _tags(iam, one["type"], identifier).items() >= {"Project": project, "ManagedBy": "terraform"}.items()
        ):
            show.step(f"taking over {identifier}, which an interrupted run has made")
            workspace.take_over(one["address"], identifier)
            taken.append(identifier)
    return taken


def _tags(iam: Any, kind: str, identifier: str) -> dict[str, str]:
    """The tags of a role, by its name, or of a policy, by its ARN."""
    if kind == "aws_iam_role":
        found = iam.get_role(RoleName=identifier)["Role"]
    else:
        found = iam.get_policy(PolicyArn=identifier)["Policy"]
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}


def _foreign_provider(place: Target, state: StateFile) -> str | None:
    """The account's provider for GitHub's tokens, where somebody else made it: there can be but one.

    Raises CliError where it does not take tokens that are meant for AWS.
    """
    ours = {attributes.get("arn") for kind, attributes in state.resources if kind == "aws_iam_openid_connect_provider"}
    iam = place.account_client("iam")
    found = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    arn = next((one["Arn"] for one in found if one["Arn"].endswith(_ISSUER) and one["Arn"] not in ours), None)
    if arn and _AUDIENCE not in iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"]:
        raise CliError(
            f"The account's provider for GitHub's tokens, {arn}, does not take the audience {_AUDIENCE}: no workflow "
            "could get a role.",
            "Let it, with the leave of whoever made it, and run the same again: aws iam "
            f"add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id {_AUDIENCE}",
        )
    return arn
