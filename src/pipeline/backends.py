"""Where Terraform's state is kept: in a file beside infra/, or in the team's bucket that TF_STATE_BUCKET names."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.environments import Environment
from pipeline.errors import CliError, UsageError

VARIABLE = "TF_STATE_BUCKET"
OVERRIDE = "backend_override.tf"
"""The file beside versions.tf that puts another backend into its place."""
DEFAULT_STATE = "terraform.tfstate"
S3_OVERRIDE = 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n'


@dataclass(frozen=True)
class LocalBackend:
    """A file, relative to the folder that Terraform runs in."""

    path: str = DEFAULT_STATE

    def arguments(self) -> list[str]:
        """What `terraform init` is told."""
        return [] if self.path == DEFAULT_STATE else [f"-backend-config=path={self.path}"]

    def differs_from(self, remembered: dict[str, Any]) -> str | None:
        """What is wrong where a folder was initialised for another backend, in a sentence; None where nothing is."""
        if remembered.get("type") != "s3":
            return None
        return f"The state is kept in s3://{remembered['config']['bucket']}, but {VARIABLE} is not set."


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
        try:
            return str(_head(self.bucket)["BucketRegion"])
        except ClientError as exc:
            raise self._explained(exc) from exc
        except BotoCoreError as exc:
            raise CliError(
                f"The bucket of the state, {self.bucket}, can't be reached ({type(exc).__name__}).",
                f"Check {VARIABLE}, the credentials and the network, and run the same again.",
            ) from exc

    def _explained(self, exc: ClientError) -> CliError:
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return CliError(
                f"There is no bucket {self.bucket}, in which {VARIABLE} keeps the state.",
                f"Set {VARIABLE} to the bucket that make bootstrap has made, or run that first.",
            )
        if status == 403:
            return CliError(
                f"These credentials may not use the bucket of the state, {self.bucket}, or it is another account's.",
                f"Log in as somebody who may, or correct {VARIABLE}.",
            )
        return CliError(
            f"The bucket of the state, {self.bucket}, does not answer: {exc}.", f"Correct {VARIABLE}, or try again."
        )


def exists(bucket: str) -> bool:
    """Whether there is a bucket of this name that these credentials may use. Raises ClientError where they may not."""
    try:
        _head(bucket)
    except ClientError as exc:
        if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _head(bucket: str) -> Any:
    session = boto3.Session()
    return session.client("s3", region_name=session.region_name or "us-east-1").head_bucket(Bucket=bucket)


Backend = LocalBackend | S3Backend


def chosen(environment: Environment) -> Backend:
    """The backend of an environment on AWS. Raises UsageError where a bucket is named, but no environment."""
    bucket = os.environ.get(VARIABLE, "").strip()
    if not bucket:
        return LocalBackend(f"{environment.name}.tfstate") if environment.name else LocalBackend()
    if not environment.name:
        raise UsageError(
            f"{VARIABLE} is set, so the state is one of several, and none is named.",
            "Say which: make … ENV=dev (pipeline reads PIPELINE_ENV).",
        )
    return S3Backend(bucket, f"{environment.project}/environments/{environment.name}.tfstate")


def remembered(data: Path) -> dict[str, Any]:
    """The backend that a data folder of Terraform's was initialised for; empty where it was for none."""
    path = data / "terraform.tfstate"
    return dict(json.loads(path.read_text()).get("backend", {})) if path.is_file() else {}
