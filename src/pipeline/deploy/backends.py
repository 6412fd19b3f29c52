"""Where Terraform's state is kept: in a file beside infra/, or in the team's bucket that TF_STATE_BUCKET names."""

import json
import os
from collections.abc import Mapping
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
"""The file beside versions.tf that puts another backend into its place."""
DEFAULT_STATE = "terraform.tfstate"
NO_BUCKET = "none"
"""What the variable says where a state is to be in a file though the team has a bucket."""
_OF_ONES_OWN = 'Give it a name of its own in infra/terraform.tfvars, as in environment = "anna"'
S3_OVERRIDE = 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n'


@dataclass(frozen=True)
class LocalBackend:
    """A file, relative to the folder that Terraform runs in."""

    path: str = DEFAULT_STATE
    asked_for: bool = False
    """Whether somebody has said that it is to be a file."""

    def arguments(self) -> list[str]:
        """What `terraform init` is told."""
        return [] if self.path == DEFAULT_STATE else [f"-backend-config=path={self.path}"]

    def differs_from(self, remembered: dict[str, Any]) -> str | None:
        """What is wrong where a folder was initialised for another backend, in a sentence; None where nothing is."""
        if remembered.get("type") != "s3":
            return None
        said = f"says {NO_BUCKET}" if self.asked_for else "is not set"
        return f"The state is kept in s3://{remembered['config']['bucket']}, but {VARIABLE} {said}."


@dataclass(frozen=True)
class S3Backend:
    """An object in a bucket, with a lock beside it."""

    bucket: str
    key: str

    def arguments(self) -> list[str]:
        """What `terraform init` is told. Raises CliError where the bucket can't be used."""
        values = {"bucket": self.bucket, "key": self.key, "region": self._region()}
        return ["-reconfigure", *(f"-backend-config={name}={value}" for name, value in values.items())]

    def differs_from(self, remembered: dict[str, Any]) -> str | None:
        """As that of a LocalBackend."""
        if remembered.get("type") != "s3" or remembered["config"]["bucket"] == self.bucket:
            return None
        return f"The state is kept in s3://{remembered['config']['bucket']}, but {VARIABLE} says {self.bucket}."

    def _region(self) -> str:
        """The bucket's region. Raises CliError where it isn't there, or these credentials may not use it."""
        region = region_of(self.bucket)
        if region is None:
            raise CliError(
                f"There is no bucket {self.bucket}, in which {VARIABLE} keeps the state.",
                f"Set {VARIABLE} to the bucket that make bootstrap has made, or run that first.",
            )
        return region


def bucket_name(project: str, account: str) -> str:
    """The bucket that `make bootstrap` makes for the states of a project in an account."""
    return f"tfstate-{project}-{account}"


def region_of(bucket: str) -> str | None:
    """The region of a bucket, or None where there is none of this name. Raises CliError where that can't be seen."""
    try:
        return _look(bucket)
    except ClientError as exc:
        if _status(exc) == 403:
            raise CliError(
                f"These credentials may not use the bucket of the state, {bucket}, or it is another account's.",
                f"Log in as somebody who may, or correct {VARIABLE}.",
            ) from exc
        raise CliError(
            f"The bucket of the state, {bucket}, does not answer: {exc}.", f"Correct {VARIABLE}, or try again."
        ) from exc


def check_no_bucket(environment: Environment, asked_for: bool = False) -> None:
    """Raise CliError where the account has the bucket that `make bootstrap` makes: then a file is not the state.

    Where a file was `asked_for` it is, but for what is called as an environment of the team's. A bucket that may not be
    looked at is there too, so that the question needs no right.
    """
    called = environment.name or environment.setting("environment", environments.DEFAULT_NAME)
    if asked_for and called not in environments.names():
        return
    bucket = bucket_name(environment.project(), _account())
    try:
        if _look(bucket) is None:
            return
    except ClientError as exc:
        if _status(exc) != 403:
            raise _unreachable(bucket, exc) from exc
    if asked_for:
        raise CliError(
            f"{VARIABLE} says {NO_BUCKET}, but {called} is the team's: it is not in a file here but in {bucket}.",
            f"{_OF_ONES_OWN}, and run the same again without ENV. If you mean the team's: export {VARIABLE}={bucket}, "
            f"and make … ENV={called}",
        )
    named = "R" if environment.name else "Name the environment too: make … ENV=dev. Then r"
    raise CliError(
        f"{VARIABLE} is not set, no file here holds a state, and there is a bucket for it: {bucket}.",
        f"export {VARIABLE}={bucket}\n{named}un the same again. If what you mean is yours alone, with its state in a "
        f"file: export {VARIABLE}={NO_BUCKET}. {_OF_ONES_OWN}.",
    )


def account_region(environment: Mapping[str, str], session: boto3.Session) -> str:
    """The region to ask for what is an account's: what the caller has set, or else the first of all regions.

    Only the caller knows the partition, China's or GovCloud's, whose regions take no credentials of others. boto3 does
    not read AWS_REGION, which other SDKs, Terraform and GitHub's workflows do.
    """
    return environment.get("AWS_REGION") or session.region_name or "us-east-1"


def client(service: str) -> Any:
    """A boto3 client of what is the account's, by the credentials in the environment."""
    session = boto3.Session()
    region = account_region(os.environ, session)
    return session.client(service, region_name=region)  # type: ignore[call-overload]


def _account() -> str:
    """The account of these credentials. Raises CliError where AWS does not take them."""
    try:
        return str(client("sts").get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as exc:
        raise CliError(
            f"No file here holds a state, and whether it is in a bucket AWS does not say ({type(exc).__name__}).",
            of_aws(exc, "aws").next_step,
        ) from exc


def _look(bucket: str) -> str | None:
    """The region of a bucket, or None where there is none. Raises ClientError, or CliError where AWS isn't reached."""
    try:
        return str(_head(bucket)["BucketRegion"])
    except ClientError as exc:
        if _status(exc) == 404:
            return None
        raise
    except BotoCoreError as exc:
        raise _unreachable(bucket, exc) from exc


def _head(bucket: str) -> Any:
    return client("s3").head_bucket(Bucket=bucket)


def _status(exc: ClientError) -> int:
    return exc.response["ResponseMetadata"]["HTTPStatusCode"]


def _unreachable(bucket: str, exc: Exception) -> CliError:
    return CliError(
        f"The bucket of the state, {bucket}, can't be reached ({type(exc).__name__}).",
        f"Check that {VARIABLE} names the right bucket. If it does: {of_aws(exc, 'aws').next_step}",
    )


Backend = LocalBackend | S3Backend


def chosen(environment: Environment) -> Backend:
    """The backend of an environment on AWS. Raises UsageError where a bucket is named, but no environment."""
    bucket = os.environ.get(VARIABLE, "").strip()
    if bucket in ("", NO_BUCKET):
        path = f"{environment.name}.tfstate" if environment.name else DEFAULT_STATE
        return LocalBackend(path, asked_for=bucket == NO_BUCKET)
    if not environment.name:
        raise UsageError(
            f"{VARIABLE} is set, so the state is one of several, and none is named.",
            "Say which: make … ENV=dev (pipeline reads PIPELINE_ENV).",
        )
    return S3Backend(bucket, f"{environment.project()}/environments/{environment.name}.tfstate")


def remembered(data: Path) -> dict[str, Any]:
    """The backend that a data folder of Terraform's was initialised for; empty where it was for none."""
    path = data / "terraform.tfstate"
    return dict(json.loads(path.read_text()).get("backend", {})) if path.is_file() else {}
