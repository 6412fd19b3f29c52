"""Maps JSON Schemas to DuckDB types, and defines this project's schema keywords for exact values.

`"decimal": [precision, scale]` with `"type": "number"` says that the number has at most `scale` decimals and is below
10^(precision − scale). It is read as DECIMAL(precision, scale). It replaces a fractional `multipleOf`, on which
validators disagree because of binary floating point (some say that 19.99 isn't a multiple of 0.01). With
`"type": "string"`, the keyword applies to a number in a string.

`"format": "epoch-seconds"` or `"epoch-millis"` with `"type": "integer"` says that the number is a time since 1970. It
is read as TIMESTAMP.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from functions.common.json_pointer import escaped
from functions.common.schema_merging import merged, resolve
from functions.common.schema_shapes import ARRAY, EMPTY, JSON, OBJECT, Shape, shape_of

__all__ = ["merged", "resolve"]

_BY_FORMAT = {"date-time": "TIMESTAMPTZ", "date": "DATE"}
"""The types of strings with these formats. `sent_type` reads them as strings."""

_BY_TYPE = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", JSON: "VARCHAR"}
INT64 = (-(2**63), 2**63 - 1)
"""The smallest and largest value of a BIGINT."""

_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z in seconds since 1970."""

EPOCHS: Mapping[str, tuple[int, int]] = {
    "epoch-seconds": (_FIRST_SECOND, _LAST_SECOND),
    "epoch-millis": (_FIRST_SECOND * 1000, _LAST_SECOND * 1000 + 999),
}
"""The formats of whole numbers that are times, with the smallest and largest value of each."""

_MICROSECONDS = {"epoch-seconds": 1_000_000, "epoch-millis": 1_000}
DECIMAL_STRING = re.compile(r"[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)")
"""Matches digits with an optional sign and an optional decimal point."""

_PLACE = re.compile(r"the schema(/\S*)? ")
_UINT64_END = 2**64
_MAX_PRECISION = 38
_ROUNDING = Context(prec=_MAX_PRECISION + 1, rounding=ROUND_HALF_UP)
SIGNIFICANT_DIGITS = 15
"""The number of decimal digits that a 64-bit float always keeps (IEEE 754; DBL_DIG in C)."""

TypeOfValue = Callable[[Shape, str], str]
"""Returns the DuckDB type of a value that isn't an object or array, from its shape and its place in the schema."""


def record_type(schema: Any) -> str:
    """Return the DuckDB type for a schema. Raises ValueError or TypeError if the schema can't describe a row."""
    return _type(shape_of(schema, schema), "", kept_type)


def type_faults(schema: Any) -> list[tuple[str, str]]:
    """Return the JSON Pointer and message of each fault that prevents a schema from describing a row."""
    found: dict[tuple[str, str], None] = {}

    def look(part: Any, place: str) -> None:
        try:
            shape = shape_of(part, schema, place)
            if shape.kind not in (OBJECT, ARRAY, EMPTY):
                kept_type(shape, place)
        except (TypeError, ValueError) as exc:
            said = str(exc)
            inner = _PLACE.match(said)
            if not inner or (inner[1] or "") == place or not inner[1]:
                found[place, said] = None
        for name, inner_part in (part.get("properties") or {}).items() if isinstance(part, Mapping) else ():
            look(inner_part, f"{place}/properties/{escaped(name)}")
        if isinstance(part, Mapping) and isinstance(part.get("items"), Mapping):
            look(part["items"], f"{place}/items")
        for keyword in ("$defs", "definitions") if not place and isinstance(part, Mapping) else ():
            for name, inner_part in part.get(keyword, {}).items():
                look(inner_part, f"/{keyword}/{escaped(name)}")

    look(schema, "")
    innermost = [place for place, _ in found]
    return [(place, says) for place, says in found if not any(other.startswith(f"{place}/") for other in innermost)]


def record_fields(schema: Any) -> dict[str, str]:
    """Return the DuckDB type of each property that becomes a column, by name."""
    columns = shape_of(schema, schema).columns
    return {name: _type(inner, f"/properties/{name}", kept_type) for name, inner in columns.items()}


def sent_type(schema: Any, decimals: str = "DOUBLE") -> str:
    """Return the DuckDB type that reads the JSON of a schema's values unchanged.

    Times are strings or whole numbers. Decimals have the type `decimals`.
    """

    def type_of_value(shape: Shape, _place: str) -> str:
        return decimals if shape.kind == "number" and "decimal" in shape.part else _BY_TYPE[shape.kind]

    return _type(shape_of(schema, schema), "", type_of_value)


def _type(shape: Shape, place: str, type_of_value: TypeOfValue) -> str:
    if shape.kind == OBJECT:
        members = shape.columns.items()
        fields = (f"{_quoted(name)} {_type(one, f'{place}/properties/{name}', type_of_value)}" for name, one in members)
        return f"STRUCT({', '.join(fields)})"
    if shape.kind == ARRAY and shape.element:
        return f"{_type(shape.element, f'{place}/items', type_of_value)}[]"
    if shape.kind not in _BY_TYPE:
        raise ValueError(f"the schema{place} must have properties")
    return type_of_value(shape, place)


