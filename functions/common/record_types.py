"""How a JSON Schema's types are read by DuckDB, and the schema keyword `decimal` that makes numbers exact.

`"decimal": [precision, scale]` is an annotation of this project beside `"type": "number"`: the number has at
most `scale` decimals and is below 10^(precision − scale), and it is read as DECIMAL(precision, scale). It stands
in for a fractional `multipleOf`, on which binary floating point makes validators disagree (19.99 is no multiple
of 0.01 to some of them).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

_BY_FORMAT = {"date-time": "TIMESTAMPTZ", "date": "DATE"}
"""How a text is kept that says a time. `sent_type` takes it for the text that it is."""

_BY_TYPE = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
INT64 = (-(2**63), 2**63 - 1)
"""The least and the most that a BIGINT holds."""

_UINT64_END = 2**64
_MAX_PRECISION = 38
_ROUNDING = Context(prec=_MAX_PRECISION + 1, rounding=ROUND_HALF_UP)
_MOST_LEVELS = 100
SIGNIFICANT_DIGITS = 15
"""How many decimal digits every binary64 number keeps (IEEE 754; DBL_DIG in C)."""


def record_type(schema: Any) -> str:
    """The DuckDB type of what `schema` describes. Raises ValueError or TypeError where it does not say one type."""
    return _type(schema, schema, "", kept_type)


def record_fields(schema: Any) -> dict[str, str]:
    """The DuckDB type of each property of the record that `schema` describes, by its name."""
    part = merged(schema, schema)
    return {
        name: _type(inner, schema, f"/properties/{name}", kept_type)
        for name, inner in part.get("properties", {}).items()
    }


def bounded(schema: Any) -> Any:
    """A schema in which every whole number is within the 64 bits that hold it, where it does not say so itself.

    JSON has no bounds (RFC 8259, section 6), and a column has.
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
    """The bounds of 64 bits that a schema of whole numbers does not have itself."""
    if part.keys() & {"const", "enum"}:
        return {}
    lower, upper = (
        [part[name] for name in names if isinstance(part.get(name), int | float)]
        for names in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
    )
    missing = {} if any(bound >= INT64[0] for bound in lower) else {"minimum": INT64[0]}
    return missing if any(bound <= INT64[1] for bound in upper) else {**missing, "maximum": INT64[1]}


def constant_of(schema: Any, path: Sequence[str]) -> tuple[Any, bool]:
    """The `const` of the property that `path` leads to, and whether a record must have it; None where there is none."""
    part, is_required = merged(schema, schema), True
    for name in path:
        is_required = is_required and name in part.get("required", [])
        part = merged(part.get("properties", {}).get(name, {}), schema)
    return part.get("const"), is_required


def sent_type(schema: Any, decimals: str = "DOUBLE") -> str:
    """The DuckDB type that takes what `schema` describes as JSON has it: times are texts, decimals are `decimals`."""
    return _type(schema, schema, "", lambda part, kind, _place: decimals if "decimal" in part else _BY_TYPE[kind])


def _type(schema: Any, root: Any, place: str, type_of_value: Callable[[Mapping[str, Any], str, str], str]) -> str:
    if place.count("/") > _MOST_LEVELS:
        raise ValueError("the schema refers to itself, or nests too deeply to be a row")
    part = merged(schema, root, place)
    kind, _ = type_of(part, place)
    if kind == "object":
        return f"STRUCT({', '.join(_fields(part.get('properties'), root, place, type_of_value))})"
    if kind == "array":
        return f"{_type(part.get('items'), root, f'{place}/items', type_of_value)}[]"
    return type_of_value(part, kind, place)


def kept_type(part: Mapping[str, Any], kind: str, place: str = "") -> str:
    """The DuckDB type that a value of the JSON type `kind` is kept as."""
    if kind == "number" and "decimal" in part:
        precision, scale = decimal_of(part["decimal"], place)
        return f"DECIMAL({precision},{scale})"
    if kind == "string":
        return _BY_FORMAT.get(str(part.get("format", "")), "VARCHAR")
    return _BY_TYPE[kind]


def merged(schema: Any, root: Any, place: str = "") -> Mapping[str, Any]:
    """A part of a schema with its local references merged in; what stands beside a `$ref` outranks what it names."""
    for _ in range(_MOST_LEVELS):
        if not isinstance(schema, Mapping):
            raise TypeError(f"the schema{place} must be an object")
        if "$ref" not in schema:
            return schema
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**resolve(schema["$ref"], root), **beside}
    raise ValueError("the schema refers to itself, or nests too deeply to be a row")


def type_of(part: Mapping[str, Any], place: str = "") -> tuple[str, bool]:
    """The one type that a part of a schema says beside null, and whether it may be null."""
    given = part.get("type", "string" if "enum" in part else [])
    kinds = [kind for kind in (given if isinstance(given, list) else [given]) if kind != "null"]
    if len(kinds) != 1 or kinds[0] not in ("object", "array", *_BY_TYPE):
        raise ValueError(f"the schema{place} needs exactly one type besides null, not {kinds}")
    return str(kinds[0]), isinstance(given, list) and "null" in given


def _fields(
    properties: Any, root: Any, place: str, type_of_value: Callable[[Mapping[str, Any], str, str], str]
) -> Iterator[str]:
    if not isinstance(properties, Mapping) or not properties:
        raise ValueError(f"the schema{place} must have properties")
    for name in properties:
        if [other.lower() for other in properties].count(name.lower()) > 1 or "\0" in name:
            raise ValueError(f"the schema{place} has a property that DuckDB can't tell from another: {name!r}")
    for name, part in properties.items():
        quoted = name.replace('"', '""')
        yield f'"{quoted}" {_type(part, root, f"{place}/properties/{name}", type_of_value)}'


def decimal_of(value: Any, place: str = "") -> tuple[int, int]:
    """Precision and scale that the keyword `decimal` gives."""
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


def is_decimal(value: float | Decimal, precision: int, scale: int) -> bool:
    """Whether a JSON number can be kept as a DECIMAL(precision, scale).

    `value` must be a Decimal where a float does not give back the number's digits. A whole number of at most 64 bits is
    kept if it is below 10^(precision − scale), however it is written. Any other number is rounded to `scale` decimals,
    half away from zero. The rounded number must be below that bound, have at most 15 significant digits, and be the
    same 64-bit float as the number itself: only digits that no float holds are dropped, and only behind the scale.
    """
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < _UINT64_END):
        return bool(abs(value) < 10 ** (precision - scale))
    if isinstance(value, float) and value == round(value, scale) and abs(value) < 10 ** (SIGNIFICANT_DIGITS - scale):
        return bool(abs(value) < 10 ** (precision - scale))  # common, and the rest is slow
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if abs(number) >= 10 ** (precision - scale):
        return False
    rounded = number.quantize(Decimal(1).scaleb(-scale), context=_ROUNDING)
    return (
        abs(rounded) < 10 ** (precision - scale)
        and len(rounded.normalize(_ROUNDING).as_tuple().digits) <= SIGNIFICANT_DIGITS
        and float(rounded) == float(value)
    )
