"""Which environment on AWS is meant, and what its settings say: PIPELINE_ENV, and infra/environments/<name>.tfvars.

Without a name it is the one that infra/terraform.tfvars describes, which is one person's own.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.terraform import INFRA

VARIABLE = "PIPELINE_ENV"
DEFAULT_REGION = "eu-central-1"
_SETTING = r"^\s*{}\s*=\s*(.*?)\s*(?:(?:#|//).*)?$"
_PLAIN = re.compile(r'"([^"\\$]*)"|-?[0-9.]+(?:[eE][+-]?[0-9]+)?|true|false')


@dataclass(frozen=True)
class Environment:
    """One environment on AWS, by its name, or None for that of infra/terraform.tfvars."""

    name: str | None = None

    @property
    def file(self) -> Path | None:
        """The settings that a team shares."""
        return _folder() / f"{self.name}.tfvars" if self.name else None

    def setting(self, variable: str, default: str) -> str:
        """What a variable of infra/ is set to; files outrank the process environment, as they do for Terraform.

        https://developer.hashicorp.com/terraform/language/values/variables#variable-definition-precedence
        Raises UsageError for an expression, which only Terraform can read.
        """
        for path in filter(None, (self.file, INFRA / "terraform.tfvars")):
            text = path.read_text() if path.is_file() else ""
            if found := re.search(_SETTING.format(variable), text, re.MULTILINE):
                if not (plain := _PLAIN.fullmatch(found[1].strip())):
                    raise UsageError(
                        f"{path.name} sets {variable} to an expression, which only Terraform can read.",
                        "Write its value: a number, true, false, or a text in quotes.",
                    )
                return plain[1] if plain[1] is not None else plain[0]
        return os.environ.get(f"TF_VAR_{variable}", default)

    @property
    def project(self) -> str:
        return self.setting("project", "order-pipeline")

    @property
    def variables(self) -> dict[str, str]:
        """What Terraform is told besides, so that the name of the environment and of its state are one."""
        return {"project": self.project, "environment": self.name} if self.name else {}

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


def _folder() -> Path:
    return INFRA / "environments"
