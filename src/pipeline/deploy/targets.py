"""The two places that the pipeline runs in, an AWS account and the embedded AWS, behind one interface."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.deploy import backends, build, environments
from pipeline.deploy.aws_errors import of_aws
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
"""The outputs of Terraform that commands read."""

Made = TypeVar("Made")

_OF_THE_USER = ("AWS_", "TF_VAR_", "TF_WORKSPACE", "TF_CLI_ARGS")
"""What in the environment is meant for AWS, and must not rule the embedded AWS."""


@dataclass(frozen=True)
class Target:
    """One place: its credentials and endpoint, its runtime, and its Terraform workspace."""

    name: str
    environment: Mapping[str, str]
    runtime: build.Runtime
    workspace: Workspace
    is_temporary: bool = False
    """Whether it is an emulator that was started for one command alone, and is stopped after it."""

    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was read or made once."""

    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs of what is deployed here. Raises CliError where nothing is, or only a part."""
        outputs = dict(self.state().outputs)
        if not outputs.keys() >= _NEEDED:
            raise CliError(
                "The deployment here is not complete, or of an earlier release.",
                "Run make deploy-infra again, with the same TARGET.",
            )
        return outputs

    def state(self) -> StateFile:
        """Terraform's state of this deployment, read once; it may be incomplete. Raises CliError if there is none."""
        return self._once("state", self._read_state)

    def s3(self) -> "S3Client":
        """The S3 client. It and the other clients read Terraform's state for the region."""
        return self._once("s3", lambda: self._session.client("s3", **self._location()))

    def step_functions(self) -> "SFNClient":
        """The Step Functions client."""
        return self._once("stepfunctions", lambda: self._session.client("stepfunctions", **self._location()))

    def logs(self) -> "CloudWatchLogsClient":
        """The CloudWatch Logs client."""
        return self._once("logs", lambda: self._session.client("logs", **self._location()))

    def client(self, service: str, config: Config | None = None, **credentials: str) -> Any:
        """A new boto3 client of any service here, with `credentials` in place of the environment's."""
        located = self._location()
        return self._session.client(service, config=config, **located, **credentials)  # type: ignore[call-overload]

    def account_client(self, service: str, region: str = "") -> Any:
        """A boto3 client of what is the account's and not a deployment's: nothing need be deployed yet."""
        region = region or backends.account_region(self.environment, self._session)
        return self._session.client(service, region_name=region, **self._endpoint)  # type: ignore[call-overload]

    def bucket(self, name: str) -> "Bucket":
        """A bucket as a boto3 resource."""
        return self._session.resource("s3", **self._location()).Bucket(name)

    def download(self, address: str) -> bytes:
        """What is at an address that AWS has signed, such as that of a function's code. Raises CliError."""
        authorities = None
        if self.name == "local":  # which gives its address without TLS, and takes none but TLS
            address = address.replace("http:", "https:", 1)
            authorities = ssl.create_default_context(cafile=self.environment["AWS_CA_BUNDLE"])
        try:
            with urlopen(address, context=authorities) as answer:
                return bytes(answer.read())
        except OSError as exc:
            raise CliError(f"What AWS gave an address of can't be fetched: {exc}.", "Run the same again.") from exc

    def account(self) -> str:
        """The account's id. Raises CliError where AWS can't be asked, such as without usable credentials."""
        try:
            return str(self.account_client("sts").get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as exc:
            raise of_aws(exc, self.name) from exc

    @cached_property
    def _session(self) -> boto3.Session:
        if self.name == "aws":
            return boto3.Session()
        return boto3.Session(
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def _read_state(self) -> StateFile:
        return self.workspace.state()

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` returned the first time."""
        made: Made = self._kept[name] if name in self._kept else make()
        self._kept[name] = made
        return made

    def _location(self) -> dict[str, Any]:
        region = self.state().region if self.name == "aws" else embedded.REGION
        return {"region_name": region or backends.account_region(self.environment, self._session), **self._endpoint}

    @property
    def _endpoint(self) -> dict[str, Any]:
        if self.name == "aws":
            return {}
        return {"endpoint_url": self.environment["AWS_ENDPOINT_URL"], "verify": self.environment["AWS_CA_BUNDLE"]}


def target(name: str) -> Target:
    """The target called `name`. Raises CliError where the embedded AWS is not running."""
    if name == "aws":
        return aws_target()
    server = embedded.local_server()
    if server is None:
        raise embedded.absence() or CliError("The local emulator was slow to answer.", "Run the same again.")
    return embedded_target(server, embedded.LOCAL)


def for_target(command: str, name: str) -> str:
    """A command as it is typed for the target called `name`."""
    return command if name == "aws" else f"{command} --target {name}"


def aws_target() -> Target:
    """The AWS account of the credentials in the environment: of the environment that is chosen, by Terraform's state.

    Raises UsageError where no environment is of the name that is chosen.
    """
    chosen = environments.chosen()
    runtime = build.aws_runtime(_architecture(chosen), contracts_folder(chosen))
    variables = {  # paths are the same in each checkout, or layers would be replaced
        "packages_dir": os.path.relpath(runtime.folder, INFRA),
        "contracts_dir": os.path.relpath(runtime.contracts, INFRA),
        "architecture": runtime.architecture,
        **chosen.variables(),
    }
    workspace = Workspace(os.environ, variables, backend=backends.chosen(chosen), chosen=chosen)
    return Target("aws", os.environ, runtime, workspace)


def aws_account() -> Target:
    """The AWS account of the credentials in the environment, whatever is deployed there."""
    return Target("aws", os.environ, build.aws_runtime("arm64"), Workspace(os.environ, {}))


def _architecture(chosen: Environment) -> str:
    """The architecture that Terraform is told: the zips must be built for the same."""
    name = chosen.setting("architecture", "arm64")
    if name not in build.ARCHITECTURES:
        raise UsageError(f"The variable architecture must be one of {', '.join(build.ARCHITECTURES)}, not {name}.")
    return name


def contracts_folder(chosen: Environment | None = None) -> Path:
    """The folder of the contracts, by the variable contracts_dir: what Terraform reads the zips must hold, anywhere.

    Without an environment it is that of infra/terraform.tfvars, which the embedded AWS has too.
    """
    named = (chosen or Environment()).setting("contracts_dir", "")
    return Path(os.path.normpath(INFRA / (named or build.CONTRACTS)))


def embedded_target(server: embedded.Server, home: Path, contracts: Path | None = None, **variables: str) -> Target:
    """A server of the embedded AWS, with its own copy of infra/ in `home`.

    `contracts`, if not those of `contracts_folder`, and `variables`, which go to Terraform, are for tests.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_USER)}
    environment = {**inherited, **server.environment()}
    runtime = build.local_runtime(contracts or contracts_folder())
    settings = {
        "lambda_runtime": "provided.al2023",
        "architecture": runtime.architecture,
        "packages_dir": str(runtime.folder),
        "region": embedded.REGION,
        "force_destroy": "true",
        "log_queries": "false",  # it can save none
        "key_wait_seconds": "0",  # its KMS authorizes at once
        "lifecycle_rules": "false",  # the provider waits a minute for them, and nothing here lives for a day
        **variables,
    }
    workspace = Workspace(environment, settings, home / "deployment" / "infra", contracts=runtime.contracts)
    return Target("local", environment, runtime, workspace, is_temporary=home != embedded.LOCAL)
