"""Finds fields that a contract doesn't know, and drops or keeps them.

The exact validator finds each name first. From then on, the fast decoder accepts the name as an optional field with any
value, so later records with it don't need the exact validator. The fast decoder still refuses other unknown names.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from functions.common.json_pointer import escaped
from functions.common.reject_lines import OTHERS, is_name, shown_step
from functions.common.schema_shapes import ARRAY, OBJECT, Shape
from functions.validate.decoding_plan import DecodingPlan
from functions.validate.drift import UnknownField
from functions.validate.json_values import json_text

ELEMENT = "*"
MOST_LEARNED = 100
"""The maximum number of names that a version's fast decoder learns. If there are more, the names are probably data."""

_MOST_TYPES = 1024
"""The maximum number of types whose attributes are cached."""

Path = tuple[str, ...]
"""The member names that lead to an object, with ELEMENT for the elements of an array."""

Learned = frozenset[tuple[Path, str]]
"""Pairs of an object's path and the name of an unknown field that the object may have."""


def unknown_fields(record: Any, shape: Shape) -> list[UnknownField]:
    """Return every member of a parsed record that a schema with `"additionalProperties": false` doesn't name."""
    return list(_unknown(record, shape, (), "", ""))


def _unknown(value: Any, shape: Shape, path: Path, place: str, pointer: str) -> Iterator[UnknownField]:
    part = shape.part
    if isinstance(value, dict):
        known = part.get("properties", {})
        if part.get("additionalProperties") is False and "patternProperties" not in part:
            for name in value:
                if name not in known:
                    found = f"{place}/{name}" if is_name(name) else OTHERS
                    yield UnknownField(value, name, found, path, f"{pointer}/{escaped(name)}")
        if shape.kind == OBJECT:
            for name, inner in value.items():
                if name in shape.members:
                    places = f"{place}/{shown_step(name)}", f"{pointer}/{escaped(name)}"
                    yield from _unknown(inner, shape.members[name], (*path, name), *places)
    elif isinstance(value, list) and shape.kind == ARRAY and shape.element:
        for number, element in enumerate(value):
            yield from _unknown(element, shape.element, (*path, ELEMENT), f"{place}/*", f"{pointer}/{number}")


def extra_text(values: Mapping[str, Any]) -> str | None:
    """Return unknown fields as a JSON object, sorted by JSON Pointer. None if there are none."""
    return json_text(dict(sorted(values.items()))) if values else None


def can_learn(plan: DecodingPlan, path: Path) -> bool:
    """Return whether the fast decoder reads the object at a path into a msgspec type, which can get another field."""
    if plan.is_untyped:
        return False
    if not path:
        return plan.shape.kind == OBJECT
    step, *rest = path
    if plan.element and step == ELEMENT:
        return can_learn(plan.element, tuple(rest))
    inner = [branch.members.get(step) for _, branch in plan.branches] or [plan.members.get(step)]
    return all(one is None or can_learn(one, tuple(rest)) for one in inner)


@dataclass(slots=True)
class _Node:
    """The learned fields of one object, or of the elements of one array."""

    names: list[tuple[str, str]] = field(default_factory=list)
    """Learned names, each with the place under which it is counted."""
    inner: dict[str, "_Node"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LearnedFields:
    """Removes learned fields from records that the fast decoder has read."""

    root: _Node
    keeps: bool
    """Whether the values of removed fields are kept."""

    def take(self, records: Iterable[Any], counts: Counter[str]) -> Sequence[str | None] | None:
        """Remove learned fields, and count the records that have each field.

        Returns each record's kept fields as JSON, or None if fields aren't kept. Raises ValueError if a kept value
        can't be written as JSON.
        """
        kept: list[str | None] = []
        for record in records:
            found: list[tuple[str, str, Any]] = []
            _take(record, self.root, "", found)
            if len(found) == 1:
                counts[found[0][0]] += 1
            elif found:
                counts.update({place for place, _, _ in found})
            if self.keeps:
                kept.append(extra_text({pointer: value for _, pointer, value in found}))
        return kept if self.keeps else None


def learned_fields(learned: Learned, *, keeps: bool) -> LearnedFields:
    """Return an object that removes the fields in `learned` from records."""
    root = _Node()
    for path, name in sorted(learned):
        node = root
        for step in path:
            node = node.inner.setdefault(step, _Node())
        place = "".join(f"/{step if step == ELEMENT else shown_step(step)}" for step in path)
        node.names.append((name, f"{place}/{name}" if is_name(name) else OTHERS))
    return LearnedFields(root, keeps)


def _take(value: Any, node: _Node, pointer: str, found: list[tuple[str, str, Any]]) -> None:
    if isinstance(value, list):
        if inner := node.inner.get(ELEMENT):
            for number, element in enumerate(value):
                _take(element, inner, f"{pointer}/{number}", found)
    elif isinstance(value, msgspec.Struct):
        attributes = _attributes(type(value))
        for name, place in node.names:
            attribute = attributes.get(name)
            if attribute and (extra := getattr(value, attribute)) is not msgspec.UNSET:
                found.append((place, f"{pointer}/{escaped(name)}", extra))
                setattr(value, attribute, msgspec.UNSET)
        for name, inner in node.inner.items():
            if attribute := attributes.get(name):
                _take(getattr(value, attribute), inner, f"{pointer}/{escaped(name)}", found)


@lru_cache(maxsize=_MOST_TYPES)
def _attributes(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """Return the attribute of a msgspec type for each member name in JSON."""
    return dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
