"""What a draft decides about fields, names, envelopes, keys and totals, from the values of a sample."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.draft import strings
from pipeline.draft.discriminator import discriminator
from pipeline.draft.envelopes import place_of_records
from pipeline.draft.keys import choose_key, possible_pairs, unique_pair
from pipeline.draft.names import Names, singular, snake, table_name
from pipeline.draft.personal_data import is_personal
from pipeline.draft.profile import DECODER, Node
from pipeline.draft.totals import confirmed, suggested
from pipeline.draft.types import EMPTY, JSON, LIST, OBJECT, ROWS, decide, decide_record


def parsed(values: Sequence[Any]) -> list[Any]:
    """Return values as the sample's decoder reads them, which keeps the digits of numbers."""
    return list(DECODER.decode(json.dumps(values).encode()))


def record_of(records: Sequence[Any]) -> Any:
    root = Node()
    root.add(parsed(records))
    return decide_record(root, "")


def column(values: Sequence[Any], name: str = "x") -> tuple[str, str]:
    """Return the kind and type of a field with some values."""
    node = Node(name, 1)
    node.add(parsed(values))
    field = decide(node)
    return field.kind, field.type


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("x", [1, 2, None], "BIGINT"),
        ("x", [2**63 - 1, -(2**63)], "BIGINT"),
        ("x", [2**63, 0], "DECIMAL(20,0)"),
        ("x", [2**64], "DOUBLE"),
        ("x", [1.5, 2.25], "DECIMAL(18,4)"),
        ("x", [1, 2.5], "DECIMAL(18,3)"),
        ("x", [10**15, 0.5], "DECIMAL(22,3)"),
        ("x", [0.12345], "DOUBLE"),
        ("x", [1e20], "DOUBLE"),
        ("x", [True, False], "BOOLEAN"),
        ("x", ["a", ""], "VARCHAR"),
        ("x", ["2026-01-31"], "DATE"),
        ("x", ["2026-02-30"], "VARCHAR"),
        ("x", ["2026-01-31", ""], "VARCHAR"),
        ("x", ["2026-01-31"] * 19 + ["soon"], "DATE"),
        ("x", ["2026-01-31"] * 9 + ["soon"], "VARCHAR"),
        ("x", ["2026-01-31T08:00:00Z", "2026-01-31T08:00:00.5+01:00"], "TIMESTAMP"),
        ("x", ["2026-01-31T08:00:00"], "VARCHAR"),
        ("x", ["2026-01-31T08:00:00.123456789Z"], "VARCHAR"),
        ("total_price", ["19.99", "5.00"], "DECIMAL(18,4)"),
        ("x", ["19.99", "5.00"], "DECIMAL(18,4)"),
        ("x", ["19.9", "5.00"], "VARCHAR"),
        ("version", ["1.10", "1.20"], "VARCHAR"),
        ("zip", ["01234"], "VARCHAR"),
        ("created_at", [1767225600], "TIMESTAMP"),
        ("ts", [1767225600000], "TIMESTAMP"),
        ("id", [1767225600], "BIGINT"),
        ("x", [1767225600], "BIGINT"),
        ("created_at", [5], "BIGINT"),
    ],
)
def test_a_value_gets_a_column_type(name: str, values: list[Any], expected: str) -> None:
    assert column(values, name)[1] == expected


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None], EMPTY),
        ([[], []], EMPTY),
        ([{}, {}], EMPTY),
        ([{"a": None}], EMPTY),
        ([1, "a"], JSON),
        ([{"a": 1}, [1]], JSON),
        ([{"a": 1}] * 19 + ["text"], OBJECT),
        ([[{"a": 1}]] * 19 + ["text"], ROWS),
        ([{"a": 1}] * 9 + ["text"], JSON),
        ([{"a": 1}], OBJECT),
        ([{"a": 1, "A": 2}], JSON),
        ([{"": 1}], JSON),
        ([{f"2026-01-{day:02}": day} for day in range(1, 20)], JSON),
        ([{"EUR": 1, "USD": 2}], JSON),
        ([{"line1": "a", "line2": "b"}, {"line1": "a"}], OBJECT),
        ([{f"k{number}": 1} for number in range(30)], JSON),
        ([[{"a": 1}]], ROWS),
        ([["a", "b"], []], LIST),
        ([[1, 2], [3]], LIST),
        ([[13.4, 52.5], [13.5, 52.6]], JSON),
        ([[1, "a"]], JSON),
        ([[[1]]], JSON),
    ],
)
def test_a_value_becomes_columns_rows_or_json(values: list[Any], kind: str) -> None:
    assert column(values)[0] == kind


