"""The variables of infra/: their defaults, and what Terraform reads from files of settings.

Terraform itself is asked, in a folder that holds variables.tf alone: neither backend nor provider is needed. Its answer
about the defaults is kept in infra/defaults.json, so that commands that deploy nothing work without Terraform.
"""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.deploy.terraform import INFRA, run
from pipeline.errors import CliError

DECLARED, KEPT = INFRA / "variables.tf", INFRA / "defaults.json"
_OF_A_DEPLOYMENT = ("TF_CLI_ARGS", "TF_DATA_DIR", "TF_WORKSPACE")
"""What in the environment is meant for Terraform in infra/, and not for a question."""

Values = Mapping[str, Any]
"""By the name of each variable, as JSON has them, numbers as strings."""


def defaults() -> Values:
    """The default of every variable. Asks Terraform if infra/variables.tf has changed since infra/defaults.json."""
    return _defaults(DECLARED.read_bytes())


@cache
def _defaults(declared: bytes) -> Values:
    kept = _parsed(KEPT.read_text("utf-8")) if KEPT.is_file() else {}
    return dict(kept["defaults"] if kept.get("sha256") == _digest(declared) else _parsed(_ask())["defaults"])


def values(files: Sequence[Path], environment: Mapping[str, str]) -> Values:
    """The value of every variable, as Terraform reads it.

    It reads `files` (*.tfvars, *.tfvars.json), of which a later one counts more, over the TF_VAR_… of `environment`. A
    value that infra/ refuses is returned too: a plan says what is wrong with it. Raises CliError with Terraform's own
    error where it can't read one.
    """
    environment = {name: value for name, value in environment.items() if not name.startswith(_OF_A_DEPLOYMENT)}
    pairs = ", ".join(f"{name} = var.{name}" for name in defaults())
    # base64, since Terraform prints a string with HCL's escapes
    question = f"base64encode(jsonencode({{{pairs}}}))\n"
    with _declarations() as folder:
        command = ["console", "-no-color", *(f"-var-file={path.absolute()}" for path in files)]
        *_, answer = run(command, environment, folder=folder, question=question)  # a warning may come first
    return dict(_parsed(base64.b64decode(answer.strip().strip('"'))))


def check() -> None:
    """Raise CliError unless infra/defaults.json is what Terraform says of infra/variables.tf."""
    if not KEPT.is_file() or KEPT.read_text("utf-8") != _ask():
        raise CliError("infra/defaults.json does not match infra/variables.tf.", "Run make fmt.")


def write() -> None:
    """Ask Terraform for the defaults, and keep its answer."""
    KEPT.write_text(_ask(), "utf-8")


def _ask() -> str:
    """The content of infra/defaults.json."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    with _declarations() as folder:
        list(run(["plan", "-input=false", "-out=plan"], environment, folder=folder))
        plan = json.loads("".join(run(["show", "-json", "plan"], environment, folder=folder)))
    found = {name: one["value"] for name, one in plan["variables"].items()}
    return json.dumps({"sha256": _digest(DECLARED.read_bytes()), "defaults": found}, indent=2) + "\n"


@contextmanager
def _declarations() -> Iterator[Path]:
    """A folder in which only infra's variables are declared."""
    with tempfile.TemporaryDirectory(prefix="settings-") as folder:
        (Path(folder) / DECLARED.name).write_bytes(DECLARED.read_bytes())
        yield Path(folder)


def _digest(declared: bytes) -> str:
    return hashlib.sha256(declared).hexdigest()


def _parsed(text: str | bytes) -> dict[str, Any]:
    return dict(json.loads(text, parse_int=str, parse_float=str))


if __name__ == "__main__":
    write()
