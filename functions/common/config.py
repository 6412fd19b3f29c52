"""The functions' settings, read from the environment on first use, each with its type and unit."""

import json
import os
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from functions.common.errors import ConfigurationError

CONTRACTS = Path(__file__).parents[2] / "contracts"
"""Where the contracts are that are packed beside the code."""

MOST_NESTING = 250
"""What `max_nesting` can be raised to: jsonschema-rs reads 255 levels, orjson writes 254, and the lines that
records travel in add one."""

REJECT, DROP = "reject", "drop"
"""What `unknown_fields` can be."""


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigurationError(
            f"The environment variable {name} is not set; Terraform sets it in infra/functions.tf."
        )
    return value


def _positive_int(name: str, most: int | None = None) -> int:
    text = _required(name)
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number == 0 or (most and number > most):
        limit = f" and at most {most}" if most else ""
        raise ConfigurationError(f"The environment variable {name} must be a whole number above 0{limit}.")
    return number


class Settings:
    """Typed view of the environment; a setting that a function does not use need not be set for it."""

    @cached_property
    def ingest_bucket(self) -> str:
        """The bucket that files are sent to."""
        return _required("INGEST_BUCKET")

    @cached_property
    def processed_bucket(self) -> str:
        """The bucket that everything is written to."""
        return _required("PROCESSED_BUCKET")

    @cached_property
    def state_machine_arn(self) -> str:
        """The state machine that `starter` starts executions of."""
        return _required("STATE_MACHINE_ARN")

    @cached_property
    def record_failure_arn(self) -> str:
        """The function that is told of executions that failed without a record."""
        return _required("RECORD_FAILURE_ARN")

    @cached_property
    def topic_arn(self) -> str:
        """The topic that people subscribe to."""
        return _required("TOPIC_ARN")

    @cached_property
    def release(self) -> str:
        """What tells this deployment's code and contracts from another's; the manifest names it."""
        return _required("RELEASE")

    @cached_property
    def contracts(self) -> Path:
        """The folder of the contracts: by default those that are packed beside the code."""
        return Path(os.environ.get("CONTRACTS", "") or CONTRACTS)

    @cached_property
    def chunk_bytes(self) -> int:
        """The planned size of one chunk of a JSON Lines file, in bytes."""
        return _positive_int("CHUNK_BYTES")

    @cached_property
    def max_object_bytes(self) -> int:
        """The largest object that is read, in bytes as stored."""
        return _positive_int("MAX_OBJECT_BYTES")

    @cached_property
    def max_inflated_bytes(self) -> int:
        """The most bytes that are read at once: of a document, or of a gzipped object once inflated."""
        return _positive_int("MAX_INFLATED_BYTES")

    @cached_property
    def max_inflation_ratio(self) -> int:
        """How many times its own size a gzipped object may inflate to."""
        return _positive_int("MAX_INFLATION_RATIO")

    @cached_property
    def max_record_bytes(self) -> int:
        """The largest single record, in bytes of JSON."""
        return _positive_int("MAX_RECORD_BYTES")

    @cached_property
    def max_nesting(self) -> int:
        """How many levels deep the arrays and objects of a record may nest, the record itself counted."""
        return _positive_int("MAX_NESTING", MOST_NESTING)

    @cached_property
    def max_reject_bytes(self) -> int:
        """The most bytes that the rejects of one chunk may take."""
        return _positive_int("MAX_REJECT_BYTES")

    @cached_property
    def max_reject_ratio(self) -> float:
        """The share of rejected records, 0 to 1, above which a file fails as a whole."""
        text = _required("MAX_REJECT_RATIO")
        try:
            ratio = float(text)
        except ValueError:
            ratio = -1.0
        if not 0 <= ratio <= 1:
            raise ConfigurationError("The environment variable MAX_REJECT_RATIO must be a number from 0 to 1.")
        return ratio

    @cached_property
    def unknown_fields(self) -> str:
        """What becomes of a field that the contract does not know: REJECT its record, or DROP only the field."""
        choice = _required("UNKNOWN_FIELDS")
        if choice not in (REJECT, DROP):
            raise ConfigurationError(f"The environment variable UNKNOWN_FIELDS must be {REJECT} or {DROP}.")
        return choice

    @cached_property
    def deployment(self) -> Mapping[str, Any]:
        """What costs depend on: `region`, `architecture`, `staging_days`, and each of `functions` with its memory and
        its /tmp, in MiB.
        """
        try:
            described: Mapping[str, Any] = json.loads(_required("DEPLOYMENT"))
        except ValueError as exc:
            raise ConfigurationError("The environment variable DEPLOYMENT must be JSON.") from exc
        return described

    @cached_property
    def memory_mb(self) -> int:
        """The function's memory in MiB; Lambda sets it."""
        return _positive_int("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")


@cache
def settings() -> Settings:
    """The one Settings of this process."""
    return Settings()
