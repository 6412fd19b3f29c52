"""Finds where the records of a dataset are inside other JSON values, and how jq extracts them."""

import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from functions.common.diagnoses.sample import Expected, FileSample, value_of
from functions.common.json_pointer import pointer_of
from functions.common.reject_lines import is_name

Kind = Literal["member", "elements", "members", "string"]


class PathStep(NamedTuple):
    """One step from a value to the records inside it."""

    kind: Kind
    """A named member, each element of an array, each member of an object, or the JSON that a string contains."""
    name: str = ""


Path: TypeAlias = tuple[PathStep, ...]

ELEMENTS, MEMBERS, STRING = PathStep("elements"), PathStep("members"), PathStep("string")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_STEPS = 6
_MOST_VALUES = 300
"""The most values that are examined in one record or document."""

_TYPES_OF_DYNAMODB = frozenset({"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"})


def path_to_records(sample: FileSample, expected: Expected) -> Path:
    """Return the path that leads to records from most of the sample's values. Empty if there is none.

    The path is empty, too, if the records are where the contract expects them.
    """
    paths = Counter(path_to_records_in(value, expected) for value in sample.values)
    path, number = paths.most_common(1)[0] if paths else ((), 0)
    is_expected = (*_holder(sample, expected), *path) in ((ELEMENTS,), (*_members(expected.path), ELEMENTS))
    return () if is_expected or number * 2 <= len(sample.strings) else path


def path_to_records_in(value: Any, expected: Expected) -> Path:
    """Return the shortest path from a value to a record. Empty if the value is a record, or has none inside."""
    waiting = deque[tuple[Any, Path]]([(value, ())])
    for _ in range(_MOST_VALUES):
        if not waiting:
            return ()
        value, path = waiting.popleft()
        if expected.is_record(value):
            return path
        if len(path) < _MOST_STEPS:
            waiting.extend((inner, (*path, step)) for step, inner in _inside(value, expected))
    return ()


def jq_filter(path: Path, sample: FileSample, expected: Expected) -> str:
    """Return the jq filter that yields each record of a file whose documents or lines have records at `path`."""
    filters = [""]
    for step in (*_holder(sample, expected), *path):
        if step == STRING:
            filters += ["fromjson", ""]
        elif step.kind == "member":
            filters[-1] += f".{step.name if _PLAIN_NAME.fullmatch(step.name) else json.dumps(step.name)}"
        else:
            filters[-1] += "[]" if filters[-1] else ".[]"
    return " | ".join(one for one in filters if one)


def pointer_to_array(path: Path) -> str:
    """Return the JSON Pointer to the array of records if a path is that of an envelope. Otherwise empty."""
    *members, last = path
    is_envelope = last == ELEMENTS and members and all(step.kind == "member" for step in members)
    return pointer_of(step.name for step in members) if is_envelope else ""


def has_types_of_dynamodb(value: object) -> bool:
    """Return whether an object's values are objects that name their types, as in exports of Amazon DynamoDB."""
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(one, dict) and len(one) == 1 and one.keys() <= _TYPES_OF_DYNAMODB for one in value.values())


def value_at(value: Any, path: Path) -> Any:
    """Return the first value at a path that was found in this value."""
    for step in path:
        if step == STRING:
            value = value_of(value)
        elif step.kind == "member":
            value = value[step.name]
        else:
            value = next(iter(value.values() if isinstance(value, dict) else value))
    return value


def is_map(value: dict[str, Any], expected: Expected) -> bool:
    """Return whether an object's members have the same kind of object each, so that their names are probably ids."""
    inner = list(value.values())
    if not inner or expected.fields & value.keys() or not all(isinstance(one, dict) and one for one in inner):
        return False
    if len(inner) == 1:
        [name] = value
        return not is_name(name) or any(character.isdigit() for character in name)
    return all(len(inner[0].keys() & one.keys()) * 2 >= len(inner[0].keys() | one.keys()) for one in inner)


def _holder(sample: FileSample, expected: Expected) -> Path:
    """Return the path from the file's values to those of the sample."""
    if sample.is_in_envelope:
        return (*_members(expected.path), ELEMENTS)
    return (ELEMENTS,) if sample.is_array else ()


def _members(names: Sequence[str]) -> Path:
    return tuple(PathStep("member", name) for name in names)


def _inside(value: Any, expected: Expected) -> Iterator[tuple[PathStep, Any]]:
    match value:
        case str() if value.lstrip()[:1] in ("{", "[", '"'):
            yield STRING, value_of(value)
        case [first, *_]:
            yield ELEMENTS, first
        case dict() if is_map(value, expected):
            yield MEMBERS, next(iter(value.values()))
        case dict():
            yield from ((PathStep("member", name), inner) for name, inner in value.items() if is_name(name))
