"""Chooses where Terraform's state is: in a file in infra/, or in the team's bucket (TF_STATE_BUCKET)."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from pipeline.deploy import environments
from pipeline.deploy.environments import Environment
from pipeline.errors import CliError, UsageError

VARIABLE = "TF_STATE_BUCKET"
OVERRIDE = "backend_override.tf"
"""The file that overrides the backend in versions.tf."""
DEFAULT_STATE = "terraform.tfstate"
S3_OVERRIDE = 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n'


class ForbiddenBucketError(CliError):
    """The bucket exists, but these credentials don't allow access to it."""


@dataclass(frozen=True)
class LocalBackend:
    """A state in a file, whose path is relative to the folder that Terraform runs in."""

    path: str = DEFAULT_STATE

    def arguments(self) -> list[str]:
        """Return the backend arguments of `terraform init`."""
        return [] if self.path == DEFAULT_STATE else [f"-backend-config=path={self.path}"]


@dataclass(frozen=True)
class S3Backend:
    """A state in an object of a bucket. A second object is its lock."""

    bucket: str
    key: str

    def arguments(self) -> list[str]:
        """Return the backend arguments of `terraform init`. Raises CliError if the bucket can't be used."""
        region = region_of(self.bucket)
        if region is None:
            raise CliError(
                f"The bucket {self.bucket} in {VARIABLE} does not exist.",
                f"Set {VARIABLE} to the bucket that make bootstrap created, or run make bootstrap first.",
            )
        values = {"bucket": self.bucket, "key": self.key, "region": region}
        return ["-reconfigure", *(f"-backend-config={name}={value}" for name, value in values.items())]


Backend = LocalBackend | S3Backend


def difference(backend: Backend, data: Path) -> str | None:
    """Return a sentence if Terraform's data folder was initialised for another bucket than `backend`, or else None."""
    path = data / "terraform.tfstate"
    remembered = json.loads(path.read_text()).get("backend", {}) if path.is_file() else {}
    bucket = backend.bucket if isinstance(backend, S3Backend) else ""
    if remembered.get("type") != "s3" or remembered["config"]["bucket"] == bucket:
        return None
    setting = f"is {bucket}" if bucket else "is not set"
    return f"The state is kept in s3://{remembered['config']['bucket']}, but {VARIABLE} {setting}."


def chosen(environment: Environment) -> Backend:
    """Return the backend of an environment on AWS. Raises UsageError for a bucket without an environment."""
    bucket = os.environ.get(VARIABLE, "").strip()
    if not bucket:
        return LocalBackend(f"{environment.name}.tfstate" if environment.name else DEFAULT_STATE)
    if not environment.name:
        raise UsageError(
            f"{VARIABLE} is set, but no environment is chosen.",
            "Choose an environment: make … ENV=dev (or set PIPELINE_ENV for pipeline). For your own deployment, unset "
            f"{VARIABLE}.",
        )
    return S3Backend(bucket, f"{environment.project()}/environments/{environment.name}.tfstate")


def bucket_name(project: str, account: str) -> str:
    """Return the name of the bucket that `make bootstrap` creates for a project's states in an account."""
    return f"tfstate-{project}-{account}"


def check_no_bucket(environment: Environment) -> None:
    """Raise CliError if the account has a state bucket and `environment` is a team's: its state is not in a file.

    A bucket that these credentials can't access counts as existing.
    """
    name = environment.name or environment.setting("environment", environments.DEFAULT_NAME)
    if name not in environments.names():
        return
    bucket = bucket_name(environment.project(), client("sts").get_caller_identity()["Account"])
    with suppress(ForbiddenBucketError):
        if region_of(bucket) is None:
            return
    raise CliError(
        f"{VARIABLE} is not set and no file here contains a state, but the account has a state bucket: {bucket}.",
        f"export {VARIABLE}={bucket}\nThen run make … ENV={name}. For your own deployment, with its state in a "
        'file, set another name in infra/terraform.tfvars (environment = "anna"), and run the command without ENV.',
    )


def region_of(bucket: str) -> str | None:
    """Return a bucket's region, or None if there is no bucket. Raises CliError if these credentials can't access it."""
    try:
        return str(client("s3").head_bucket(Bucket=bucket)["BucketRegion"])
    except ClientError as exc:
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return None
        raise ForbiddenBucketError(
            f"These credentials can't access the state bucket {bucket} (HTTP {status}), or another account owns it.",
            f"Log in with credentials that can access the bucket, or correct {VARIABLE}.",
        ) from exc


def account_region(environment: Mapping[str, str], session: boto3.Session) -> str:
    """Return the region for calls that concern the account: the user's region, or us-east-1.

    Only the user knows the partition. Regions of AWS China or GovCloud accept no credentials of other partitions.
    boto3 doesn't read AWS_REGION, but other SDKs, Terraform and GitHub workflows do.
    """
    return environment.get("AWS_REGION") or session.region_name or "us-east-1"


def client(service: str) -> Any:
    """Return a boto3 client for calls that concern the account, with the credentials of the environment."""
    session = boto3.Session()
    region = account_region(os.environ, session)
    return session.client(service, region_name=region)  # type: ignore[call-overload]
