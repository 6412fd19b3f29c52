"""One deployment of infra/: the folder that Terraform runs in, what it is told, and what it knows to be deployed."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import ROOT, build, terraform
from pipeline.errors import CliError
from pipeline.terraform import INFRA, Lines

_REGION_OF_ARN = re.compile(r"arn:[\w-]+:[\w-]+:([\w-]+):")


@dataclass(frozen=True)
class State:
    """What Terraform knows to be deployed: all of infra/, or what an apply or destroy that failed half-way left."""

    outputs: Mapping[str, Any]
    resources: Sequence[tuple[str, Mapping[str, Any]]]
    """The type and the attributes of each."""

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that every resource carries which can."""
        carried = (attributes.get("tags") or {} for _, attributes in self.resources)
        return next((tags for tags in carried if {"Project", "Environment"} <= set(tags)), self.outputs.get("tags", {}))

    @property
    def region(self) -> str | None:
        """The region, or None where only resources without one are left."""
        arns = (_REGION_OF_ARN.match(attributes.get("arn") or "") for _, attributes in self.resources)
        return self.outputs.get("region") or next((arn[1] for arn in arns if arn), None)

    @property
    def buckets(self) -> list[str]:
        return [attributes["bucket"] for kind, attributes in self.resources if kind == "aws_s3_bucket"]


@dataclass(frozen=True)
class Workspace:
    """One deployment of infra/: where Terraform runs and what it is told."""

    environment: Mapping[str, str]
    """The process environment, credentials and endpoint included."""
    variables: Mapping[str, str]
    folder: Path = INFRA
    """infra/ itself, or a copy of it: settings and backend in infra/ then don't count, and the state is in the copy."""
    contracts: Path = build.CONTRACTS
    """What a copy reads its contracts from; infra/ itself is told by a variable."""

    def init(self) -> None:
        """`terraform init`, with a provider mirror from this machine where the registry can't be reached."""
        if self.folder != INFRA:
            copy(self.folder, self.contracts)
        terraform.init(self._environment(), folder=self.folder)

    def apply(self, *arguments: str) -> Lines:
        """`terraform apply`, line by line. Raises CliError with Terraform's own error."""
        yield from self._run("apply", "-no-color", "-auto-approve", *self._variables(), *arguments)

    def destroy(self, *arguments: str) -> Lines:
        """`terraform destroy`, line by line. Raises CliError with Terraform's own error."""
        yield from self._run("destroy", "-no-color", "-auto-approve", *self._variables(), *arguments)

    def state(self) -> State:
        """What is deployed. Raises CliError where nothing is."""
        if not self._data.is_dir():
            self.init()
        state = json.loads("".join(self._run("state", "pull")).strip() or "{}")
        managed = [kind for kind in state.get("resources", []) if kind["mode"] == "managed"]
        resources = [(kind["type"], instance["attributes"]) for kind in managed for instance in kind["instances"]]
        if not resources:
            raise CliError("Nothing is deployed here.", "Deploy first: make deploy-infra, with the same TARGET.")
        return State({name: output["value"] for name, output in state["outputs"].items()}, resources)

    @property
    def _data(self) -> Path:
        return self.folder / ".terraform"

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "TF_DATA_DIR": str(self._data), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}

    def _variables(self) -> list[str]:
        return [f"-var={name}={value}" for name, value in self.variables.items()]

    def _run(self, *arguments: str) -> Lines:
        yield from terraform.run(arguments, self._environment(), folder=self.folder)


def copy(folder: Path, contracts: Path = build.CONTRACTS) -> None:
    """Copy infra/ to `folder`, and what it reads to beside it, without what is one person's or one team's own.

    That is settings (*.tfvars), state, overrides and the backend: the copy's state is a file in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.tf"):
        old.unlink()
    for path in [*INFRA.glob("*.tf"), INFRA / ".terraform.lock.hcl"]:
        if not path.name.endswith("override.tf"):
            shutil.copy(path, folder)
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    read = [(INFRA / name, folder / name) for name in ("views", "queries")]
    read.append((ROOT / "statemachine", folder.parent / "statemachine"))
    read += [
        (path.parent, folder.parent / "contracts" / path.parent.name) for path in contracts.glob("*/contract.json")
    ]
    shutil.rmtree(folder.parent / "contracts", ignore_errors=True)
    for original, copied in read:
        shutil.rmtree(copied, ignore_errors=True)  # what is gone from the original must go here too
        shutil.copytree(original, copied)