def test_a_field_that_many_records_have_is_required() -> None:
    record = record_of([{"id": number, "often": 1 if number else None} for number in range(100)])
    assert [(one.required, one.nullable) for one in record.members.values()] == [(True, False), (False, True)]
    record = record_of([{"id": number} for number in range(99)])
    assert not record.members["id"].required


def test_only_frequent_values_of_a_status_are_an_enum() -> None:
    def schema(values: list[str], name: str = "status") -> Any:
        return record_of([{name: value} for value in values]).members[name].schema

    assert schema(["paid", "open"] * 600) == {"type": "string", "enum": ["open", "paid"]}
    assert schema(["paid"] * 1200 + ["rare"]) == {"type": "string"}
    assert schema(["paid", "open"] * 20) == {"type": "string"}
    assert schema(["Berlin", "Paris"] * 600, "city") == {"type": "string"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orderId", "order_id"),
        ("HTTPStatus", "http_status"),
        ("podIPs", "pod_ips"),
        ("Größe in cm", "grosse_in_cm"),
        ("unit.price", "unit_price"),
        ("__x__", "x"),
        ("日本", ""),
    ],
)
def test_names_become_snake_case(name: str, expected: str) -> None:
    assert snake(name) == expected


def test_columns_have_unique_names_that_athena_accepts() -> None:
    names = Names(["batch_id"])
    paths = [["a-b"], ["a_b"], ["order"], ["2024"], [""], ["日本"], ["batch_id"], ["date"], ["x" * 80]]
    expected = ["a_b", "a_b_2", "sale_order", "sale_2024", "field", "field_2", "batch_id_2", "sale_date", "x" * 60]
    assert [names.unique(path, "sale") for path in paths] == expected
    assert table_name(Names(), ["records"], "sale") == "sale_records"


@pytest.mark.parametrize(
    ("plural", "expected"),
    [("items", "item"), ("entries", "entry"), ("addresses", "address"), ("boxes", "box"), ("status", "status")],
)
def test_the_singular_of_a_name(plural: str, expected: str) -> None:
    assert singular(plural) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [("2026-01-31", "date"), ("0000-01-01", "text"), ("2024-02-29", "date"), ("2023-02-29", "text"), ("", "empty"),
     ("a@b.co", "email"), ("https://x", "url"), ("007", "integer"), ("-1.50", "decimal"), ("01.5", "text"),
     ("2026-01-31 08:00", "local time"), ("2026-01-31T24:00:00Z", "text")],
)  # fmt: skip
def test_strings_have_classes(text: str, kind: str) -> None:
    assert strings.class_of(text) == kind


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('[{"a": 1}]', ""),
        ('{"a": 1}\n{"a": 2}', ""),
        ('{"data": [{"a": 1}], "has_more": false}', "/data"),
        ('{"page": 1, "orders": [{"a": 1}]}', ""),
        ('{"orders": [{"a": 1}]}', "/orders"),
        ('{"meta": {"n": 1}, "response": {"docs": [{"a": 1}]}}', "/response/docs"),
        ('{"Records": [{"a": 1}]}\n{"Records": [{"a": 2}]}', "/Records"),
        ('{"order_id": 1, "items": [{"a": 1}, {"a": 2}]}', ""),
        ('{"type": "FeatureCollection", "features": [{"id": 1}]}', "/features"),
        ('{"tags": ["a"]}', ""),
        ('{"Item": {"id": {"S": "x"}, "list": {"L": [{"S": "y"}]}}}\n{"Item": {}}', ""),
        ('{"Item": {"id": 1, "items": [{"a": 1}]}}', ""),
        ('{"data": {"products": {"edges": [{"node": {}}], "pageInfo": {}}}}', "/data/products/edges"),
        ('{"data": [{"id": 1}], "included": [{"id": 2}], "links": {"self": "x"}}', "/data"),
        ('{"took": 1, "hits": {"total": {"value": 1}, "hits": [{"_id": "a"}]}}', "/hits/hits"),
    ],
)
def test_the_array_of_records_is_found(text: str, pointer: str) -> None:
    assert place_of_records(text, is_all=True).pointer == pointer


