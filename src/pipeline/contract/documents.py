"""Checks the JSON documents of a contract before it is loaded. Finds all faults at once, each with its line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jsonschema_rs

from functions.common.contract import RESERVED_COLUMNS, read_json
from functions.common.contract_checks import contradictions
from functions.common.input_settings import input_settings
from functions.common.record_types import type_faults
from pipeline import ROOT
from pipeline.contract.fault import Fault, line_at

CONTRACT_SCHEMA = ROOT / "contracts" / "contract.schema.json"
"""The JSON Schema of contract.json."""

META_SCHEMA = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
_PLACE = re.compile(r"[a-z_]+(?:\.\w+|\[\d+\])*")
_AS_DESCRIBED = "See docs/reference/contract.md for the format."


def document_faults(folder: Path) -> list[Fault]:
    """Return the faults in contract.json and the schemas in `folder`."""
    path = folder / "contract.json"
    try:
        data = read_json(path)
    except (OSError, ValueError, RecursionError):
        return []  # loading the contract reports this fault
    faults = [
        Fault(path, line_at(path, pointer), says, advice) for pointer, says, advice in _of_contract(data, folder.name)
    ]
    for number in _versions(data):
        schema = folder / f"v{number}.schema.json"
        faults += _of_schema(schema)
    return faults


def _versions(data: Any) -> Sequence[Any]:
    """Return the valid version numbers in contract.json."""
    listed = data.get("versions") if isinstance(data, dict) else None
    numbers = [one.get("version") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not numbers and isinstance(data, dict):
        numbers = [data.get("current_version")]
    return [number for number in numbers if type(number) is int]


# --- contract.json ----------------------------------------------------------------------------------------------------


def _of_contract(data: Any, dataset: str) -> Iterator[tuple[str, str, str]]:
    """Yield the JSON Pointer, message and advice of each fault in contract.json."""
    schema = json.loads(CONTRACT_SCHEMA.read_text("utf-8"))
    errors = list(jsonschema_rs.Draft202012Validator(schema).iter_errors(data))
    for error in errors:
        yield from _sentences(error, schema, data)
    if errors:
        return
    for says in contradictions(data, dataset, RESERVED_COLUMNS):
        yield pointer_of(says, data), says, _AS_DESCRIBED
    try:
        input_settings(data)
    except (ValueError, TypeError) as exc:
        yield pointer_of(str(exc), data), str(exc), _AS_DESCRIBED


def _sentences(error: jsonschema_rs.ValidationError, schema: Any, data: Any) -> Iterator[tuple[str, str, str]]:
    kinds, place = jsonschema_rs.ValidationErrorKind, place_of(error.instance_path, data)
    pointer = "".join(f"/{step}" for step in error.instance_path)
    if isinstance(error.kind, kinds.Required):
        yield pointer, f"{place or 'the contract'} lacks {error.kind.property}", _AS_DESCRIBED
    elif isinstance(error.kind, kinds.AdditionalProperties):
        known = _part_at(schema, error.evaluation_path[:-1]).get("properties", {})
        for name in error.kind.unexpected:
            near = get_close_matches(name, known, n=1)
            advice = f"Did you mean {near[0]}?" if near else f"It can have {', '.join(sorted(known))}."
            yield f"{pointer}/{name}", f"{place or 'the contract'} has an unknown member: {name}", advice
    else:
        yield pointer, f"{place or 'the contract'} must be {_expected(schema, error)}", _AS_DESCRIBED


def _expected(schema: Any, error: jsonschema_rs.ValidationError) -> str:
    """Return what a value must be, from the description of the violated definition, or else from the keyword."""
    part, described = schema, ""
    for step in error.evaluation_path[:-1]:
        part = _at(schema, part["$ref"]) if step == "$ref" else part[step]
        if step == "$ref":
            described = part.get("description", "")
    keyword = str(error.evaluation_path[-1])
    match keyword:
        case "enum":
            return f"one of {', '.join(map(str, part['enum']))}"
        case "minItems":
            return "an array with elements"
        case "minimum" | "maximum":
            return "a number from 0 to 1" if "maximum" in part else f"a whole number of at least {part['minimum']}"
        case "type" if part["type"] in ("object", "array", "integer", "number"):
            return {"array": "an array", "object": "an object"}.get(part["type"], "a number")
    return described or "a string" + (f" that matches {part['pattern']}" if keyword == "pattern" else "")


def _part_at(schema: Any, path: Sequence[str | int]) -> Mapping[str, Any]:
    part = schema
    for step in path:
        part = _at(schema, part["$ref"]) if step == "$ref" else part[step]
    found: Mapping[str, Any] = part
    return found


def _at(schema: Any, reference: str) -> Any:
    part = schema
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def place_of(path: Sequence[str | int], data: Any) -> str:
    """Return a readable name of a place in contract.json, such as tables.orders.columns.status.type."""
    place = ""
    for step in path:
        data = data[step]
        named = next((data[name] for name in ("name", "code") if isinstance(data, dict) and name in data), None)
        if isinstance(step, int):
            place += f".{named}" if isinstance(named, str) and re.fullmatch(r"\w+", named) else f"[{step}]"
        else:
            place += f".{step}" if place else step
    return place


def pointer_of(fault: str, data: Any) -> str:
    """Return the JSON Pointer of the place that begins a message, such as tables.orders.columns.status.type."""
    place = _PLACE.match(fault)
    pointer = ""
    for step in re.findall(r"\w+", place[0] if place else ""):
        if isinstance(data, list):
            names = [one.get("name", one.get("code")) if isinstance(one, dict) else None for one in data]
            number = int(step) if step.isdigit() else names.index(step) if step in names else -1
            if not 0 <= number < len(data):
                break
            pointer, data = f"{pointer}/{number}", data[number]
        elif isinstance(data, dict) and step in data:
            pointer, data = f"{pointer}/{step}", data[step]
        else:
            break
    return pointer


# --- schemas ----------------------------------------------------------------------------------------------------------


def _of_schema(path: Path) -> list[Fault]:
    """Return the faults that prevent a schema from being used to read records."""
    try:
        schema = read_json(path)
    except (OSError, ValueError, RecursionError):
        return []  # loading the contract reports this fault
    errors = jsonschema_rs.Draft202012Validator(META_SCHEMA, offline=True).iter_errors(schema)
    found = {("".join(f"/{step}" for step in error.instance_path), error.message): error for error in errors}
    if found:
        advice = "Use JSON Schema 2020-12."
        return [Fault(path, line_at(path, at), f"{at} isn't a JSON Schema: {says}", advice) for at, says in found]
    advice = "Use a type that docs/reference/contract.md lists."
    return [Fault(path, line_at(path, at), says, advice) for at, says in type_faults(schema)]
