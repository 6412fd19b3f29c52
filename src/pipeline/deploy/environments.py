"""Chooses the environment on AWS and reads its settings: PIPELINE_ENV and infra/environments/<name>.tfvars.

Without PIPELINE_ENV, the settings are in infra/terraform.tfvars, which belongs to one person.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.deploy import variables
from pipeline.deploy.terraform import INFRA
from pipeline.deploy.variables import Values
from pipeline.errors import UsageError

VARIABLE = "PIPELINE_ENV"
DEFAULT_PROJECT = "order-pipeline"
DEFAULT_REGION = "eu-central-1"
DEFAULT_NAME = "dev"
_PREFIX = "TF_VAR_"


@dataclass(frozen=True)
class Environment:
    """An environment on AWS. Without a name, its settings are in infra/terraform.tfvars."""

    name: str | None = None

    @property
    def file(self) -> Path | None:
        """The path of the settings that a team shares, or None without a name."""
        return _folder() / f"{self.name}.tfvars" if self.name else None

    def setting(self, variable: str, default: str) -> str:
        """Return the value of a variable of infra/ as Terraform reads it, or `default` if the variable isn't set.

        The environment's file takes precedence over one person's files, and these over the process environment.
        https://developer.hashicorp.com/terraform/language/values/variables#variable-definition-precedence
        Raises CliError with Terraform's own error.
        """
        files = [*automatic_files(INFRA), *([self.file] if self.file else [])]
        return _setting(files, os.environ, variable, default)

    def shared_setting(self, variable: str, default: str) -> str:
        """Return the value of a variable in the environment's file, which the whole team shares, or `default`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
        return _setting([self.file] if self.file else [], environment, variable, default)

    def project(self) -> str:
        """Return the project in the settings. May run Terraform."""
        return self.setting("project", DEFAULT_PROJECT)

    def variables(self) -> dict[str, str]:
        """Return the Terraform variables that make a deployment's name agree with the name of its state."""
        return {"project": self.project(), "environment": self.name} if self.name else {}

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of Terraform that precede the variables."""
        return (f"-var-file={self.file}",) if self.file else ()


def chosen() -> Environment:
    """Return the environment in PIPELINE_ENV, which make sets from ENV. Raises UsageError if it is unknown."""
    name = os.environ.get(VARIABLE, "").strip()
    known = names()
    if name and name not in known:
        raise UsageError(
            f"There is no environment {name}. infra/environments/ has {', '.join(known) or 'none'}.",
            f"Choose one (make … ENV={known[0] if known else 'dev'}, or {VARIABLE} for pipeline), or add a file "
            f"{name}.tfvars there.",
        )
    return Environment(name or None)


def names() -> list[str]:
    """Return the names of the environments that have a file."""
    return sorted(path.stem for path in _folder().glob("*.tfvars"))


def check_apart() -> None:
    """Raise UsageError if the name of one environment and a dash begin the name of another.

    The resource names and the role policies of the two would overlap.
    """
    known = names()
    for name, other in ((name, other) for name in known for other in known):
        if other.startswith(f"{name}-"):
            raise UsageError(
                f"The name {other} begins with {name}-, so the deploy role of {name} could also change {other}.",
                f"Rename a file in infra/environments/, for example {other}.tfvars to "
                f"{other.removeprefix(f'{name}-')}-{name}.tfvars.",
            )


def automatic_files(folder: Path) -> list[Path]:
    """Return the settings files that Terraform reads automatically in a folder. Later files take precedence."""
    own = [folder / "terraform.tfvars", folder / "terraform.tfvars.json"]
    auto = sorted(path for ending in ("", ".json") for path in folder.glob(f"*.auto.tfvars{ending}"))
    return [path for path in [*own, *auto] if path.is_file()]


def _setting(files: Sequence[Path], environment: Mapping[str, str], variable: str, default: str) -> str:
    existing = [(path, path.read_bytes()) for path in files if path.is_file()]
    if not existing:  # without files, Terraform isn't needed
        return environment.get(f"{_PREFIX}{variable}", default)
    found = _values(tuple(existing), tuple(sorted(environment.items())))[variable]
    return default if found is None else found if isinstance(found, str) else str(found).lower()


@lru_cache
def _values(files: tuple[tuple[Path, bytes], ...], environment: tuple[tuple[str, str], ...]) -> Values:
    """Return the values of all variables, cached by the content of the files and the environment."""
    return variables.values([path for path, _ in files], dict(environment))


def _folder() -> Path:
    return INFRA / "environments"
