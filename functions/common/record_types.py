"""How a JSON Schema's types are read by DuckDB, and the schema keyword `decimal` that makes numbers exact.

`"decimal": [precision, scale]` is an annotation of this project beside `"type": "number"`: the number has at
most `scale` decimals and is below 10^(precision − scale), and it is read as DECIMAL(precision, scale). It stands
in for a fractional `multipleOf`, on which binary floating point makes validators disagree (19.99 is no multiple
of 0.01 to some of them).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

_BY_FORMAT = {"date-time": "TIMESTAMPTZ", "date": "DATE"}
_BY_TYPE = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_MAX_PRECISION = 38
_MOST_LEVELS = 100
_SIGNIFICANT_DIGITS = 15
"""How many decimal digits every binary64 number keeps (IEEE 754; DBL_DIG in C)."""


def record_type(schema: Any) -> str:
    """The DuckDB type of what `schema` describes. Raises ValueError or TypeError where it does not say one type."""
    return _type(schema, schema, "")


def _type(schema: Any, root: Any, place: str) -> str:
    if not isinstance(schema, Mapping):
        raise TypeError(f"the schema{place} must be an object")
    if place.count("/") > _MOST_LEVELS:
        raise ValueError("the schema refers to itself, or nests too deeply to be a row")
    if "$ref" in schema:
        named = {name: value for name, value in schema.items() if name != "$ref"}
        return _type({**resolve(schema["$ref"], root), **named}, root, f"{place}/$ref")
    kind = _kind(schema, place)
    if kind == "object":
        return f"STRUCT({', '.join(_fields(schema.get('properties'), root, place))})"
    if kind == "array":
        return f"{_type(schema.get('items'), root, f'{place}/items')}[]"
    if kind == "number" and "decimal" in schema:
        precision, scale = _decimal(schema["decimal"], place)
        return f"DECIMAL({precision},{scale})"
    if kind == "string":
        return _BY_FORMAT.get(str(schema.get("format", "")), "VARCHAR")
    return _BY_TYPE[kind]


def _kind(schema: Mapping[str, Any], place: str) -> str:
    given = schema.get("type", "string" if "enum" in schema else [])
    kinds = [kind for kind in (given if isinstance(given, list) else [given]) if kind != "null"]
    if len(kinds) != 1 or kinds[0] not in ("object", "array", *_BY_TYPE):
        raise ValueError(f"the schema{place} needs exactly one type besides null, not {kinds}")
    return str(kinds[0])


def _fields(properties: Any, root: Any, place: str) -> Iterator[str]:
    if not isinstance(properties, Mapping) or not properties:
        raise ValueError(f"the schema{place} must have properties")
    for name in properties:
        if [other.lower() for other in properties].count(name.lower()) > 1 or "\0" in name:
            raise ValueError(f"the schema{place} has a property that DuckDB can't tell from another: {name!r}")
    for name, part in properties.items():
        quoted = name.replace('"', '""')
        yield f'"{quoted}" {_type(part, root, f"{place}/properties/{name}")}'


def _decimal(value: Any, place: str) -> tuple[int, int]:
    match value:
        case [int(precision), int(scale)] if 0 < precision <= _MAX_PRECISION and 0 <= scale <= precision:
            return precision, scale
    raise ValueError(f"the schema{place} must give decimal as [precision up to {_MAX_PRECISION}, scale]")


def resolve(reference: Any, root: Any) -> Mapping[str, Any]:
    """The part of `root` that a local `$ref` such as `#/$defs/money` names. Raises TypeError where there is none."""
    part: Any = root
    for name in str(reference).removeprefix("#/").split("/"):
        part = part.get(name) if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping):
        raise TypeError(f"the schema has no schema at {reference}")
    return part


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