def test_many_elements_in_an_object_without_an_identifier_are_the_records() -> None:
    orders = [{"a": number} for number in range(12)]
    found = place_of_records(json.dumps({"shop": "x", "orders": orders}), is_all=True)
    assert (found.pointer, bool(found.question)) == ("/orders", True)
    found = place_of_records(json.dumps({"order_id": "x", "lines": orders}), is_all=True)
    assert (found.pointer, bool(found.question)) == ("", True)


def test_an_array_that_goes_on_after_the_beginning_holds_the_records() -> None:
    text = '{"shop": {"name": "x"}, "exported": "2026", "orders": [' + '{"a": 1},' * 50 + '{"a'
    assert place_of_records(text, is_all=False).pointer == "/orders"


def test_an_object_whose_names_are_keys_is_recognised() -> None:
    people = {f"u{number}": {"name": "n", "age": number} for number in range(3)}
    assert place_of_records(json.dumps(people), is_all=True).is_map
    settings = {"server": {"host": "h"}, "db": {"url": "u"}, "log": {"level": "l"}}
    assert not place_of_records(json.dumps(settings), is_all=True).is_map


@pytest.mark.parametrize(
    ("records", "paths"),
    [
        ([{"id": 1, "b": 1}, {"id": 2, "b": 2}], (("id",),)),
        ([{"id": 1}, {"id": 1}], ()),
        ([{"sale_id": 1, "id": 1}, {"sale_id": 2, "id": 2}], (("sale_id",),)),
        ([{"ref": "a", "m": {"uid": "x"}}, {"ref": "a", "m": {"uid": "y"}}], (("m", "uid"),)),
        ([{"name": "a"}, {"name": "b"}], ()),
        ([{"id": "a"}, {"id": None}], ()),
        ([{"id": n} for n in range(99)] + [{"id": 5}], (("id",),)),
        ([{"id": n} for n in range(99)] + [{"x": 5}], (("id",),)),
    ],
)
def test_the_key_is_unique_and_named_like_one(records: list[Any], paths: tuple[Any, ...]) -> None:
    assert choose_key(record_of(records), "sales").paths == paths


def test_a_thing_and_a_time_are_a_key_together() -> None:
    records = [{"sensor": f"s{n % 2}", "at": f"2026-01-01T00:{n // 2:02}:00Z", "v": n % 3} for n in range(40)]
    pairs = possible_pairs(record_of(records))
    key = unique_pair(pairs, [parsed(records[:7]), parsed(records[7:])])
    assert key is not None
    assert key.paths == (("sensor",), ("at",))
    assert unique_pair(pairs, [parsed(records), parsed(records[:1])]) is None


def test_a_field_that_goes_with_other_fields_names_the_kind() -> None:
    root = Node()
    root.add(parsed([{"type": "a", "x": 1, "y": 2}, {"type": "b", "z": 1}] * 5))
    assert discriminator(root) == ("type", 2, ["x", "y", "z"])
    root = Node()
    root.add(parsed([{"type": "a", "x": 1}, {"type": "b", "x": 1}] * 5))
    assert discriminator(root) is None


def test_totals_are_found_and_must_hold_in_all_records() -> None:
    records = [
        {"total": 2 * n + 3, "shipping": 3, "lines": [{"qty": 2, "price": n}, {"qty": 0, "price": 7}], "n": n}
        for n in range(20)
    ]
    [total] = suggested(record_of(records), parsed(records))
    assert (total.field, total.parts) == ("total", (("shipping", 1),))
    assert "the sum of qty × price over /lines plus /shipping" in total.says
    assert confirmed([total], [parsed(records)]) == [total]
    assert confirmed([total], [parsed(records), parsed([{**records[0], "total": 4}])]) == []


@pytest.mark.parametrize(
    ("name", "holder", "expected"),
    [
        ("email", "", True), ("first_name", "", True), ("shippingAddressLine1", "", True), ("phone_number", "", True),
        ("name", "customer", True), ("name", "product", False), ("status", "", False), ("sku", "", False),
        ("zip_code", "", True), ("ip", "", True),
    ],
)  # fmt: skip
def test_names_of_personal_data_are_recognised(name: str, holder: str, expected: bool) -> None:
    assert is_personal(Node(name, 1), holder) is expected
