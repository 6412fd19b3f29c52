"""Creates what a team needs once per account (`make bootstrap`). It can run again, even after an interrupt.

The state bucket is created first, and holds Terraform's state from the beginning.
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
    """Apply infra/bootstrap for the environments in infra/environments/, and return its outputs.

    Without `repository`, the repository of the last run is kept. A new bucket is created in `region`, or in the common
    region of all environments. An existing bucket keeps its region. Raises CliError.
    """
    environments.check_apart()
    repository = _as_in_tokens(repository) if repository else None
    project, regions, keys = _shared_settings()
    account = place.account()
    bucket = backends.bucket_name(project, account)
    variables = {
        "project": project,
        "region": _bucket_region(place, bucket, regions, region),
        "environments": json.dumps(regions),
        "smoke_region": regions.get("dev", next(iter(regions.values()))),  # as in the workflow: ENV=dev
        "customer_managed_key": str(keys).lower(),
    }
    remote = S3Backend(bucket, f"{project}/bootstrap.tfstate")
    workspace = Workspace(place.environment, variables, BOOTSTRAP, remote, data=f".terraform-{account}")
    workspace.init()
    before = workspace.pull()
    workspace = replace(workspace, variables={**variables, **_for_github(place, before, repository)})
    if bucket not in before.buckets:
        workspace.import_resource("aws_s3_bucket.state", bucket)
    watch("preparing the account", workspace.apply(), "infra/bootstrap")
    return dict(workspace.pull().outputs)


def without_ids(repository: str) -> str:
    """Return a repository as owner/name. GitHub's tokens may call it owner@1234/name@5678."""
    return re.sub(r"@[0-9]+", "", repository)


def _as_in_tokens(repository: str) -> str:
    """Return a repository as GitHub's tokens name it, without the prefix `repo:`. Raises UsageError for other names."""
    name = repository.removeprefix("repo:")
    if not _REPOSITORY.fullmatch(name):
        raise UsageError(
            f"{repository} is not a repository as GitHub's tokens name it: owner/name, or owner@1234/name@5678 if it "
            "was created, renamed or moved since 15 July 2026.",
            "Ask GitHub for the name: gh api repos/OWNER/NAME/actions/oidc/customization/sub --jq .sub_claim_prefix",
        )
    return name


def _shared_settings() -> tuple[str, dict[str, str], bool]:
    """Return the project, the region of each environment, and whether any environment has its own KMS key.

    These settings come from the team's shared files, and not from one person's files.
    """
    known = [Environment(name) for name in environments.names()]
    projects = {one.shared_setting("project", DEFAULT_PROJECT) for one in known}
    if len(projects) != 1:
        raise UsageError(
            f"All files in infra/environments/ must set one project. They set {', '.join(sorted(projects)) or 'none'}.",
            "The roles and the state bucket belong to one project. Set its name in all files.",
        )
    regions = {str(one.name): one.shared_setting("region", DEFAULT_REGION) for one in known}
    keys = any(one.shared_setting("customer_managed_key", "false") == "true" for one in known)
    return projects.pop(), regions, keys


def _bucket_region(place: Target, bucket: str, regions: dict[str, str], wanted: str | None) -> str:
    """Return the region of the state bucket. Creates the bucket if it doesn't exist.

    Raises UsageError for an unsuitable region, and CliError if the bucket can't be created.
    """
    existing = backends.region_of(bucket)
    if existing and wanted and wanted != existing:
        raise UsageError(
            f"The state bucket {bucket} is in {existing}, not in {wanted}.", "It can't be moved. Omit the region."
        )
    region = existing or wanted or _common(regions)
    if not _REGION.fullmatch(region):
        raise UsageError(f"{region} is not an AWS region.", "Give a region such as eu-central-1.")
    show.step(f"the state bucket {'is' if existing else 'will be'} {bucket} in {region}")
    if not existing:
        try:
            _create(place, bucket, region)
        except ClientError as refused:
            raise CliError(
                f"The state bucket {bucket} can't be created in {region}: {refused}.",
                "Log in as an administrator of the account. If another account has a bucket of this name, choose "
                "another project name.",
            ) from refused
    return region


def _common(regions: dict[str, str]) -> str:
    """Return the common region of all environments. Raises UsageError if they are in several regions."""
    if len(set(regions.values())) > 1:
        which = ", ".join(f"{name} is in {region}" for name, region in regions.items())
        raise UsageError(
            f"The environments are in several regions ({which}), and the state bucket can be in only one.",
            f"Choose one of the regions: make bootstrap REGION={next(iter(regions.values()))}",
        )
    return next(iter(regions.values()))


def _create(place: Target, bucket: str, region: str) -> None:
    """Create the bucket without settings. Terraform then imports the bucket and adds its settings."""
    # us-east-1 is not a valid location constraint
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3 = place.account_client("s3", region)
    s3.create_bucket(Bucket=bucket, **where)
    s3.get_waiter("bucket_exists").wait(Bucket=bucket)


def _for_github(place: Target, before: StateFile, repository: str | None) -> dict[str, str]:
    """Return the variables that create GitHub's roles, for `repository` or for the repository of the last run."""
    repository = repository or before.outputs.get("repository")
    if not repository:
        return {}
    provider = _foreign_provider(place, before)
    return {"repository": repository, **({"oidc_provider_arn": provider} if provider else {})}


def _foreign_provider(place: Target, state: StateFile) -> str | None:
    """Return the ARN of the account's OIDC provider for GitHub if this project didn't create it, or None.

    An account can have only one. Raises CliError if the provider doesn't accept tokens for AWS.
    """
    ours = {attributes.get("arn") for kind, attributes in state.resources if kind == "aws_iam_openid_connect_provider"}
    iam = place.account_client("iam")
    found = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    arn = next((one["Arn"] for one in found if one["Arn"].endswith(_ISSUER) and one["Arn"] not in ours), None)
    if arn and _AUDIENCE not in iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"]:
        raise CliError(
            f"The account's OIDC provider for GitHub, {arn}, does not accept the audience {_AUDIENCE}, so no workflow "
            "can assume a role.",
            "Ask the provider's owner to add the audience, then run the command again: aws iam "
            f"add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id {_AUDIENCE}",
        )
    return arn
