"""Writes the JSON Schema of a draft, with an example that is made up and not taken from the sample."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipeline.draft.types import EMPTY, JSON, LIST, OBJECT, ROWS, Field

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_EXAMPLES: Mapping[str, Any] = {
    "DATE": "2026-01-31",
    "TIMESTAMP": "2026-01-31T08:00:00Z",
    "BOOLEAN": True,
    "BIGINT": 1,
    "DOUBLE": 1.5,
    "VARCHAR": "example",
}
_EPOCH_SECONDS = 1_769_846_400
_DESCRIBED = {
    "DATE": "a date",
    "TIMESTAMP": "a date and time with its zone",
}


def schema_of(record: Field, title: str) -> dict[str, Any]:
    """Return the schema of a record."""
    schema = schema_part(record)
    return {"$schema": _DRAFT, "title": title, **schema, "examples": [example_of(record)]}


def schema_part(field: Field) -> dict[str, Any]:
    """Return the schema of a field."""
    part = dict(field.schema)
    if field.kind == OBJECT or (field.kind == EMPTY and field.members):
        part = {"type": "object", "additionalProperties": False}
        if required := [name for name, member in field.members.items() if member.required]:
            part["required"] = required
        part["properties"] = {name: schema_part(member) for name, member in field.members.items()}
    elif field.kind in (ROWS, LIST) and field.element:
        part["items"] = schema_part(field.element)
    elif field.kind == EMPTY and part.get("type") == "object":
        part["properties"] = {}
    if described := _description(field):
        part = {"description": described, **part}
    return _nullable(part) if field.nullable else part


def _description(field: Field) -> str:
    if "decimal" in field.schema:
        what = "a string with a number" if field.schema["type"] == "string" else "a number"
        return f"{what} with at most {field.schema['decimal'][1]} decimals"
    if field.schema.get("type") == "string":
        return _DESCRIBED.get(field.type, "")
    return ""


def _nullable(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind is None or kind == "null":
        return part
    part["type"] = [kind, "null"]
    if "enum" in part:
        part["enum"] = [*part["enum"], None]
    return part


def example_of(field: Field) -> Any:
    """Return a made-up value of a field."""
    if field.kind == OBJECT:
        return {name: example_of(member) for name, member in field.members.items() if member.kind != EMPTY}
    if field.kind in (ROWS, LIST) and field.element:
        return [example_of(field.element)]
    schema = field.schema
    if "enum" in schema:
        return schema["enum"][0]
    if field.kind == JSON:
        return {"object": {}, "array": []}.get(str(schema.get("type")), "example")
    if "decimal" in schema:
        number = Decimal("1.50") if schema["decimal"][1] else Decimal(1)
        return str(number) if schema["type"] == "string" else float(number) if schema["decimal"][1] else 1
    if schema.get("type") == "integer" and field.type == "TIMESTAMP":
        return _EPOCH_SECONDS * (1000 if schema["format"] == "epoch-millis" else 1)
    return _EXAMPLES[field.type]
