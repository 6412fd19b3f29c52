"""Reads the functions' settings from environment variables, and defines their types and units."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

from functions.common.errors import ConfigurationError

CONTRACTS = Path(__file__).parents[2] / "contracts"
"""The folder of the contracts that are packaged with the code."""

MOST_NESTING = 250
"""The highest value of `max_nesting`: jsonschema-rs reads 255 levels, orjson writes 254, and a reject line adds one."""

REJECT, DROP = "reject", "drop"
"""The values of `unknown_fields`."""


_UNSET: Any = object()
"""Marks a setting without a value."""


def _text(_name: str, text: str) -> str:
    return text


def _positive_int(name: str, text: str, most: int | None = None) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number == 0 or (most and number > most):
        limit = f" and at most {most}" if most else ""
        raise ConfigurationError(f"The environment variable {name} must be a whole number greater than 0{limit}.")
    return number


def _nesting(name: str, text: str) -> int:
    return _positive_int(name, text, MOST_NESTING)


def _ratio(name: str, text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ConfigurationError(f"The environment variable {name} must be a number from 0 to 1.")
    return ratio


def _reject_or_drop(name: str, text: str) -> str:
    if text not in (REJECT, DROP):
        raise ConfigurationError(f"The environment variable {name} must be {REJECT} or {DROP}.")
    return text


def _folder(_name: str, text: str) -> Path:
    return Path(text)


def _json(name: str, text: str) -> Mapping[str, Any]:
    try:
        described: Mapping[str, Any] = json.loads(text)
    except ValueError as exc:
        raise ConfigurationError(f"The environment variable {name} must be JSON.") from exc
    return described


def _setting(parse: Callable[[str, str], Any], variable: str = "") -> Any:
    """Declare a field that `from_env` reads from an environment variable, by default the field's name in upper case."""
    return field(default_factory=lambda: _UNSET, metadata={"parse": parse, "variable": variable})


def _variable(setting: Field[Any]) -> str:
    return setting.metadata["variable"] or setting.name.upper()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Settings:
    """The configuration of a function.

    For each function, Terraform sets the environment variables that its code reads (infra/functions.tf). Reading a
    setting that is not set raises ConfigurationError, which names the variable.
    """

    ingest_bucket: str = _setting(_text)
    """The bucket to which producers upload files."""
    processed_bucket: str = _setting(_text)
    """The bucket for everything that the pipeline writes."""
    state_machine_arn: str = _setting(_text)
    """The state machine whose executions process batches."""
    record_failure_arn: str = _setting(_text)
    """The function that writes missing failure records."""
    topic_arn: str = _setting(_text)
    """The SNS topic for notifications."""
    release: str = _setting(_text)
    """A hash of the deployed code and contracts, which the manifest records."""
    contracts: Path = field(default=CONTRACTS, metadata={"parse": _folder, "variable": ""})
    """The folder of the contracts. The default is the folder that is packaged with the code."""
    chunk_bytes: int = _setting(_positive_int)
    """The planned size of one chunk of a JSON Lines file, in bytes."""
    max_object_bytes: int = _setting(_positive_int)
    """The largest object that is read, in bytes as stored."""
    max_inflated_bytes: int = _setting(_positive_int)
    """The largest object that can't be split into chunks, in bytes, after decompression if it is compressed."""
    max_inflation_ratio: int = _setting(_positive_int)
    """The highest ratio of a compressed object's decompressed size to its stored size."""
    max_record_bytes: int = _setting(_positive_int)
    """The largest single record, in bytes of JSON."""
    max_nesting: int = _setting(_nesting)
    """The maximum nesting depth of a record's arrays and objects, including the record itself."""
    max_reject_bytes: int = _setting(_positive_int)
    """The maximum size of one chunk's rejects, in bytes."""
    max_reject_ratio: float = _setting(_ratio)
    """The share of rejected records, 0 to 1, above which the whole file fails."""
    unknown_fields: str = _setting(_reject_or_drop)
    """What to do with a field that the contract does not define: REJECT the record, or DROP only the field."""
    deployment: Mapping[str, Any] = _setting(_json)
    """The values on which costs depend: `region`, `architecture`, `staging_days`, and the memory and /tmp size of each
    of `functions`, in MiB.
    """
    memory_mb: int = _setting(_positive_int, variable="AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    """The function's memory in MiB, which Lambda sets."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables. An empty variable counts as not set.

        Raises ConfigurationError if a value is invalid.
        """
        given = {}
        for setting in fields(cls):
            if text := environment.get(_variable(setting), ""):
                given[setting.name] = setting.metadata["parse"](_variable(setting), text)
        return cls(**given)

    def __post_init__(self) -> None:
        for setting in fields(self):
            if getattr(self, setting.name) is _UNSET:
                object.__delattr__(self, setting.name)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise ConfigurationError for a setting without a value."""
        variable = next((_variable(setting) for setting in fields(self) if setting.name == name), None)
        if variable is None:
            raise AttributeError(name)
        raise ConfigurationError(
            f"The environment variable {variable} is not set. Terraform sets it in infra/functions.tf. Deploy again."
        )


@cache
def settings() -> Settings:
    """Return the settings of this process, which are read from the environment on first use."""
    return Settings.from_env()
