"""The variables of infra/: their defaults, and their values in files of settings.

Terraform itself evaluates them, in a folder with variables.tf only, without backend and provider. The defaults are kept
in infra/defaults.json, so commands that deploy nothing work without Terraform.
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
_FOR_DEPLOYMENTS = ("TF_CLI_ARGS", "TF_DATA_DIR", "TF_WORKSPACE")
"""Environment variables for Terraform in infra/, which must not affect an evaluation."""

Values = Mapping[str, Any]
"""JSON values by the variable's name, with numbers as strings."""


def defaults() -> Values:
    """The default of every variable. Runs Terraform if infra/variables.tf has changed since infra/defaults.json."""
    return _defaults(DECLARED.read_bytes())


@cache
def _defaults(declared: bytes) -> Values:
    kept = _parsed(KEPT.read_text("utf-8")) if KEPT.is_file() else {}
    return dict(kept["defaults"] if kept.get("sha256") == _digest(declared) else _parsed(_evaluated())["defaults"])


def values(files: Sequence[Path], environment: Mapping[str, str]) -> Values:
    """The value of every variable, as Terraform reads it.

    `files` (*.tfvars, *.tfvars.json) take precedence over the TF_VAR_… of `environment`, and later files over earlier
    ones. Values are not validated: a plan does that. Raises CliError with Terraform's own error for an unreadable file.
    """
    environment = {name: value for name, value in environment.items() if not name.startswith(_FOR_DEPLOYMENTS)}
    pairs = ", ".join(f"{name} = var.{name}" for name in defaults())
    # base64, since Terraform escapes the strings that it prints
    question = f"base64encode(jsonencode({{{pairs}}}))\n"
    with _declarations() as folder:
        command = ["console", "-no-color", *(f"-var-file={path.absolute()}" for path in files)]
        *_, printed = run(command, environment, folder=folder, question=question)  # a warning may precede it
    return dict(_parsed(base64.b64decode(printed.strip().strip('"'))))


def check() -> None:
    """Raise CliError if infra/defaults.json doesn't match infra/variables.tf."""
    if not KEPT.is_file() or KEPT.read_text("utf-8") != _evaluated():
        raise CliError("infra/defaults.json does not match infra/variables.tf.", "Run make fmt.")


def write() -> None:
    """Write the defaults that Terraform returns to infra/defaults.json."""
    KEPT.write_text(_evaluated(), "utf-8")


def _evaluated() -> str:
    """The content of infra/defaults.json."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    with _declarations() as folder:
        list(run(["plan", "-input=false", "-out=plan"], environment, folder=folder))
        plan = json.loads("".join(run(["show", "-json", "plan"], environment, folder=folder)))
    found = {name: one["value"] for name, one in plan["variables"].items()}
    return json.dumps({"sha256": _digest(DECLARED.read_bytes()), "defaults": found}, indent=2) + "\n"


@contextmanager
def _declarations() -> Iterator[Path]:
    """A folder that contains only infra's variables."""
    with tempfile.TemporaryDirectory(prefix="settings-") as folder:
        (Path(folder) / DECLARED.name).write_bytes(DECLARED.read_bytes())
        yield Path(folder)


def _digest(declared: bytes) -> str:
    return hashlib.sha256(declared).hexdigest()


def _parsed(text: str | bytes) -> dict[str, Any]:
    return dict(json.loads(text, parse_int=str, parse_float=str))


if __name__ == "__main__":
    write()
