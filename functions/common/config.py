"""The functions' settings: each with its type and unit, read from the environment in one place."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

from functions.common.errors import ConfigurationError

CONTRACTS = Path(__file__).parents[2] / "contracts"
"""Where the contracts are that are packed beside the code."""

MOST_NESTING = 250
"""What `max_nesting` can be raised to: jsonschema-rs reads 255 levels, orjson writes 254, and the lines that
records travel in add one."""

REJECT, DROP = "reject", "drop"
"""What `unknown_fields` can be."""


_UNSET: Any = object()
"""Says that a setting was not given."""


def _text(_name: str, text: str) -> str:
    return text


def _positive_int(name: str, text: str, most: int | None = None) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number == 0 or (most and number > most):
        limit = f" and at most {most}" if most else ""
        raise ConfigurationError(f"The environment variable {name} must be a whole number above 0{limit}.")
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
    """A field that `from_env` reads from the environment variable `variable`, by default its own name in capitals."""
    return field(default_factory=lambda: _UNSET, metadata={"parse": parse, "variable": variable})


def _variable(setting: Field[Any]) -> str:
    return setting.metadata["variable"] or setting.name.upper()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Settings:
    """What a function is configured with.

    Terraform sets for each function the variables that its code reads (infra/functions.tf). Reading a setting that
    was not set raises ConfigurationError, which names its variable.
    """

    ingest_bucket: str = _setting(_text)
    """The bucket that files are sent to."""
    processed_bucket: str = _setting(_text)
    """The bucket that everything is written to."""
    state_machine_arn: str = _setting(_text)
    """The state machine that `starter` starts executions of."""
    record_failure_arn: str = _setting(_text)
    """The function that records executions that failed without a record."""
    topic_arn: str = _setting(_text)
    """The topic that people subscribe to."""
    release: str = _setting(_text)
    """Distinguishes this deployment's code and contracts from another's; the manifest names it."""
    contracts: Path = field(default=CONTRACTS, metadata={"parse": _folder, "variable": ""})
    """The folder of the contracts: by default those that are packed with the code."""
    chunk_bytes: int = _setting(_positive_int)
    """The planned size of one chunk of a JSON Lines file, in bytes."""
    max_object_bytes: int = _setting(_positive_int)
    """The largest object that is read, in bytes as stored."""
    max_inflated_bytes: int = _setting(_positive_int)
    """The most bytes that are read at once: of a document, or of a gzipped object once inflated."""
    max_inflation_ratio: int = _setting(_positive_int)
    """How many times its own size a gzipped object may inflate to."""
    max_record_bytes: int = _setting(_positive_int)
    """The largest single record, in bytes of JSON."""
    max_nesting: int = _setting(_nesting)
    """How many levels deep the arrays and objects of a record may nest, the record itself counted."""
    max_reject_bytes: int = _setting(_positive_int)
    """The most bytes that the rejects of one chunk may take."""
    max_reject_ratio: float = _setting(_ratio)
    """The share of rejected records, 0 to 1, above which a file fails as a whole."""
    unknown_fields: str = _setting(_reject_or_drop)
    """What happens to a field that the contract does not know: REJECT its record, or DROP only the field."""
    deployment: Mapping[str, Any] = _setting(_json)
    """What costs depend on: `region`, `architecture`, `staging_days`, and each of `functions` with its memory and
    its /tmp, in MiB.
    """
    memory_mb: int = _setting(_positive_int, variable="AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    """The function's memory in MiB; Lambda sets it."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The settings that environment variables give; an empty one counts as not set. Raises ConfigurationError."""
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
        """Called for a setting that was not given."""
        variable = next((_variable(setting) for setting in fields(self) if setting.name == name), None)
        if variable is None:
            raise AttributeError(name)
        raise ConfigurationError(
            f"The environment variable {variable} is not set; Terraform sets it in infra/functions.tf."
        )


@cache
def settings() -> Settings:
    """The settings of this process, read from the environment on first use."""
    return Settings.from_env()
