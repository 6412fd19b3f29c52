"""Which environment on AWS is meant, and what its settings say: PIPELINE_ENV, and infra/environments/<name>.tfvars.

Without a name it is the one that infra/terraform.tfvars describes, which is one person's own.
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
_SET = "TF_VAR_"


@dataclass(frozen=True)
class Environment:
    """One environment on AWS, by its name, or None for that of infra/terraform.tfvars."""

    name: str | None = None

    @property
    def file(self) -> Path | None:
        """The settings that a team shares."""
        return _folder() / f"{self.name}.tfvars" if self.name else None

    def setting(self, variable: str, default: str) -> str:
        """What a variable of infra/ is set to here, as Terraform reads it, or `default` where nothing sets it.

        The environment's file outranks the files that are one person's own, and they outrank the process environment.
        https://developer.hashicorp.com/terraform/language/values/variables#variable-definition-precedence
        Raises CliError with Terraform's own error.
        """
        files = [*automatic_files(INFRA), *([self.file] if self.file else [])]
        return _setting(files, os.environ, variable, default)

    def shared_setting(self, variable: str, default: str) -> str:
        """The same by the environment's file alone: what is so for the whole team, whoever asks."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_SET)}
        return _setting([self.file] if self.file else [], environment, variable, default)

    def project(self) -> str:
        """The project, by the settings: Terraform may be asked."""
        return self.setting("project", DEFAULT_PROJECT)

    def variables(self) -> dict[str, str]:
        """What Terraform is told besides, so that the name of the environment and of its state are one."""
        return {"project": self.project(), "environment": self.name} if self.name else {}

    @property
    def arguments(self) -> tuple[str, ...]:
        """What Terraform is told before its variables."""
        return (f"-var-file={self.file}",) if self.file else ()


def chosen() -> Environment:
    """The environment that PIPELINE_ENV names, which make sets from ENV. Raises UsageError for an unknown one."""
    name = os.environ.get(VARIABLE, "").strip()
    if not name:
        return Environment()
    known = names()
    if name not in known:
        raise UsageError(
            f"There is no environment {name}: infra/environments/ has {', '.join(known) or 'none'}.",
            f"Name one of them (make … ENV={known[0] if known else 'dev'}; pipeline reads {VARIABLE}), or add a file "
            f"{name}.tfvars there.",
        )
    return Environment(name)


def names() -> list[str]:
    """The environments that have a file."""
    return sorted(path.stem for path in _folder().glob("*.tfvars"))


def check_apart() -> None:
    """Raise UsageError where the name of one environment begins with that of another and a dash.

    Names of resources could not tell them apart then, and so neither could the policies of roles.
    """
    known = names()
    for name, other in ((name, other) for name in known for other in known):
        if other.startswith(f"{name}-"):
            raise UsageError(
                f"The environments {name} and {other} begin alike: whoever may deploy {name} could change {other} too.",
                f"Rename one of their files in infra/environments/, say {other}.tfvars to "
                f"{other.removeprefix(f'{name}-')}-{name}.tfvars.",
            )


def automatic_files(folder: Path) -> list[Path]:
    """The files that Terraform reads by itself in a folder; a later one counts more."""
    own = [folder / "terraform.tfvars", folder / "terraform.tfvars.json"]
    auto = sorted(path for ending in ("", ".json") for path in folder.glob(f"*.auto.tfvars{ending}"))
    return [path for path in [*own, *auto] if path.is_file()]


def _setting(files: Sequence[Path], environment: Mapping[str, str], variable: str, default: str) -> str:
    there = [(path, path.read_bytes()) for path in files if path.is_file()]
    if not there:  # then nobody need have Terraform
        return environment.get(f"{_SET}{variable}", default)
    found = _values(tuple(there), tuple(sorted(environment.items())))[variable]
    return default if found is None else found if isinstance(found, str) else str(found).lower()


@lru_cache
def _values(files: tuple[tuple[Path, bytes], ...], environment: tuple[tuple[str, str], ...]) -> Values:
    """Terraform's answer, once for the same files with the same content."""
    return variables.values([path for path, _ in files], dict(environment))


def _folder() -> Path:
    return INFRA / "environments"
