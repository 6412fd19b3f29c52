"""The two places that the pipeline runs in, an AWS account and the embedded AWS, behind one interface."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from pipeline import build, embedded
from pipeline.errors import CliError, UsageError
from pipeline.terraform import INFRA, Workspace

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.service_resource import Bucket
    from mypy_boto3_stepfunctions import SFNClient

NAMES = ("aws", "local")


@dataclass(frozen=True)
class Target:
    """One place: its credentials and endpoint, its runtime, and its Terraform workspace."""

    name: str
    environment: Mapping[str, str]
    runtime: build.Runtime
    workspace: Workspace

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs of what is deployed here. Raises CliError where nothing is."""
        return self.workspace.outputs()

    @cached_property
    def s3(self) -> "S3Client":
        return self._session.client("s3", **self._endpoint)

    @cached_property
    def step_functions(self) -> "SFNClient":
        return self._session.client("stepfunctions", **self._endpoint)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        return self._session.client("logs", **self._endpoint)

    def client(self, service: str) -> Any:
        """A boto3 client of any other service here."""
        return self._session.client(service, **self._endpoint)  # type: ignore[call-overload]

    def bucket(self, name: str) -> "Bucket":
        """A bucket as a boto3 resource."""
        return self._session.resource("s3", **self._endpoint).Bucket(name)

    @cached_property
    def _session(self) -> boto3.Session:
        if self.name == "aws":
            return boto3.Session(region_name=self.outputs["region"])
        return boto3.Session(
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
        )

    @cached_property
    def _endpoint(self) -> dict[str, Any]:
        if self.name == "aws":
            return {}
        return {"endpoint_url": self.environment["AWS_ENDPOINT_URL"], "verify": self.environment["AWS_CA_BUNDLE"]}


def target(name: str) -> Target:
    """The target called `name`. Raises UsageError for any other, CliError where the embedded AWS is not running."""
    if name == "aws":
        return aws_target()
    if name == "local":
        server = embedded.local_server()
        if server is None:
            raise CliError("The embedded AWS is not running.", "Start it: make local-up.")
        return embedded_target(server, embedded.LOCAL)
    raise UsageError(f"TARGET must be one of {', '.join(NAMES)}, not {name}.")


def aws_target() -> Target:
    """The AWS account of the credentials in the environment, by Terraform's own state in infra/."""
    runtime = build.aws_runtime(_architecture())
    variables = {"packages_dir": str(runtime.folder), "architecture": runtime.architecture}
    workspace = Workspace(os.environ, INFRA / ".terraform", None, variables)
    return Target("aws", os.environ, runtime, workspace)


def _architecture() -> str:
    """The architecture that Terraform is told: the zips must be built for the same."""
    settings = INFRA / "terraform.tfvars"
    text = settings.read_text() if settings.is_file() else ""
    found = re.search(r'^\s*architecture\s*=\s*"(\w+)"', text, re.MULTILINE)
    name = os.environ.get("TF_VAR_architecture") or (found[1] if found else "arm64")  # noqa: SIM112 (its name)
    if name not in build.ARCHITECTURES:
        raise UsageError(f"The variable architecture must be one of {', '.join(build.ARCHITECTURES)}, not {name}.")
    return name


def embedded_target(server: embedded.Server, home: Path, **variables: str) -> Target:
    """A server of the embedded AWS, with Terraform's state in `home`; `variables` go to Terraform, for tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    environment = {**inherited, **server.environment()}
    runtime = build.local_runtime()
    settings = {
        "lambda_runtime": "provided.al2023",
        "architecture": runtime.architecture,
        "packages_dir": str(runtime.folder),
        "region": embedded.REGION,
        "force_destroy": "true",
        "lifecycle_rules": "false",  # the provider waits a minute for them, and nothing here lives for a day
        **variables,
    }
    return Target(
        "local", environment, runtime, Workspace(environment, home / "terraform", home / "terraform.tfstate", settings)
    )


def check_credentials(place: Target) -> str:
    """The account id. Raises CliError where there are no usable credentials."""
    try:
        region = place.environment.get("AWS_REGION") or "us-east-1"
        endpoint = {} if place.name == "aws" else place._endpoint
        session = boto3.Session(region_name=region) if place.name == "aws" else place._session
        return str(session.client("sts", **endpoint).get_caller_identity()["Account"])
    except EndpointConnectionError as exc:
        raise CliError("AWS can't be reached.", "Check the network and the region, and run the same again.") from exc
    except (BotoCoreError, ClientError) as exc:
        raise CliError(
            f"AWS did not accept the credentials ({type(exc).__name__}).",
            "Log in (aws sso login), or name a profile (AWS_PROFILE=… or AWS_VAULT_PROFILE=…), and run the same again.",
        ) from exc
