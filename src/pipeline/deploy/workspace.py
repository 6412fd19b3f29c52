"""A deployment of infra/: the folder that Terraform runs in, its variables, and its state."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import ROOT
from pipeline.deploy import backends, build, environments, terraform, variables
from pipeline.deploy.backends import Backend, LocalBackend, S3Backend
from pipeline.deploy.environments import Environment
from pipeline.deploy.terraform import BOOTSTRAP, INFRA, Lines
from pipeline.errors import CliError

_REGION_OF_ARN = re.compile(r"arn:[\w-]+:[\w-]+:([\w-]+):")


@dataclass(frozen=True)
class StateFile:
    """Terraform's state: all of infra/, or what remains after a failed apply or destroy."""

    outputs: Mapping[str, Any]
    resources: Sequence[tuple[str, Mapping[str, Any]]]
    """The type and the attributes of each resource."""
    default_tags: Mapping[str, str] = field(default_factory=dict)
    """The tags in the settings, for a state in which no resource has tags."""

    @classmethod
    def read(cls, text: str) -> "StateFile":
        """Read a state in Terraform's JSON. An empty string is an empty state."""
        state = json.loads(text.strip() or "{}")
        managed = [kind for kind in state.get("resources", []) if kind["mode"] == "managed"]
        resources = [(kind["type"], instance["attributes"]) for kind in managed for instance in kind["instances"]]
        return cls({name: output["value"] for name, output in state.get("outputs", {}).items()}, resources)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of the deployment's resources."""
        carried = (attributes.get("tags") or {} for _, attributes in self.resources)
        known = (tags for tags in (*carried, self.outputs.get("tags", {})) if {"Project", "Environment"} <= set(tags))
        return next(known, self.default_tags)

    @property
    def region(self) -> str | None:
        """The region, or None if the state has only resources without a region."""
        arns = (_REGION_OF_ARN.match(attributes.get("arn") or "") for _, attributes in self.resources)
        return self.outputs.get("region") or next((arn[1] for arn in arns if arn), None)

    @property
    def buckets(self) -> list[str]:
        return [attributes["bucket"] for kind, attributes in self.resources if kind == "aws_s3_bucket"]


