"""The fast validator agrees with the reference validator, and both support the schema of each contract."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.compiled_schema import schema_validator
from functions.common.config import CONTRACTS
from functions.common.contract import Version
from functions.common.record_types import is_decimal, resolve
from functions.validate.messages import broken_schema
from generate_data import DEFECTS, generate
from tests.unit.orders import CLOSE_CALLS, CONTRACT, NORTHWIND, V1, Order, order, valid_orders

pytestmark = pytest.mark.slow

SCHEMAS = {
    path.relative_to(CONTRACTS): json.loads(path.read_text("utf-8")) for path in CONTRACTS.glob("*/*.schema.json")
}

# --- the reference ----------------------------------------------------------------------------------------------------


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """As in ECMA 262, `$` matches only at the end. Python's `$` also matches before a final newline."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError("does not match")


def _decimal(_validator: Any, value: list[int], instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    is_number = isinstance(instance, int | float) and not isinstance(instance, bool)
    if is_number and not is_decimal(instance, *value):
        yield jsonschema.ValidationError("is not exact")


Reference = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern, "decimal": _decimal})


@cache
def reference(version: Version = V1) -> Any:
    return Reference(version.schema, format_checker=jsonschema.FormatChecker(["date-time", "date"]))


def validator(version: Version = V1) -> Any:
    return schema_validator(CONTRACT, version)


Faults = Counter[tuple[tuple[str | int, ...], str]]
"""How often a keyword is broken at a place."""


def faults_by_reference(record: Any) -> Faults:
    return Counter((tuple(error.absolute_path), error.validator) for error in reference().iter_errors(record))


def faults(record: Any) -> Faults:
    return Counter((tuple(error.instance_path), error.kind.name) for error in validator().iter_errors(record))


# --- orders, good and bad ---------------------------------------------------------------------------------------------


strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.sampled_from(CLOSE_CALLS)
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=3,
)


def places(part: Any) -> Iterator[tuple[Any, str | int]]:
    """Every place in a record: its container, and its name or index there."""
    steps = part.keys() if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for step in steps:
        yield part, step
        yield from places(part[step])


@st.composite
def mutated_orders(draw: st.DrawFn) -> Any:
    """An order with up to three places set to anything, removed, or joined by an unknown one."""
    record = {"": deepcopy(draw(valid_orders()))}
    for _ in range(draw(st.integers(1, 3))):
        holder, step = draw(st.sampled_from(list(places(record))))
        kind = draw(st.sampled_from(["set", "set", "set", "remove", "add"]))
        if kind == "set":
            holder[step] = draw(values)
        elif step != "" and kind == "remove":
            del holder[step]
        elif isinstance(holder, list):
            holder.append(draw(values))
        else:
            holder[draw(strings)] = draw(values)
    return orjson.loads(json.dumps(record[""]))  # as the parser reads it: an integer beyond 64 bits becomes a float


@settings(max_examples=150)
@given(mutated_orders())
def test_both_validators_find_the_same_faults_at_the_same_places(record: Any) -> None:
    assert faults(record) == faults_by_reference(record)
    assert validator().is_valid(record) is (not faults(record))


@given(mutated_orders())
def test_every_fault_has_a_code_and_a_sentence(record: Any) -> None:
    reasons = broken_schema(validator().iter_errors(record), CONTRACT, V1)
    assert bool(reasons) is not reference().is_valid(record)
    for reason in reasons:
        assert reason.code != "breaks_schema", f"give {reason.rule} a code in explain.py"
        assert reason.message.startswith(f"{reason.pointer or 'the record'} ")


@pytest.mark.parametrize("value", CLOSE_CALLS, ids=ascii)
def test_both_validators_agree_on_edge_cases_at_every_place(value: Any) -> None:
    for number in range(len(list(places(order())))):
        record = order()
        holder, step = list(places(record))[number]
        holder[step] = value
        record = orjson.loads(json.dumps(record))
        assert reference().is_valid(record) is validator().is_valid(record), f"at {step}: {value!a}"


@settings(max_examples=50)
@given(valid_orders())
def test_both_validators_accept_every_valid_order(record: Order) -> None:
    assert faults(record) == faults_by_reference(record) == Counter()


def test_both_validators_accept_northwind() -> None:
    for line in NORTHWIND.read_bytes().splitlines():
        record = orjson.loads(line)
        assert faults(record) == faults_by_reference(record) == Counter(), record["order_id"]


def test_both_validators_agree_on_generated_orders() -> None:
    for line, _ in generate(len(DEFECTS) * 20, seed=3, invalid_ratio=0.5):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        assert reference().is_valid(record) is validator().is_valid(record), line


# --- what a contract's schema must keep to ----------------------------------------------------------------------------


def parts(schema: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a schema, with its place."""
    if isinstance(schema, dict):
        yield place, schema
        for name, part in schema.items():
            yield from parts(part, f"{place}/{name}")


each_schema = pytest.mark.parametrize("name", SCHEMAS, ids=str)


@each_schema
def test_every_schema_is_valid_json_schema(name: Path) -> None:
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@each_schema
def test_every_example_is_valid(name: Path) -> None:
    schema = SCHEMAS[name]
    examples = [(place, part, example) for place, part in parts(schema) for example in part.get("examples", [])]
    assert examples
    for place, part, example in examples:
        checker = Reference({**part, "$defs": schema["$defs"]}, format_checker=jsonschema.FormatChecker())
        assert checker.is_valid(example), f"{place}: the example {example!r} breaks its own rule"


@each_schema
def test_no_multiple_of_is_fractional(name: Path) -> None:
    for place, part in parts(SCHEMAS[name]):
        multiple = part.get("multipleOf", 1)
        assert Decimal(str(multiple)) % 1 == 0, f'{place}: use "decimal", validators disagree on fractions'


@each_schema
def test_every_rule_explained_by_its_description_has_one(name: Path) -> None:
    schema = SCHEMAS[name]
    for place, part in parts(schema):
        needs_description = {"pattern", "format", "decimal"} & part.keys() or (
            "enum" in part and "properties" not in place[-12:]
        )
        whole = {**resolve(part["$ref"], schema), **part} if "$ref" in part else part
        assert not needs_description or whole.get("description"), (
            f"{place}: the sentence of a reject is built from its description"
        )


@each_schema
def test_every_object_lists_its_fields(name: Path) -> None:
    for place, part in parts(SCHEMAS[name]):
        if part.get("type") == "object":
            assert part.get("additionalProperties") is False, f"{place}: a field that no table takes would be lost"


def test_the_reference_validator_supports_the_formats_in_use() -> None:
    formats = {part["format"] for schema in SCHEMAS.values() for _, part in parts(schema) if "format" in part}
    for name in formats:
        assert name in jsonschema.FormatChecker.checkers, f"install what jsonschema checks {name} with"
