"""The targets that the pipeline runs on: an AWS account or the local emulator, with the same interface."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import boto3
from botocore.config import Config

from pipeline.deploy import backends, build, environments
from pipeline.deploy.environments import Environment
from pipeline.deploy.terraform import INFRA
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.emulator import server as embedded
from pipeline.errors import CliError, UsageError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.service_resource import Bucket
    from mypy_boto3_stepfunctions import SFNClient

_NEEDED = {
    *("ingest_bucket", "processed_bucket", "state_machine_arn", "function_names"),
    *("on_failure_queue_url", "chunk_bytes", "release"),
}
"""The Terraform outputs that commands read."""

_FOR_AWS = ("AWS_", "TF_VAR_", "TF_WORKSPACE", "TF_CLI_ARGS")
"""Prefixes of environment variables that are meant for AWS and must not affect the local emulator."""


@dataclass(frozen=True)
class Target:
    """A deployment's credentials, endpoint, runtime and Terraform workspace."""

    name: str
    environment: Mapping[str, str]
    runtime: build.Runtime
    workspace: Workspace
    is_temporary: bool = False
    """Whether the target is an emulator that runs for one command only."""

    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def outputs(self) -> dict[str, Any]:
        """Return Terraform's outputs. Raises CliError if the deployment is missing or incomplete."""
        outputs = dict(self.state().outputs)
        if not outputs.keys() >= _NEEDED:
            raise CliError(
                "The deployment is incomplete, or an earlier release created it.",
                "Run make deploy-infra again, with the same TARGET.",
            )
        return outputs

    def state(self) -> StateFile:
        """Return Terraform's state, read once and maybe incomplete. Raises CliError if nothing is deployed."""
        return self._state

    @cached_property
    def _state(self) -> StateFile:
        return self.workspace.state()

    def s3(self) -> "S3Client":
        """Return the S3 client, in the region from Terraform's state."""
        client: S3Client = self._shared_client("s3")
        return client

    def step_functions(self) -> "SFNClient":
        """Return the Step Functions client."""
        client: SFNClient = self._shared_client("stepfunctions")
        return client

    def logs(self) -> "CloudWatchLogsClient":
        """Return the CloudWatch Logs client."""
        client: CloudWatchLogsClient = self._shared_client("logs")
        return client

    def _shared_client(self, service: str) -> Any:
        """Return the client of a service, which is created only once."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service, **self._location())  # type: ignore[call-overload]
        return self._clients[service]

    def client(self, service: str, config: Config | None = None, **credentials: str) -> Any:
        """Return a new boto3 client, with `credentials` instead of the environment's credentials."""
        located = self._location()
        return self._session.client(service, config=config, **located, **credentials)  # type: ignore[call-overload]

    def account_client(self, service: str, region: str = "") -> Any:
        """Return a boto3 client for calls that concern the account. Works without a deployment."""
        region = region or backends.account_region(self.environment, self._session)
        return self._session.client(service, region_name=region, **self._endpoint)  # type: ignore[call-overload]

    def bucket(self, name: str) -> "Bucket":
        """Return a bucket as a boto3 resource."""
        return self._session.resource("s3", **self._location()).Bucket(name)

    def download(self, address: str) -> bytes:
        """Download from a presigned URL, such as the URL of a function's code. Raises CliError."""
        authorities = None
        if self.name == "local":  # the emulator returns an http address, but accepts only TLS
            address = address.replace("http:", "https:", 1)
            authorities = ssl.create_default_context(cafile=self.environment["AWS_CA_BUNDLE"])
        try:
            with urlopen(address, context=authorities) as response:
                return bytes(response.read())
        except OSError as exc:
            raise CliError(f"The download from AWS failed: {exc}.", "Run the command again.") from exc

    def account(self) -> str:
        """Return the account ID."""
        return str(self.account_client("sts").get_caller_identity()["Account"])

    @cached_property
    def _session(self) -> boto3.Session:
        if self.name == "aws":
            return boto3.Session()
        return boto3.Session(
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def _location(self) -> dict[str, Any]:
        region = self.state().region if self.name == "aws" else embedded.REGION
        return {"region_name": region or backends.account_region(self.environment, self._session), **self._endpoint}

    @property
    def _endpoint(self) -> dict[str, Any]:
        if self.name == "aws":
            return {}
        return {"endpoint_url": self.environment["AWS_ENDPOINT_URL"], "verify": self.environment["AWS_CA_BUNDLE"]}


def target(name: str) -> Target:
    """Return the target called `name`. Raises CliError if the local emulator isn't running."""
    if name == "aws":
        return aws_target()
    server = embedded.local_server()
    if server is None:
        raise embedded.absence() or CliError("The local emulator responded too slowly.", "Run the command again.")
    return embedded_target(server, embedded.LOCAL)


def for_target(command: str, name: str) -> str:
    """Return a command line with the option that selects the target called `name`."""
    return command if name == "aws" else f"{command} --target {name}"


def aws_target() -> Target:
    """Return the chosen environment in the account of the credentials. Raises UsageError for an unknown environment."""
    chosen = environments.chosen()
    runtime = build.aws_runtime(_architecture(chosen), contracts_folder(chosen))
    variables = {  # relative paths are the same in each checkout; otherwise, Terraform would replace the layers
        "packages_dir": os.path.relpath(runtime.folder, INFRA),
        "contracts_dir": os.path.relpath(runtime.contracts, INFRA),
        "architecture": runtime.architecture,
        **chosen.variables(),
    }
    workspace = Workspace(os.environ, variables, backend=backends.chosen(chosen), chosen=chosen)
    return Target("aws", os.environ, runtime, workspace)


def aws_account() -> Target:
    """Return the AWS account of the credentials, without an environment."""
    return Target("aws", os.environ, build.aws_runtime("arm64"), Workspace(os.environ, {}))


def _architecture(chosen: Environment) -> str:
    """Return the architecture in the settings, for which the zips are built."""
    name = chosen.setting("architecture", "arm64")
    if name not in build.ARCHITECTURES:
        raise UsageError(f"The variable architecture must be one of {', '.join(build.ARCHITECTURES)}, not {name}.")
    return name


def contracts_folder(chosen: Environment | None = None) -> Path:
    """Return the folder of the contracts, from the Terraform variable contracts_dir.

    Without an environment, the variable comes from infra/terraform.tfvars, even for the local emulator.
    """
    named = (chosen or Environment()).setting("contracts_dir", "")
    return Path(os.path.normpath(INFRA / (named or build.CONTRACTS)))


def contracts_with(dataset: str, chosen: Environment | None = None) -> Path:
    """The folder of contracts that has a dataset: that of `contracts_folder`, or else the examples if they have it.

    If neither has it, returns that of `contracts_folder`.
    """
    folder = contracts_folder(chosen)
    is_example = (build.EXAMPLES / dataset / "contract.json").is_file()
    return build.EXAMPLES if is_example and not (folder / dataset / "contract.json").is_file() else folder


def embedded_target(server: embedded.Server, home: Path, contracts: Path | None = None, **variables: str) -> Target:
    """Return a target on a local emulator, with its own copy of infra/ in `home`.

    Tests pass Terraform `variables`, and `contracts` instead of the folder that `contracts_folder` returns.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOR_AWS)}
    environment = {**inherited, **server.environment()}
    runtime = build.local_runtime(contracts or contracts_folder())
    settings = {
        "lambda_runtime": "provided.al2023",
        "architecture": runtime.architecture,
        "packages_dir": str(runtime.folder),
        "region": embedded.REGION,
        "force_destroy": "true",
        "log_queries": "false",  # not supported by the emulator
        "key_wait_seconds": "0",  # the emulator's KMS needs no wait
        "lifecycle_rules": "false",  # the provider waits a minute for them, and the emulator doesn't run for days
        **variables,
    }
    workspace = Workspace(environment, settings, home / "deployment" / "infra", contracts=runtime.contracts)
    return Target("local", environment, runtime, workspace, is_temporary=home != embedded.LOCAL)
