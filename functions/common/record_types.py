"""How a JSON Schema's types are read by DuckDB, and the schema keyword `decimal` that makes numbers exact.

`"decimal": [precision, scale]` is an annotation of this project beside `"type": "number"`: the number has at
most `scale` decimals and is below 10^(precision − scale), and it is read as DECIMAL(precision, scale). It stands
in for a fractional `multipleOf`, on which binary floating point makes validators disagree (19.99 is no multiple
of 0.01 to some of them).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_BY_FORMAT = {"date-time": "TIMESTAMPTZ", "date": "DATE"}
_BY_TYPE = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_SIGNIFICANT_DIGITS = 15
"""How many decimal digits every binary64 number keeps (IEEE 754; DBL_DIG in C)."""


def record_type(schema: Mapping[str, Any]) -> str:
    """The DuckDB type of what `schema` describes. Raises ValueError for a schema without a single type."""
    return _type(schema, schema)


def _type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _type({**resolve(schema["$ref"], root), **{k: v for k, v in schema.items() if k != "$ref"}}, root)
    kinds = schema.get("type", "string" if "enum" in schema else None)
    kinds = {kinds} if isinstance(kinds, str) else set(kinds or ())
    kinds.discard("null")
    if len(kinds) != 1:
        raise ValueError(f"a schema needs exactly one type besides null, not {sorted(kinds)}")
    kind = kinds.pop()
    if kind == "object":
        fields = ", ".join(f'"{name}" {_type(part, root)}' for name, part in schema["properties"].items())
        return f"STRUCT({fields})"
    if kind == "array":
        return f"{_type(schema['items'], root)}[]"
    if kind == "number" and "decimal" in schema:
        precision, scale = schema["decimal"]
        return f"DECIMAL({precision},{scale})"
    if kind == "string":
        return _BY_FORMAT.get(schema.get("format", ""), "VARCHAR")
    return _BY_TYPE[kind]


def resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of `root` that a local `$ref` such as `#/$defs/money` names."""
    part: Any = root
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part  # type: ignore[no-any-return]


def is_decimal(value: float, precision: int, scale: int) -> bool:
    """Whether a parsed JSON number is exactly a DECIMAL(precision, scale).

    A float passes only with at most 15 significant digits: what a binary64 number gives back unchanged.
    """
    if isinstance(value, int):
        return bool(abs(value) < 10 ** (precision - scale))
    if value != round(value, scale) or abs(value) >= 10.0 ** (precision - scale):
        return False
    return (
        abs(value) < 10 ** (_SIGNIFICANT_DIGITS - scale)
        or len(Decimal(repr(value)).as_tuple().digits) <= _SIGNIFICANT_DIGITS
    )
