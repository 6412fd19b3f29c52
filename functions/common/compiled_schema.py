"""Compiles a contract's JSON Schemas."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema_rs

from functions.common.contract import Contract, Version
from functions.common.errors import ContractError
from functions.common.record_types import is_decimal, is_decimal_string
from functions.common.schema_parts import bounds_of_integers, conditions


class _Decimal:
    """Implements the schema keyword `decimal` for jsonschema-rs (see functions.common.record_types)."""

    def __init__(self, parent: Mapping[str, Any], value: list[int], _path: Any) -> None:
        self._precision, self._scale = value
        self._is_of_strings = "string" in parent.get("type", ())

    def validate(self, instance: Any) -> None:
        """Raise ValueError for a number that the decimal can't hold. Other types are left to the keyword `type`."""
        is_number = isinstance(instance, int | float | Decimal) and not isinstance(instance, bool)
        if is_number and not is_decimal(instance, self._precision, self._scale):
            raise ValueError("not an exact decimal")
        is_string = self._is_of_strings and isinstance(instance, str)
        if is_string and not is_decimal_string(instance, self._precision, self._scale):
            raise ValueError("not an exact decimal")


def compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return a compiled schema that asserts formats. Raises ValueError if the schema is invalid.

    Patterns run in linear time on any string, so they can't use lookaround. Nothing is downloaded.
    """
    return jsonschema_rs.Draft202012Validator(
        dict(schema),
        validate_formats=True,
        keywords={"decimal": _Decimal},
        pattern_options=jsonschema_rs.RegexOptions(),
        offline=True,
    )


@cache
def exact_schema(version: Version) -> Mapping[str, Any]:
    """Return the schema that validates the records of a version.

    If a schema has conditions, the bounds of whole numbers are a separate schema in `allOf`, not part of it (see
    `bounded`). Inside a condition, bounds would change the records for which it holds.
    """
    schema = version.schema
    bounds = bounds_of_integers(schema, schema) if conditions(schema) else {}
    return {**schema, "allOf": [*schema.get("allOf", []), bounds]} if bounds else schema


@cache
def schema_validator(contract: Contract, version: Version) -> jsonschema_rs.Draft202012Validator:
    """Return a version's schema, compiled once per process. Raises ContractError if the schema is invalid."""
    try:
        return compiled(exact_schema(version))
    except ValueError as exc:
        place = f"contracts/{contract.dataset}/v{version.number}.schema.json"
        raise ContractError(f"{place} cannot be used: {str(exc).splitlines()[0]}.") from exc
