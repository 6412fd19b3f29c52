"""Numbers are exact decimals or rejected, and DuckDB reads each record as its schema defines it."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.common import sql
from functions.common.record_types import is_decimal, record_type, sent_type
from functions.validate.contract_sql.record_queries import RecordQueries, lines_query
from tests.unit.orders import V1, contract_of_records

DECIMALS = [(16, 4), (12, 3), (5, 4), (9, 0)]
"""Precision and scale."""


def significant_digits(number: Decimal) -> int:
    return len(number.normalize().as_tuple().digits)


@st.composite
def near_decimals(draw: st.DrawFn) -> float:
    """A number with few decimals, or the next float above or below it."""
    units, decimals = draw(st.integers(-(10**17), 10**17)), draw(st.integers(0, 6))
    number = units / 10**decimals
    return draw(st.sampled_from([number, math.nextafter(number, math.inf), math.nextafter(number, -math.inf)]))


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=500)
@given(finite | near_decimals() | st.integers(-(2**64), 2**64))
@example(19.99)
@example(0.1 + 0.2)
@example(-0.0)
@example(99_999_999_999.9999)
@example(999_999_999_999.9999)
@example(999_999_999_999.999)
@example(1e12)
@example(10**12)
@example(-(10**12) + 1)
@example(1e-5)
@example(5e-324)
def test_a_number_is_exact_if_its_shortest_decimal_is(number: float) -> None:
    written = Decimal(repr(number))
    for precision, scale in DECIMALS:
        fits = abs(written) < 10 ** (precision - scale)
        few_decimals = written == written.quantize(Decimal(1).scaleb(-scale)) if fits else False
        is_whole = isinstance(number, int) or (number.is_integer() and abs(number) < 2**64)
        kept = is_whole or significant_digits(written) <= 15
        assert is_decimal(number, precision, scale) is (fits and few_decimals and kept), (precision, scale)


def read(values: list[Any], schema: dict[str, Any], folder: Path, expression: str = "x") -> list[Any]:
    """The values `x` of one type as DuckDB reads them."""
    path = folder / "records.jsonl"
    path.write_bytes(
        b"".join(orjson.dumps({"_position": n, "record": {"x": value}}) + b"\n" for n, value in enumerate(values))
    )
    of_record = {"type": "object", "properties": {"x": schema}}
    contract = contract_of_records(of_record)
    with sql.connect(folder, 512) as connection:
        connection.execute(f"CREATE VIEW sent AS {lines_query(path, sent_type(of_record), 10_000)}")
        records = RecordQueries(contract).records(contract.current, "sent")
        rows = connection.execute(f"SELECT {expression} FROM ({records}) ORDER BY _position").fetchall()
        return [row[0] for row in rows]


@settings(max_examples=15)
@given(st.data())
def test_duckdb_reads_every_accepted_number_exactly(tmp_path: Path, data: st.DataObject) -> None:
    precision, scale = data.draw(st.sampled_from(DECIMALS))
    limit = 10**precision - 1
    grid = st.integers(-limit, limit).map(lambda units: units / 10**scale)
    whole = st.integers(-(10 ** (precision - scale)) + 1, 10 ** (precision - scale) - 1)
    drawn = data.draw(st.lists(grid | whole | whole.map(float), min_size=50, max_size=200))
    numbers = [number for number in drawn if is_decimal(number, precision, scale)]
    found = read(numbers, {"type": "number", "decimal": [precision, scale]}, tmp_path)
    assert found == [Decimal(repr(number)) for number in numbers]


@pytest.mark.parametrize("number", [0.0001, -0.0001, 1e11, 100_000_000_000.5, 99_999_999_999.9999, -0.0, 10**12 - 1])
def test_duckdb_reads_numbers_in_unusual_json_notation(number: float, tmp_path: Path) -> None:
    assert is_decimal(number, 16, 4)
    assert read([number], {"type": "number", "decimal": [16, 4]}, tmp_path) == [Decimal(repr(number))]


TYPES = [
    ({"type": "string"}, "VARCHAR"),
    ({"type": "string", "format": "email"}, "VARCHAR"),
    ({"type": "string", "format": "date"}, "DATE"),
    ({"type": "string", "format": "date-time"}, "TIMESTAMPTZ"),
    ({"type": ["string", "null"]}, "VARCHAR"),
    ({"type": ["null", "string"], "format": "date"}, "DATE"),
    ({"enum": ["a", "b"]}, "VARCHAR"),
    ({"type": "integer"}, "BIGINT"),
    ({"type": "number"}, "DOUBLE"),
    ({"type": "number", "decimal": [12, 3]}, "DECIMAL(12,3)"),
    ({"type": "boolean"}, "BOOLEAN"),
    ({"type": "array", "items": {"type": "integer"}}, "BIGINT[]"),
    ({"type": "object", "properties": {"a b": {"enum": ["x"]}}}, 'STRUCT("a b" VARCHAR)'),
    ({"$ref": "#/$defs/money"}, "DECIMAL(16,4)"),
    ({"$ref": "#/$defs/money", "minimum": 0}, "DECIMAL(16,4)"),
    ({"type": "array", "items": {"$ref": "#/$defs/money"}}, "DECIMAL(16,4)[]"),
    ({"$ref": "#/$defs/Exact%3Cmoney~1eur%20%25%3E"}, "DECIMAL(18,2)"),
    ({"type": "string", "decimal": [15, 2]}, "DECIMAL(15,2)"),
    ({"type": "integer", "format": "epoch-seconds"}, "TIMESTAMP"),
    ({"type": ["integer", "null"], "format": "epoch-millis"}, "TIMESTAMP"),
    ({}, "VARCHAR"),
    ({"type": "object"}, "VARCHAR"),
    ({"type": "object", "additionalProperties": {"type": "string"}}, "VARCHAR"),
    ({"type": "array"}, "VARCHAR"),
    ({"type": "array", "items": {}}, "VARCHAR"),
    ({"type": "array", "items": {"type": "object"}}, "VARCHAR[]"),
    ({"type": ["string", "number"]}, "VARCHAR"),
    ({"type": ["integer", "number", "null"]}, "DOUBLE"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "BIGINT"),
    ({"oneOf": [{"type": "null"}, {"$ref": "#/$defs/money"}]}, "DECIMAL(16,4)"),
    ({"allOf": [{"$ref": "#/$defs/money"}]}, "DECIMAL(16,4)"),
    ({"$ref": "#/$defs/money", "type": ["number", "null"]}, "DECIMAL(16,4)"),
    ({"type": "object", "properties": {"a": {"const": 1}, "b": {"type": "null"}}}, 'STRUCT("a" BIGINT)'),
    (
        {"oneOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"type": "object", "properties": {"b": {}}}]},
        'STRUCT("a" BIGINT, "b" VARCHAR)',
    ),
]


@pytest.mark.parametrize(("schema", "expected"), TYPES, ids=lambda part: part if isinstance(part, str) else "")
def test_a_schema_has_the_expected_duckdb_type(schema: dict[str, Any], expected: str) -> None:
    whole = {
        **schema,
        "$defs": {
            "money": {"type": "number", "decimal": [16, 4]},
            "Exact<money/eur %>": {"type": "number", "decimal": [18, 2]},
        },
    }
    assert record_type(whole) == expected
    duckdb.sql(f"SELECT CAST(NULL AS {expected})")


@pytest.mark.parametrize("schema", [{"type": []}, {"type": "text"}, {"type": [[]]}, {"type": ["string", "text"]}])
def test_a_schema_of_a_type_that_json_does_not_have_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs a type that JSON has: array, boolean"):
        record_type(schema)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ([], "the schema must be an object"),
        ({"type": "null"}, "must have properties"),
        ({"type": "object", "additionalProperties": False}, "must have properties"),
        ({"type": "object", "properties": {"a": 5}}, "the schema/properties/a must be an object"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "A": {"type": "string"}}},
            "can't distinguish from another",
        ),
        ({"type": "object", "properties": {"\0": {"type": "string"}}}, "can't distinguish from another"),
        ({"type": "array", "items": 5}, "the schema/items must be an object"),
        ({"type": "number", "decimal": 4}, "must give decimal as"),
        ({"type": "number", "decimal": [39, 4]}, "must give decimal as"),
        ({"type": "number", "decimal": [4, 5]}, "must give decimal as"),
        ({"$ref": "#/$defs/nothing"}, "has no schema at #/\\$defs/nothing"),
        ({"$ref": "other.json"}, "has no schema at other.json"),
        ({"$ref": 5}, "has no schema at 5"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}, "refers to itself"),
    ],
)
def test_a_schema_that_is_not_a_row_is_refused_with_the_reason(schema: Any, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        record_type(schema)


def test_a_name_with_quotes_is_quoted() -> None:
    kind = record_type({"type": "object", "properties": {'a"); DROP': {"type": "string"}}})
    assert kind == 'STRUCT("a""); DROP" VARCHAR)'
    duckdb.sql(f"SELECT CAST(NULL AS {kind})")


def test_duckdb_knows_the_type_of_an_order() -> None:
    (kind,) = duckdb.sql(f"SELECT CAST(NULL AS {V1.record_type}) AS x").types
    names = [name for name, _ in kind.children]
    assert names == list(V1.schema["properties"])


@pytest.mark.parametrize(
    "text", ["NULL", "null", "", "007", "1e5", "true", "2024-01-01", "a\nb", '"', "\\", "日本 😀", "\u2028"]
)
def test_a_string_is_read_unchanged(text: str, tmp_path: Path) -> None:
    assert read([text], {"type": "string"}, tmp_path) == [text]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01 00:00:00"),
        ("2024-01-01T00:00:00.1Z", "2024-01-01 00:00:00.1"),
        ("2024-01-01T00:00:00.123456+05:30", "2023-12-31 18:30:00.123456"),
        ("2024-01-01T00:00:00-00:00", "2024-01-01 00:00:00"),
        ("2024-01-01T00:00:00+23:59", "2023-12-31 00:01:00"),
        ("2024-03-31T02:30:00+01:00", "2024-03-31 01:30:00"),
        ("1000-01-01T00:00:00+14:00", "0999-12-31 10:00:00"),
        ("2999-12-31T23:59:59.999999-14:00", "3000-01-01 13:59:59.999999"),
    ],
)
def test_a_timestamp_keeps_microseconds(text: str, utc: str, tmp_path: Path) -> None:
    as_text = "CAST(CAST(x AS TIMESTAMP) AS VARCHAR)"
    assert read([text], {"type": "string", "format": "date-time"}, tmp_path, as_text) == [utc]
