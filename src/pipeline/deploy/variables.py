"""Evaluates the variables of infra/: their defaults, and their values in settings files.

Terraform evaluates them in a folder that has only variables.tf, without backend and provider. infra/defaults.json
keeps the defaults, so commands that deploy nothing work without Terraform.
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
"""Prefixes of environment variables that are meant for deployments and must not affect an evaluation."""

Values = Mapping[str, Any]
"""JSON values by variable name. Numbers are strings."""


def defaults() -> Values:
    """Return all variables' defaults. Runs Terraform if infra/variables.tf has changed since infra/defaults.json."""
    return _defaults(DECLARED.read_bytes())


@cache
def _defaults(declared: bytes) -> Values:
    kept = _parsed(KEPT.read_text("utf-8")) if KEPT.is_file() else {}
    return dict(kept["defaults"] if kept.get("sha256") == _digest(declared) else _parsed(_evaluated())["defaults"])


def values(files: Sequence[Path], environment: Mapping[str, str]) -> Values:
    """Return the value of every variable as Terraform reads it.

    `files` (*.tfvars, *.tfvars.json) take precedence over TF_VAR_… in `environment`, and later files over earlier
    files. Only a plan validates the values. Raises CliError with Terraform's own error for an unreadable file.
    """
    environment = {name: value for name, value in environment.items() if not name.startswith(_FOR_DEPLOYMENTS)}
    pairs = ", ".join(f"{name} = var.{name}" for name in defaults())
    # base64, since Terraform escapes the strings that it prints
    question = f"base64encode(jsonencode({{{pairs}}}))\n"
    with _declarations() as folder:
        command = ["console", "-no-color", *(f"-var-file={path.absolute()}" for path in files)]
        *_, printed = run(command, environment, folder=folder, question=question)  # warnings may precede the result
    return dict(_parsed(base64.b64decode(printed.strip().strip('"'))))


def check() -> None:
    """Raise CliError if infra/defaults.json doesn't match infra/variables.tf."""
    if not KEPT.is_file() or KEPT.read_text("utf-8") != _evaluated():
        raise CliError("infra/defaults.json does not match infra/variables.tf.", "Run make fmt.")


def write() -> None:
    """Write the defaults in infra/variables.tf to infra/defaults.json, as Terraform evaluates them."""
    KEPT.write_text(_evaluated(), "utf-8")


def _evaluated() -> str:
    """Return the content of infra/defaults.json for the current infra/variables.tf."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    with _declarations() as folder:
        list(run(["plan", "-input=false", "-out=plan"], environment, folder=folder))
        plan = json.loads("".join(run(["show", "-json", "plan"], environment, folder=folder)))
    found = {name: one["value"] for name, one in plan["variables"].items()}
    return json.dumps({"sha256": _digest(DECLARED.read_bytes()), "defaults": found}, indent=2) + "\n"


@contextmanager
def _declarations() -> Iterator[Path]:
    """Yield a temporary folder that contains only variables.tf."""
    with tempfile.TemporaryDirectory(prefix="settings-") as folder:
        (Path(folder) / DECLARED.name).write_bytes(DECLARED.read_bytes())
        yield Path(folder)


def _digest(declared: bytes) -> str:
    return hashlib.sha256(declared).hexdigest()


def _parsed(text: str | bytes) -> dict[str, Any]:
    return dict(json.loads(text, parse_int=str, parse_float=str))


if __name__ == "__main__":
    write()
