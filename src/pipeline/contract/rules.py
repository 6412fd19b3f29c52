"""Reads the rules for validating a file: the contracts and the functions' settings, here or in a deployment."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from pipeline.deploy import environments, variables
from pipeline.deploy.build import EXAMPLES
from pipeline.deploy.targets import Target, contracts_folder
from pipeline.errors import CliError

SETTINGS = (
    "chunk_bytes",
    "max_object_bytes",
    "max_inflated_bytes",
    "max_inflation_ratio",
    "max_record_bytes",
    "max_nesting",
    "max_reject_bytes",
    "max_reject_ratio",
    "unknown_fields",
)
"""The Terraform variables that affect a file's outcome. The functions have them as environment variables."""

_CONTRACTS = "contracts/"


@dataclass(frozen=True)
class Rules:
    """The contracts and settings that decide whether a file and its records are published."""

    contracts: Path
    settings: Mapping[str, str]
    """The values by their names in a function's environment, in upper case."""
    origin: str
    """A description of the source of the rules."""


def rules_here(contracts: Path | None = None) -> Rules:
    """Return the rules of this checkout: its contracts, and the Terraform variables that it would deploy."""
    chosen = environments.chosen()
    defaults = variables.defaults()
    settings = {name.upper(): _as_terraform_writes(chosen.setting(name, defaults[name])) for name in SETTINGS}
    folder = contracts or contracts_folder(chosen)
    if not folder.is_dir():
        raise CliError(f"There is no folder {folder}.", "Name a folder that has a folder for each dataset.")
    return Rules(
        folder, settings, "this checkout, with examples/contracts" if folder.resolve() == EXAMPLES else "this checkout"
    )


def _as_terraform_writes(value: str) -> str:
    """Return a number without an exponent, as in a function's environment, and any other string unchanged."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    return f"{number:f}"


def rules_of(place: Target, folder: Path) -> Rules:
    """Return the rules of a deployment: its functions' settings, and the contracts in a function's package.

    The contracts are unpacked into `folder`. Raises CliError if the deployment's release doesn't have these settings.
    """
    names, functions = place.outputs()["function_names"], place.client("lambda")
    found = {name: functions.get_function(FunctionName=names[name]) for name in ("starter", "validate", "write")}
    environment = {
        key: value for one in found.values() for key, value in one["Configuration"]["Environment"]["Variables"].items()
    }
    if missing := sorted({name.upper() for name in SETTINGS} - environment.keys()):
        raise CliError(
            f"The deployment has no {', '.join(missing)}: another release created it.",
            "Check out its release, or run make deploy-infra.",
        )
    _unpack_contracts(place.download(found["validate"]["Code"]["Location"]), folder)
    settings = {name.upper(): environment[name.upper()] for name in SETTINGS}
    return Rules(folder / _CONTRACTS, settings, f"{place.outputs()['name']}, release {environment['RELEASE']}")


def _unpack_contracts(package: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(_CONTRACTS)])
