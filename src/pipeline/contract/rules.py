"""The rules that a file is judged by, of this checkout or as deployed: contracts, and the functions' settings."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from pipeline.deploy import environments, variables
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
"""The Terraform variables that decide what becomes of a file; a function's environment has them in capitals."""

_CONTRACTS = "contracts/"


@dataclass(frozen=True)
class Rules:
    """What decides whether a file is published, and which of its records are."""

    contracts: Path
    settings: Mapping[str, str]
    """By the name that a function's environment has for it."""
    origin: str
    """Where the rules are from, for people."""


def rules_here(contracts: Path | None = None) -> Rules:
    """The rules of this checkout: its contracts, and Terraform's variables as they would be deployed from here."""
    chosen = environments.chosen()
    defaults = variables.defaults()
    settings = {name.upper(): _as_terraform_writes(chosen.setting(name, defaults[name])) for name in SETTINGS}
    folder = contracts or contracts_folder(chosen)
    if not folder.is_dir():
        raise CliError(f"There is no folder {folder}.", "Name a folder that has a folder for each feed.")
    return Rules(folder, settings, "this checkout")


def _as_terraform_writes(value: str) -> str:
    """A number without its exponent, as a function's environment has it; any other text as it is."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    return f"{number:f}"


def rules_of(place: Target, folder: Path) -> Rules:
    """The rules that are deployed: the settings of the functions there, and the contracts that are packed into one.

    The contracts are unpacked into `folder`. Raises CliError where what is deployed is of an earlier release.
    """
    names, functions = place.outputs()["function_names"], place.client("lambda")
    found = {name: functions.get_function(FunctionName=names[name]) for name in ("starter", "validate", "write")}
    environment = {
        key: value for one in found.values() for key, value in one["Configuration"]["Environment"]["Variables"].items()
    }
    if missing := sorted({name.upper() for name in SETTINGS} - environment.keys()):
        raise CliError(
            f"What is deployed has no {', '.join(missing)}: it is of another release.",
            "Check out its release, or run make deploy-infra.",
        )
    _unpack_contracts(place.download(found["validate"]["Code"]["Location"]), folder)
    settings = {name.upper(): environment[name.upper()] for name in SETTINGS}
    return Rules(folder / _CONTRACTS, settings, f"{place.outputs()['name']}, release {environment['RELEASE']}")


def _unpack_contracts(package: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(_CONTRACTS)])
