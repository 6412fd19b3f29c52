"""Terraform over infra/: found, initialised (without the registry if need be), applied, destroyed, read."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import ROOT
from pipeline.errors import CliError

INFRA = ROOT / "infra"
_REGISTRY = "registry.terraform.io"
_PROVIDER = f"{_REGISTRY}/hashicorp/aws"
_MINIMUM = (1, 10)
_MIRROR_DEPTH = 5
_NEVER_SEARCHED = {"proc", "sys", "dev", "run", "node_modules", "__pycache__", ".git", "site-packages"}


@dataclass(frozen=True)
class Workspace:
    """One deployment of infra/: where Terraform keeps its state and plugins, and what it is told."""

    environment: Mapping[str, str]
    """The process environment, credentials and endpoint included."""
    data: Path
    """TF_DATA_DIR: the provider and the backend's settings."""
    state: Path | None
    """The state file, or None for the default of infra/."""
    variables: Mapping[str, str]

    def init(self) -> None:
        """`terraform init`, with a provider mirror from this machine where the registry can't be reached."""
        init(self._environment(), *([f"-backend-config=path={self.state}"] if self.state else []))

    def apply(self, *arguments: str) -> Iterator[str]:
        """`terraform apply`, line by line. Raises CliError with Terraform's own error."""
        yield from self._run("apply", "-auto-approve", *self._variables(), *arguments)

    def destroy(self, *arguments: str) -> Iterator[str]:
        """`terraform destroy`, line by line. Raises CliError with Terraform's own error."""
        yield from self._run("destroy", "-auto-approve", *self._variables(), *arguments)

    def outputs(self) -> dict[str, Any]:
        """The outputs of the last apply. Raises CliError where nothing is deployed."""
        if not self.data.is_dir():
            self.init()
        text = "".join(self._run("output", "-json"))
        values = {name: output["value"] for name, output in json.loads(text or "{}").items()}
        if not values:
            raise CliError("Nothing is deployed here.", "Deploy first: make deploy-infra, with the same TARGET.")
        return values

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "TF_DATA_DIR": str(self.data), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}

    def _variables(self) -> list[str]:
        return [f"-var={name}={value}" for name, value in self.variables.items()]

    def _run(self, command: str, *arguments: str) -> Iterator[str]:
        yield from run([command, "-no-color", *arguments], self._environment())


def run(arguments: Sequence[str], environment: Mapping[str, str], *, may_fail: bool = False) -> Iterator[str]:
    """Run Terraform in infra/ and hand on its output, line by line.

    Raises CliError with what it says of an error, unless it `may_fail`.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [executable(), f"-chdir={INFRA}", *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout as lines:
            yield from lines
        if process.wait() and not may_fail:
            errors.seek(0)
            raise CliError(
                f"terraform {arguments[0]} failed:\n{_errors_of(errors.read())}",
                "Mend what it says and run the same again.",
            )


def _errors_of(complaint: str) -> str:
    """Terraform's errors without its warnings (a missing CLI configuration file, say)."""
    start = complaint.find("Error:")
    return complaint[max(start, 0) :].strip()


def executable() -> str:
    """The path of a Terraform that is new enough. Raises CliError that says what to install."""
    advice = (
        "Install Terraform 1.10 or newer (https://developer.hashicorp.com/terraform/install) and run the same again."
    )
    path = shutil.which("terraform")
    if path is None:
        raise CliError("Terraform is not on the PATH.", advice)
    version = json.loads(subprocess.run([path, "version", "-json"], capture_output=True, text=True, check=True).stdout)
    number = version["terraform_version"]
    if tuple(map(int, number.split(".")[:2])) < _MINIMUM:
        raise CliError(f"Terraform {number} is too old.", advice)
    return path


def init(environment: Mapping[str, str], *arguments: str) -> None:
    """`terraform init` of infra/ that leaves the lock file alone. Raises CliError."""
    command = ["init", "-no-color", "-input=false", "-lockfile=readonly", *arguments]
    cache = ROOT / "build" / "terraform-plugins"
    cache.mkdir(parents=True, exist_ok=True)
    environment = {"TF_PLUGIN_CACHE_DIR": str(cache), **environment}  # one download for all workspaces
    try:
        _drain(run(command, environment))
    except CliError as refused:
        if _REGISTRY not in str(refused):
            raise
        mirror = find_mirror()
        if mirror is None:
            raise CliError(
                f"Terraform's registry can't be reached, and no folder on this machine mirrors {_PROVIDER}.",
                "Run this once with a connection, or make a mirror on this machine with `terraform providers mirror`.",
            ) from refused
        _drain(run([*command, f"-plugin-dir={mirror}"], environment))


def check() -> None:
    """See that infra/ is formatted and valid, without credentials. Raises CliError."""
    environment = {**os.environ, "TF_DATA_DIR": str(ROOT / "build" / "terraform-check"), "TF_IN_AUTOMATION": "1"}
    unformatted = "".join(run(["fmt", "-check", "-recursive", "-list=true"], environment, may_fail=True)).split()
    if unformatted:
        raise CliError(f"Not in Terraform's format: {', '.join(unformatted)}.", "Run make fmt.")
    init(environment, "-backend=false")
    _drain(run(["validate", "-no-color"], environment))


def find_mirror() -> Path | None:
    """The nearest folder on this machine that holds the locked provider as a mirror does, or None."""
    version = re.search(r'version\s*=\s*"([\d.]+)"', (INFRA / ".terraform.lock.hcl").read_text())
    assert version is not None
    for root in _search_roots():
        for folder in _folders(root, _MIRROR_DEPTH):
            provider = folder / _PROVIDER
            if list(provider.glob(f"{version[1]}/*/terraform-provider-aws*")) or list(
                provider.glob(f"*_{version[1]}_*.zip")
            ):
                return folder
    return None


def _search_roots() -> list[Path]:
    return [Path.home(), Path("/")]


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """The folders under `root`, nearest first, at most `depth` levels down."""
    level = [str(root)]
    for _ in range(depth):
        below: list[str] = []
        for folder in level:
            yield Path(folder)
            try:
                with os.scandir(folder) as entries:
                    below += [
                        e.path for e in entries if e.is_dir(follow_symlinks=False) and e.name not in _NEVER_SEARCHED
                    ]
            except OSError:
                continue
        level = sorted(below)


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
