"""Where Terraform's state is: in a file in infra/, or in the team's bucket that TF_STATE_BUCKET names."""

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
"""The file next to versions.tf that replaces the backend."""
DEFAULT_STATE = "terraform.tfstate"
S3_OVERRIDE = 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n'


class ForbiddenBucketError(CliError):
    """The bucket exists, but these credentials may not use it."""


@dataclass(frozen=True)
class LocalBackend:
    """A file, relative to the folder that Terraform runs in."""

    path: str = DEFAULT_STATE

    def arguments(self) -> list[str]:
        """The arguments of `terraform init`."""
        return [] if self.path == DEFAULT_STATE else [f"-backend-config=path={self.path}"]


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


Backend = LocalBackend | S3Backend


def difference(backend: Backend, data: Path) -> str | None:
    """A sentence if Terraform's data folder was initialised for another bucket than the backend's; otherwise None."""
    path = data / "terraform.tfstate"
    remembered = json.loads(path.read_text()).get("backend", {}) if path.is_file() else {}
    bucket = backend.bucket if isinstance(backend, S3Backend) else ""
    if remembered.get("type") != "s3" or remembered["config"]["bucket"] == bucket:
        return None
    setting = f"is {bucket}" if bucket else "is not set"
    return f"The state is kept in s3://{remembered['config']['bucket']}, but {VARIABLE} {setting}."


def chosen(environment: Environment) -> Backend:
    """The backend of an environment on AWS. Raises UsageError if there is a bucket but no environment."""
    bucket = os.environ.get(VARIABLE, "").strip()
    if not bucket:
        return LocalBackend(f"{environment.name}.tfstate" if environment.name else DEFAULT_STATE)
    if not environment.name:
        raise UsageError(
            f"{VARIABLE} is set, so an environment must be named.",
            "Name it: make … ENV=dev (or set PIPELINE_ENV for pipeline). For a deployment of your own, unset "
            f"{VARIABLE}.",
        )
    return S3Backend(bucket, f"{environment.project()}/environments/{environment.name}.tfstate")


def bucket_name(project: str, account: str) -> str:
    """The bucket that `make bootstrap` creates for the states of a project in an account."""
    return f"tfstate-{project}-{account}"


def check_no_bucket(environment: Environment) -> None:
    """Raise CliError for an environment of the team if the account has a bucket for its state: a file is not the state.

    A bucket that these credentials may not use counts as existing.
    """
    name = environment.name or environment.setting("environment", environments.DEFAULT_NAME)
    if name not in environments.names():
        return
    bucket = bucket_name(environment.project(), client("sts").get_caller_identity()["Account"])
    with suppress(ForbiddenBucketError):
        if region_of(bucket) is None:
            return
    raise CliError(
        f"{VARIABLE} is not set, no file here holds a state, and the account has a bucket for states: {bucket}.",
        f"export {VARIABLE}={bucket}\nThen run make … ENV={name}. For a deployment of your own, with its state in a "
        'file, set a name of your own in infra/terraform.tfvars (environment = "anna"), and run the same without ENV.',
    )


def region_of(bucket: str) -> str | None:
    """The region of a bucket, or None if it doesn't exist. Raises CliError if these credentials may not use it."""
    try:
        return str(client("s3").head_bucket(Bucket=bucket)["BucketRegion"])
    except ClientError as exc:
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return None
        raise ForbiddenBucketError(
            f"These credentials may not use the state bucket {bucket} (HTTP {status}), or it is another account's.",
            f"Log in with an account that may use it, or correct {VARIABLE}.",
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
