"""Where Terraform's state is: in a file in infra/, or in the team's bucket that TF_STATE_BUCKET names."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.deploy import environments
from pipeline.deploy.aws_errors import of_aws
from pipeline.deploy.environments import Environment
from pipeline.errors import CliError, UsageError

VARIABLE = "TF_STATE_BUCKET"
OVERRIDE = "backend_override.tf"
"""The file next to versions.tf that replaces the backend."""
DEFAULT_STATE = "terraform.tfstate"
NO_BUCKET = "none"
"""The value of the variable for a state in a file although the team has a bucket."""
S3_OVERRIDE = 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n'


class ForbiddenBucketError(CliError):
    """The bucket exists, but these credentials may not use it."""


@dataclass(frozen=True)
class LocalBackend:
    """A file, relative to the folder that Terraform runs in."""

    path: str = DEFAULT_STATE
    is_chosen: bool = False
    """Whether the user chose a file explicitly."""

    def arguments(self) -> list[str]:
        """The arguments of `terraform init`."""
        return [] if self.path == DEFAULT_STATE else [f"-backend-config=path={self.path}"]

    def differs_from(self, remembered: dict[str, Any]) -> str | None:
        """A sentence if the folder was initialised for another backend; otherwise None."""
        return _differs(remembered, "", f"is {NO_BUCKET}" if self.is_chosen else "is not set")


@dataclass(frozen=True)
class S3Backend:
    """An object in a bucket, locked by another object."""

    bucket: str
    key: str

    def arguments(self) -> list[str]:
        """The arguments of `terraform init`. Raises CliError if the bucket can't be used."""
        region = region_of(self.bucket)
        if region is None:
            raise CliError(
                f"There is no bucket {self.bucket}, which {VARIABLE} names.",
                f"Set {VARIABLE} to the bucket that make bootstrap created, or run make bootstrap first.",
            )
        values = {"bucket": self.bucket, "key": self.key, "region": region}
        return ["-reconfigure", *(f"-backend-config={name}={value}" for name, value in values.items())]

    def differs_from(self, remembered: dict[str, Any]) -> str | None:
        """A sentence if the folder was initialised for another bucket; otherwise None."""
        return _differs(remembered, self.bucket, f"is {self.bucket}")


Backend = LocalBackend | S3Backend


def _differs(remembered: dict[str, Any], bucket: str, setting: str) -> str | None:
    if remembered.get("type") != "s3" or remembered["config"]["bucket"] == bucket:
        return None
    return f"The state is kept in s3://{remembered['config']['bucket']}, but {VARIABLE} {setting}."


def chosen(environment: Environment) -> Backend:
    """The backend of an environment on AWS. Raises UsageError if there is a bucket but no environment."""
    bucket = os.environ.get(VARIABLE, "").strip()
    if bucket in ("", NO_BUCKET):
        path = f"{environment.name}.tfstate" if environment.name else DEFAULT_STATE
        return LocalBackend(path, is_chosen=bucket == NO_BUCKET)
    if not environment.name:
        raise UsageError(
            f"{VARIABLE} is set, so an environment must be named.",
            "Name it: make … ENV=dev (or set PIPELINE_ENV for pipeline).",
        )
    return S3Backend(bucket, f"{environment.project()}/environments/{environment.name}.tfstate")


def remembered(data: Path) -> dict[str, Any]:
    """The backend that Terraform's data folder was initialised for; empty if none."""
    path = data / "terraform.tfstate"
    return dict(json.loads(path.read_text()).get("backend", {})) if path.is_file() else {}


def bucket_name(project: str, account: str) -> str:
    """The bucket that `make bootstrap` creates for the states of a project in an account."""
    return f"tfstate-{project}-{account}"


def check_no_bucket(environment: Environment, is_chosen: bool = False) -> None:
    """Raise CliError if the account has the bucket that `make bootstrap` creates: then a file is not the state.

    A file that was `is_chosen` is accepted, except for an environment of the team. A bucket that these credentials may
    not use counts as existing.
    """
    name = environment.name or environment.setting("environment", environments.DEFAULT_NAME)
    if is_chosen and name not in environments.names():
        return
    bucket = bucket_name(environment.project(), _account())
    with suppress(ForbiddenBucketError):
        if region_of(bucket) is None:
            return
    own = 'set a name of your own in infra/terraform.tfvars (environment = "anna")'
    if is_chosen:
        raise CliError(
            f"{VARIABLE} is {NO_BUCKET}, but {name} is an environment of the team, whose state is in {bucket}.",
            f"For a deployment of your own, {own}, then run the same again without ENV. For the team's: export "
            f"{VARIABLE}={bucket}, and make … ENV={name}",
        )
    named = "run the same again" if environment.name else "name the environment: make … ENV=dev"
    raise CliError(
        f"{VARIABLE} is not set, no file here holds a state, and the account has a bucket for states: {bucket}.",
        f"export {VARIABLE}={bucket}\nThen {named}. For a deployment of your own, with its state in a file: export "
        f"{VARIABLE}={NO_BUCKET}, and {own}.",
    )


def region_of(bucket: str) -> str | None:
    """The region of a bucket, or None if it doesn't exist. Raises CliError if AWS doesn't return it."""
    try:
        return str(_head(bucket)["BucketRegion"])
    except (BotoCoreError, ClientError) as exc:
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(exc, ClientError) else 0
        if status == 404:
            return None
        if status == 403:
            raise ForbiddenBucketError(
                f"These credentials may not use the state bucket {bucket}, or it belongs to another account.",
                f"Log in with an account that may use it, or correct {VARIABLE}.",
            ) from exc
        raise CliError(
            f"The state bucket {bucket} can't be reached ({status or type(exc).__name__}).",
            f"Check that {VARIABLE} names the right bucket. If it does: {of_aws(exc, 'aws').next_step}",
        ) from exc


def account_region(environment: Mapping[str, str], session: boto3.Session) -> str:
    """The region for calls that concern the account: the user's, or us-east-1.

    Only the user knows the partition: regions of AWS China or GovCloud accept no credentials of other partitions.
    boto3 doesn't read AWS_REGION, but other SDKs, Terraform and GitHub's workflows do.
    """
    return environment.get("AWS_REGION") or session.region_name or "us-east-1"


def client(service: str) -> Any:
    """A boto3 client for calls that concern the account, with the credentials in the environment."""
    session = boto3.Session()
    region = account_region(os.environ, session)
    return session.client(service, region_name=region)  # type: ignore[call-overload]


def _account() -> str:
    """The account of these credentials. Raises CliError if AWS doesn't accept them."""
    try:
        return str(client("sts").get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as exc:
        raise CliError(
            f"No file here holds a state, and AWS can't be queried for the state bucket ({type(exc).__name__}).",
            of_aws(exc, "aws").next_step,
        ) from exc


def _head(bucket: str) -> Any:
    return client("s3").head_bucket(Bucket=bucket)
