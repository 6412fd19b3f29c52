"""A contract's schema is widened to accept what a sample has, and never more narrowly than before."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from functions.common.compiled_schema import compiled
from pipeline.draft.profile import DECODER, Node
from pipeline.draft.widening import widened


def schema_with(part: Any, *, required: bool = False) -> dict[str, Any]:
    properties = {"id": {"type": "integer"}, "x": part}
    needed = ["id", "x"] if required else ["id"]
    return {"type": "object", "additionalProperties": False, "required": needed, "properties": properties}


def widened_by(schema: dict[str, Any], values: Sequence[Any]) -> Any:
    """Widen a schema by records with these values of x; `...` means that x is missing."""
    records = [{"id": number} | ({} if value is ... else {"x": value}) for number, value in enumerate(values)]
    root = Node()
    root.add(DECODER.decode(json.dumps(records).encode()))
    made = widened(schema, root)
    if not made.by_hand:
        assert all(compiled(made.schema).is_valid(record) for record in records)
    return made


@pytest.mark.parametrize(
    ("part", "values", "expected"),
    [
        ({"type": "string"}, ["a", None], {"type": ["string", "null"]}),
        ({"type": "string", "enum": ["a"]}, ["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        ({"enum": ["a"]}, ["b", None], {"enum": ["a", None, "b"]}),
        ({"type": "string", "maxLength": 1}, ["abc"], {"type": "string", "maxLength": 3}),
        ({"type": "integer", "minimum": 0}, [-5], {"type": "integer", "minimum": -5}),
        ({"type": "integer"}, [1, 1.5], {"type": "number", "decimal": [18, 3]}),
        ({"type": ["integer", "null"]}, [1.5], {"type": ["number", "null"], "decimal": [18, 3]}),
        ({"type": "number", "decimal": [5, 2]}, [1.125], {"type": "number", "decimal": [8, 5]}),
        ({"type": "number", "decimal": [5, 2]}, [12345.5], {"type": "number", "decimal": [10, 2]}),
        ({"type": "number", "decimal": [5, 2]}, [1.25], {"type": "number", "decimal": [5, 2]}),
        ({"type": "array", "maxItems": 1, "items": {"type": "integer"}}, [[1, 2]],
         {"type": "array", "maxItems": 2, "items": {"type": "integer"}}),
        ({"type": "null"}, [5], {"type": ["integer", "null"]}),
    ],
)  # fmt: skip
def test_a_field_is_widened(part: dict[str, Any], values: list[Any], expected: dict[str, Any]) -> None:
    made = widened_by(schema_with(part), values)
    assert made.schema["properties"]["x"] == expected
    assert bool(made.changes) == (part != expected)


def test_a_required_field_may_be_missing_afterwards() -> None:
    made = widened_by(schema_with({"type": "string"}, required=True), ["a", ...])
    assert (made.schema["required"], made.changes) == (["id"], ["/x may be missing"])


def test_a_definition_is_changed_where_it_is_shared() -> None:
    line: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {"sku": {"type": "string"}}}
    schema = schema_with({"type": "array", "items": {"$ref": "#/$defs/line"}}) | {"$defs": {"line": line}}
    made = widened_by(schema, [[{"sku": "a", "lot": "l"}]])
    assert made.schema["$defs"]["line"]["properties"]["lot"] == {"type": ["string", "null"]}
    assert list(made.added) == ["/x/*/lot"]
    assert "lot" not in line["properties"]


@pytest.mark.parametrize(
    ("part", "values", "says"),
    [
        ({"type": "integer"}, ["text"], "/x has values of another type (string) in 100% of the records"),
        ({"type": "object", "oneOf": [{}], "properties": {"a": {}}}, [{"a": 1}], "/x is described by several schemas"),
        ({"enum": ["a"]}, [f"v{number}" for number in range(30)], "/x has many values that its enum lacks"),
    ],
)
def test_what_has_no_safe_change_is_left_to_a_person(part: dict[str, Any], values: list[Any], says: str) -> None:
    made = widened_by(schema_with(part), values)
    assert any(one.startswith(says) for one in made.by_hand), made.by_hand
    assert made.schema["properties"]["x"] == part
