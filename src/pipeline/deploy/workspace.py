"""One deployment of infra/: the folder that Terraform runs in, what it is told, and what it knows to be deployed."""

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
    """What Terraform knows to be deployed: all of infra/, or what an apply or destroy that failed half-way left."""

    outputs: Mapping[str, Any]
    resources: Sequence[tuple[str, Mapping[str, Any]]]
    """The type and the attributes of each."""
    named: Mapping[str, str] = field(default_factory=dict)
    """The tags that its settings give it: what counts where no resource is left that carries any."""

    @classmethod
    def read(cls, text: str) -> "StateFile":
        """A state as Terraform writes it; empty where the text is."""
        state = json.loads(text.strip() or "{}")
        managed = [kind for kind in state.get("resources", []) if kind["mode"] == "managed"]
        resources = [(kind["type"], instance["attributes"]) for kind in managed for instance in kind["instances"]]
        return cls({name: output["value"] for name, output in state.get("outputs", {}).items()}, resources)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that every resource carries which can."""
        carried = (attributes.get("tags") or {} for _, attributes in self.resources)
        known = (tags for tags in (*carried, self.outputs.get("tags", {})) if {"Project", "Environment"} <= set(tags))
        return next(known, self.named)

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
    """One deployment of infra/: where Terraform runs, what it is told and where its state is."""

    environment: Mapping[str, str]
    """The process environment, credentials and endpoint included."""
    variables: Mapping[str, str]
    folder: Path = INFRA
    """infra/ itself, or a copy of it: settings and backend in infra/ then don't count, and the state is in the copy."""
    backend: Backend = field(default_factory=LocalBackend)
    chosen: Environment = field(default_factory=Environment)
    data: str = ""
    """Terraform's folder of this deployment, in which it remembers the backend; by default that of the environment."""
    contracts: Path = build.CONTRACTS
    """What a copy reads its contracts from; infra/ itself is told by a variable."""

    def init(self) -> None:
        """`terraform init`, with a provider mirror from this machine where the registry can't be reached.

        Raises CliError where the state would be another than last time, or lies in a file and not in the bucket.
        """
        if self._is_copy:
            copy(self.folder, self.contracts)
        self._check_files()
        self._init()

    def move_state(self) -> Path:
        """Put the state that is in a file into the bucket; answers the file's new name. Raises CliError."""
        behind = self.left_behind()
        if not isinstance(self.backend, S3Backend) or not behind:
            missing = (
                "No file here holds a state of it" if isinstance(self.backend, S3Backend) else "No bucket is named"
            )
            raise CliError(
                f"{missing}: there is nothing to move.",
                f"Set {backends.VARIABLE} and ENV, in the checkout that was deployed from.",
            )
        moved = behind.rename(behind.with_name(f"{behind.name}.moved"))  # else Terraform offers to migrate it itself
        try:
            self._init()
            self._drain("state", "push", str(moved))  # refused where the bucket has the state of another deployment
        except BaseException:
            moved.rename(behind)
            raise
        return moved

    def left_behind(self) -> Path | None:
        """The file with the state of this environment, or of infra/bootstrap, from before it had a bucket."""
        own, other = self.folder / f"{self.chosen.name}.tfstate", self.folder / backends.DEFAULT_STATE
        if own.is_file() and _read(own).resources:
            return own
        if other.is_file() and (state := _read(other)).resources and state.tags.get("Environment") == self.chosen.name:
            return other
        return None

    def _check_files(self) -> None:
        """Raise CliError where a state in a file is left behind, or would be taken for that of this environment."""
        if isinstance(self.backend, S3Backend) and (behind := self.left_behind()):
            raise CliError(
                f"{behind.name} in {self.folder.name}/ holds what is deployed, and is not in {self.backend.bucket}.",
                f"Move it there: make move-state ENV={self.chosen.name}. Or delete the file, if it is of no use.",
            )
        default = self.folder / backends.DEFAULT_STATE
        if self.chosen.name and default.is_file() and (state := _read(default)).resources:
            name = state.tags.get("Environment", "its environment")
            raise CliError(
                f"{default.name} in {self.folder.name}/ is the state of {name}, deployed without ENV. Terraform would "
                f"take it for that of {self.chosen.name}.",
                f"Rename it to {name}.tfstate, and say ENV={name} from now on where you mean that.",
            )

    def _check_file_is_meant(self) -> None:
        """Raise CliError where infra/ would begin with an empty state in a file, though the team has a bucket."""
        if self.folder != INFRA or not isinstance(self.backend, LocalBackend):
            return
        file = self.folder / self.backend.path
        if not (file.is_file() and _read(file).resources):
            backends.check_no_bucket(self.chosen, self.backend.asked_for)

    @contextmanager
    def planned(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """A plan: the file, to be applied, and Terraform's JSON of it. Takes no lock and writes no state.

        The file holds values, secret ones too, and is gone afterwards. Raises CliError with Terraform's own error.
        """
        with tempfile.TemporaryDirectory(prefix="plan-") as folder:
            file = Path(folder) / "plan"
            self._drain("plan", "-no-color", "-lock=false", f"-out={file}", *self._variables())
            yield file, json.loads("".join(self._run("show", "-json", str(file))))

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        """`terraform apply`, line by line, of what was planned or anew. Raises CliError with Terraform's own error."""
        what = [str(planned)] if planned else [*self._variables(), *arguments]
        yield from self._run("apply", "-no-color", "-auto-approve", *what)

    def import_resource(self, address: str, identifier: str) -> None:
        """Let Terraform know of a resource that is there already (`terraform import`). Raises CliError."""
        self._drain("import", "-no-color", *self._variables(), address, identifier)

    def destroy(self, *arguments: str) -> Lines:
        """`terraform destroy`, line by line. Raises CliError with Terraform's own error."""
        yield from self._run("destroy", "-no-color", "-auto-approve", *self._variables(), *arguments)

    def state(self) -> StateFile:
        """What is deployed. Raises CliError where nothing is."""
        state = self.pull()
        if not state.resources:
            raise CliError(
                "Nothing is deployed here.", "Deploy first: make deploy-infra, with the same TARGET and ENV."
            )
        return state if state.tags else replace(state, named=self._tags())

    def _tags(self) -> dict[str, str]:
        """The tags that infra/ would give its resources now, by its settings."""
        files = [*environments.automatic_files(self.folder), *([self.chosen.file] if self.chosen.file else [])]
        settings = {**variables.values(files, self.environment), **self.variables}
        return {"Project": settings["project"], "Environment": settings["environment"]}

    def pull(self) -> StateFile:
        """What is deployed, be it nothing. Raises CliError where the state can't be read."""
        if self._data.is_dir():
            self._settle_backend()
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
        self._settle_backend()
        terraform.init(self._environment(), *self.backend.arguments(), folder=self.folder)

    def _settle_backend(self) -> None:
        """Let infra/ have this backend. Raises CliError where it was initialised for the state of another."""
        if wrong := self.backend.differs_from(backends.remembered(self._data)):
            raise CliError(
                wrong,
                f"Set {backends.VARIABLE} to where the state is. If it was moved there by hand, delete "
                f"{self._data.relative_to(self.folder.parent)} and run the same again.",
            )
        self._check_file_is_meant()
        override = self.folder / backends.OVERRIDE
        if isinstance(self.backend, S3Backend):
            override.write_text(backends.S3_OVERRIDE)
        elif not self._is_copy:  # which has one of its own
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
            next_steps = {said: step for said, step in self._next_steps().items() if said in str(refused)}
            raise CliError(str(refused), next(iter(next_steps.values()), refused.next_step)) from refused

    def _next_steps(self) -> dict[str, str]:
        """What to do where Terraform says so."""
        data = self._data.relative_to(self.folder)
        folder = "infra/bootstrap" if self.folder == BOOTSTRAP else self.folder.name
        settings = f"environments/{self.chosen.name}.tfvars" if self.chosen.name else "terraform.tfvars"
        return {
            "Error acquiring the state lock": "Somebody is deploying: wait, and run the same again. If that deploy has "
            f"died, take its lock away: TF_DATA_DIR={data} terraform -chdir={folder} force-unlock ID, with "
            "the ID above.",
            "does not exist or is not attachable": "The account has no such permissions boundary. Make it (make "
            f"bootstrap), or set permissions_boundary = null in infra/{settings}.",
            "Lake Formation permission": "Lake Formation governs the account's Glue catalog. Have one of its "
            "administrators grant what is missing to whoever deploys (for a database: aws lakeformation "
            "grant-permissions --principal DataLakePrincipalIdentifier=ARN --permissions CREATE_DATABASE --resource "
            '\'{"Catalog": {}}\'), and run the same again. docs/deployment.md, "Lake Formation", has the rest.',
            "already exist": "If an interrupted deploy has made it, Terraform does not know of it: delete it, or let "
            "Terraform know (terraform import), and run the same again. If it is somebody else's, give project or "
            "environment another name.",
            "cannot import state with lineage": f"The bucket has the state of another deployment under "
            f"{getattr(self.backend, 'key', 'this key')}: look which of the two counts.",
        }


def _read(path: Path) -> StateFile:
    return StateFile.read(path.read_text())


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