@dataclass(frozen=True)
class Workspace:
    """A deployment of infra/: its folder, its variables and the backend of its state."""

    environment: Mapping[str, str]
    """The process environment, including credentials and endpoint."""
    variables: Mapping[str, str]
    folder: Path = INFRA
    """The folder that Terraform runs in: infra/, or a copy without the settings of infra/ that holds its own state."""
    backend: Backend = field(default_factory=LocalBackend)
    chosen: Environment = field(default_factory=Environment)
    data: str = ""
    """The name of Terraform's data folder, which records the backend. By default, the environment's."""
    contracts: Path = build.CONTRACTS
    """The folder of the contracts that a copy uses. infra/ itself has a Terraform variable for it."""

    def init(self) -> None:
        """Run `terraform init`. Raises CliError if the state is elsewhere than in the backend."""
        if self._is_copy:
            copy(self.folder, self.contracts)
        self._check_files()
        self._init()

    def move_state(self) -> Path:
        """Move the state from a file to the bucket. Return the new path of the file. Raises CliError."""
        file = self._state_file()
        if not isinstance(self.backend, S3Backend) or not file:
            raise CliError(
                "There is no state to move: no bucket is set, or no file here holds a state of this environment.",
                f"Set {backends.VARIABLE} and ENV in the checkout that you deployed from. If you deployed without ENV, "
                f"rename {backends.DEFAULT_STATE} to {self.chosen.name or 'dev'}.tfstate first.",
            )
        moved = file.rename(file.with_name(f"{file.name}.moved"))  # otherwise, Terraform tries to migrate the file
        try:
            self._init()
            self._drain("state", "push", str(moved))  # fails if the bucket has the state of another deployment
        except BaseException:
            moved.rename(file)
            raise
        return moved

    def _state_file(self) -> Path | None:
        """Return the file with this environment's state from before it used a bucket, or None without such a file."""
        own = self.folder / f"{self.chosen.name}.tfstate"
        return own if self.chosen.name and _read(own).resources else None

    def _check_files(self) -> None:
        """Raise CliError if a file has a state that was not moved, or that Terraform would use by mistake."""
        if isinstance(self.backend, S3Backend) and (file := self._state_file()):
            raise CliError(
                f"The state of {self.chosen.name} is in {self.folder.name}/{file.name}, not in {self.backend.bucket}.",
                f"Move it to the bucket: make move-state ENV={self.chosen.name}. If it is obsolete, delete the file.",
            )
        state = _read(self.folder / backends.DEFAULT_STATE)
        if self.chosen.name and state.resources:
            name = state.tags.get("Environment", "its environment")
            raise CliError(
                f"{self.folder.name}/{backends.DEFAULT_STATE} is the state of {name}, which was deployed without ENV. "
                f"Terraform would use that state for {self.chosen.name}.",
                f"Rename the file to {name}.tfstate, and use ENV={name} for that environment from now on.",
            )

    @contextmanager
    def planned(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield a plan: the file that can be applied, and Terraform's JSON. Takes no lock and writes no state.

        The file contains values, even secrets, and is deleted afterwards. Raises CliError with Terraform's own error.
        """
        with tempfile.TemporaryDirectory(prefix="plan-") as folder:
            file = Path(folder) / "plan"
            self._drain("plan", "-no-color", "-lock=false", f"-out={file}", *self._variables())
            yield file, json.loads("".join(self._run("show", "-json", str(file))))

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        """Run `terraform apply`, optionally with a plan, and yield its output. Raises CliError with its error."""
        what = [str(planned)] if planned else [*self._variables(), *arguments]
        yield from self._run("apply", "-no-color", "-auto-approve", *what)

    def import_resource(self, address: str, identifier: str) -> None:
        """Add an existing resource to the state (`terraform import`). Raises CliError."""
        self._drain("import", "-no-color", *self._variables(), address, identifier)

    def destroy(self, *arguments: str) -> Lines:
        """Run `terraform destroy` and yield its output line by line. Raises CliError with Terraform's own error."""
        yield from self._run("destroy", "-no-color", "-auto-approve", *self._variables(), *arguments)

    def state(self) -> StateFile:
        """Return the state of the deployment. Raises CliError if nothing is deployed."""
        state = self.pull()
        if not state.resources:
            raise CliError(
                "Nothing is deployed here.", "Deploy first: make deploy-infra, with the same TARGET and ENV."
            )
        return state if state.tags else replace(state, default_tags=self._tags())

    def _tags(self) -> dict[str, str]:
        """Return the tags of the deployment according to the current settings."""
        files = [*environments.automatic_files(self.folder), *([self.chosen.file] if self.chosen.file else [])]
        settings = {**variables.values(files, self.environment), **self.variables}
        return {"Project": settings["project"], "Environment": settings["environment"]}

    def pull(self) -> StateFile:
        """Return the state, which may be empty. Raises CliError if Terraform can't read it."""
        if self._data.is_dir():
            self._configure_backend()
        else:
            self.init()
        return StateFile.read("".join(self._run("state", "pull")))

    @property
    def _is_copy(self) -> bool:
        return self.folder not in (INFRA, BOOTSTRAP)

    @property
    def _data(self) -> Path:
        return self.folder / (self.data or (f".terraform-{self.chosen.name}" if self.chosen.name else ".terraform"))

    def _init(self) -> None:
        self._configure_backend()
        terraform.init(self._environment(), *self.backend.arguments(), folder=self.folder)

    def _configure_backend(self) -> None:
        """Configure the backend in the folder. Raises CliError if the state is elsewhere."""
        if difference := backends.difference(self.backend, self._data):
            raise CliError(
                difference,
                f"Set {backends.VARIABLE} to that bucket. If you moved the state yourself, delete "
                f"{self._data.relative_to(self.folder.parent)}, then run the command again.",
            )
        local = self.backend if self.folder == INFRA and isinstance(self.backend, LocalBackend) else None
        if local and not _read(self.folder / local.path).resources:
            backends.check_no_bucket(self.chosen)
        override = self.folder / backends.OVERRIDE
        if isinstance(self.backend, S3Backend):
            override.write_text(backends.S3_OVERRIDE)
        elif not self._is_copy:  # a copy has its own override
            override.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "TF_DATA_DIR": str(self._data), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}

    def _variables(self) -> list[str]:
        return [*self.chosen.arguments, *(f"-var={name}={value}" for name, value in self.variables.items())]

    def _drain(self, *arguments: str) -> None:
        for _ in self._run(*arguments):
            pass

    def _run(self, *arguments: str) -> Lines:
        try:
            yield from terraform.run(arguments, self._environment(), folder=self.folder)
        except CliError as refused:
            steps = (step for part, step in self._next_steps().items() if part in str(refused))
            raise CliError(str(refused), next(steps, refused.next_step)) from refused

    def _next_steps(self) -> dict[str, str]:
        """Return next steps for Terraform's errors, by a part of the error message."""
        data = self._data.relative_to(self.folder)
        folder = "infra/bootstrap" if self.folder == BOOTSTRAP else self.folder.name
        settings = f"environments/{self.chosen.name}.tfvars" if self.chosen.name else "terraform.tfvars"
        return {
            "Error acquiring the state lock": "Another deploy is running. Wait for it, then run the command again. If "
            f"it was killed, release its lock: TF_DATA_DIR={data} terraform -chdir={folder} force-unlock ID, with "
            "the ID above.",
            "does not exist or is not attachable": "The account has no such permissions boundary. Create it (make "
            f"bootstrap), or set permissions_boundary = null in infra/{settings}.",
            "Lake Formation permission": "Lake Formation governs the account's Glue catalog. Ask one of its "
            "administrators to grant the missing permission to the principal that deploys (for a database: aws "
            "lakeformation grant-permissions --principal DataLakePrincipalIdentifier=ARN --permissions CREATE_DATABASE "
            '--resource \'{"Catalog": {}}\'), then repeat the command. See "Lake Formation" in docs/guides/deploy.md.',
            "already exist": "If an interrupted run created it, it is not in Terraform's state. Delete or import it "
            "(terraform import), then run the command again. If it belongs to somebody else, choose another project or "
            "environment name.",
            "cannot import state with lineage": "The bucket has the state of another deployment under "
            f"{getattr(self.backend, 'key', 'this key')}. Find out which of the two is in use.",
        }


def _read(path: Path) -> StateFile:
    """Return the state in a file, or an empty state if the file doesn't exist."""
    return StateFile.read(path.read_text() if path.is_file() else "")


def copy(folder: Path, contracts: Path = build.CONTRACTS) -> None:
    """Copy infra/ to `folder`, and the files outside of it that Terraform reads to the same relative places.

    Settings (*.tfvars), state, overrides and the backend are not copied. The state of the copy is a file in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.tf"):
        old.unlink()
    for path in [*INFRA.glob("*.tf"), INFRA / ".terraform.lock.hcl"]:
        if not path.name.endswith("override.tf"):
            shutil.copy(path, folder)
    (folder / backends.OVERRIDE).write_text('terraform {\n  backend "local" {}\n}\n')
    shutil.rmtree(folder.parent / "contracts", ignore_errors=True)
    trees = {INFRA / name: folder / name for name in ("views", "queries")}
    trees[ROOT / "statemachine"] = folder.parent / "statemachine"
    trees |= {path.parent: folder.parent / "contracts" / path.parent.name for path in contracts.glob("*/contract.json")}
    for original, copied in trees.items():
        shutil.rmtree(copied, ignore_errors=True)  # removes files that were deleted from the original
        shutil.copytree(original, copied)