def kept_type(shape: Shape, place: str = "") -> str:
    """Return the DuckDB type in which a value that isn't an object or array is kept."""
    part, kind = shape.part, shape.kind
    if kind in ("number", "string") and "decimal" in part:
        precision, scale = decimal_of(part["decimal"], place)
        return f"DECIMAL({precision},{scale})"
    if kind == "string":
        return _BY_FORMAT.get(str(part.get("format", "")), "VARCHAR")
    if kind == "integer" and part.get("format") in EPOCHS:
        return "TIMESTAMP"
    return _BY_TYPE[kind]


def kept_value(shape: Shape, place: str) -> str:
    """Return an SQL expression that converts a sent value to its kept type, or to null if the conversion fails."""
    kind, form = _type(shape, "", kept_type), str(shape.part.get("format", ""))
    if not _has_epoch(shape):
        return f"TRY_CAST({place} AS {kind})"
    if shape.kind == OBJECT:
        members = (
            f"{_quoted(name)} := {kept_value(one, f'{place}.{_quoted(name)}')}" for name, one in shape.columns.items()
        )
        return f"CASE WHEN {place} IS NOT NULL THEN struct_pack({', '.join(members)}) END"
    if shape.kind == ARRAY and shape.element:
        element = f"kept_{place.count('kept_')}"
        return f"list_transform({place}, lambda {element}: {kept_value(shape.element, element)})"
    least, most = EPOCHS[form]
    return f"CASE WHEN {place} BETWEEN {least} AND {most} THEN make_timestamp({place} * {_MICROSECONDS[form]}) END"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _has_epoch(shape: Shape) -> bool:
    if shape.kind == "integer":
        return shape.part.get("format") in EPOCHS
    inner = [*shape.columns.values(), *([shape.element] if shape.element and shape.kind == ARRAY else [])]
    return shape.kind in (OBJECT, ARRAY) and any(map(_has_epoch, inner))


def bounded(schema: Any) -> Any:
    """Return a schema in which every whole number has bounds that fit its column.

    JSON numbers have no bounds (RFC 8259, section 6), but columns do: 64 bits, or the years 1 to 9999 for times.
    """
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    part = {name: value if name in ("const", "enum", "examples") else bounded(value) for name, value in schema.items()}
    given = part.get("type")
    if given == "integer" or (isinstance(given, list) and "integer" in given):
        part |= missing_bounds(part)
    return part


def missing_bounds(part: Mapping[str, Any]) -> dict[str, int]:
    """Return the bounds that a schema of whole numbers lacks, but its column needs."""
    if part.keys() & {"const", "enum"}:
        return {}
    form = part.get("format")
    least, most = EPOCHS.get(form, INT64) if isinstance(form, str) else INT64
    lower, upper = (
        [part[name] for name in names if isinstance(part.get(name), int | float)]
        for names in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
    )
    missing = {} if any(bound >= least for bound in lower) else {"minimum": least}
    return missing if any(bound <= most for bound in upper) else {**missing, "maximum": most}


def constant_of(schema: Any, path: Sequence[str]) -> tuple[Any, bool]:
    """Return the `const` of the property at `path`, or None, and whether the property is required."""
    part, is_required = merged(schema, schema), True
    for name in path:
        is_required = is_required and name in part.get("required", [])
        part = merged(part.get("properties", {}).get(name, {}), schema)
    return part.get("const"), is_required


def decimal_of(value: Any, place: str = "") -> tuple[int, int]:
    """Return the precision and scale in a `decimal` keyword. Raises ValueError if it is invalid."""
    match value:
        case [int(precision), int(scale)] if 0 < precision <= _MAX_PRECISION and 0 <= scale <= precision:
            return precision, scale
    raise ValueError(f"the schema{place} must give decimal as [precision up to {_MAX_PRECISION}, scale]")


def is_decimal_string(value: str, precision: int, scale: int) -> bool:
    """Return whether a string is a number that a DECIMAL(precision, scale) holds exactly.

    The string must be digits with an optional sign and point. Trailing zeros don't count as decimals.
    """
    if not DECIMAL_STRING.fullmatch(value):
        return False
    whole, _, decimals = value.lstrip("+-").partition(".")
    return len(whole.lstrip("0")) <= precision - scale and len(decimals.rstrip("0")) <= scale


def is_decimal(value: float | Decimal, precision: int, scale: int) -> bool:
    """Return whether a JSON number can be kept as a DECIMAL(precision, scale).

    `value` must be a Decimal if a float would lose digits. A whole number of at most 64 bits is kept if it is below
    10^(precision − scale), in any notation. Any other number is rounded to `scale` decimals, half away from zero. The
    rounded number must be below that bound, have at most 15 significant digits, and be the same 64-bit float as the
    number itself. Therefore, rounding drops only digits after the scale that no float holds.
    """
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < _UINT64_END):
        return bool(abs(value) < 10 ** (precision - scale))
    if isinstance(value, float) and value == round(value, scale) and abs(value) < 10 ** (SIGNIFICANT_DIGITS - scale):
        return bool(abs(value) < 10 ** (precision - scale))  # the common case, which is fast
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if abs(number) >= 10 ** (precision - scale):
        return False
    rounded = number.quantize(Decimal(1).scaleb(-scale), context=_ROUNDING)
    return (
        abs(rounded) < 10 ** (precision - scale)
        and len(rounded.normalize(_ROUNDING).as_tuple().digits) <= SIGNIFICANT_DIGITS
        and float(rounded) == float(value)
    )
