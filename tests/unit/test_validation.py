"""Each bad record is rejected with its code, its place and a plain sentence, and the rest is validated."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.contract import ControlTotal, Derived, Rule
from functions.common.errors import EncodingError, MalformedDocumentError
from functions.validate.messages import MAX_REASONS
from functions.validate.unreadable import unparsable
from tests.unit.orders import CONTRACT, KNOWN_VERSIONS, UNKNOWN_VERSION, Order, customer, item, lines, order, total
from tests.unit.steps import MAX_NESTING, MAX_RECORD_BYTES, batch_of, serialised, validate

GOOD = lines([order(order_id="good")])
SECRET = "s3cr3t-Zoë"
"""Part of the values of every bad record; no sentence may repeat it."""


def rejected(bad: bytes, folder: Path) -> dict[str, Any]:
    """The only reject of a file that has a bad line between two valid ones."""
    counts = validate(GOOD + bad + b"\n" + GOOD, folder)
    reject: dict[str, Any]
    (reject,) = rejects(folder)
    assert (counts["received"], counts["valid"], counts["rejected"]) == (3, 2, 1), "the rest must be validated"
    assert counts["rejected_by_reason"] == {reject["reason"]: 1}
    assert (reject["position"], reject["position_kind"]) == (len(GOOD), "byte")
    return reject


def rejects(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / "rejected.jsonl").read_bytes().splitlines()]


def text(record: Order) -> str:
    return json.dumps(record, ensure_ascii=False)


def replaced(old: str, new: str) -> bytes:
    """A plain order's JSON with one part replaced."""
    plain = text(order(customer=customer(name=SECRET)))
    assert old in plain
    return plain.replace(old, new, 1).encode()


# --- records that are invalid JSON, or JSON that is refused -----------------------------------------------------------

DEEP = 100_000

UNREADABLE = [
    ("cut off", replaced('"items"', '"items')[:200], "not_json", "is not JSON from its character"),
    ("no JSON", SECRET.encode(), "not_json", "is not JSON from its character 0 on"),
    ("a comma too many", replaced("{", "{,"), "not_json", "is not JSON from its character 1 on"),
    ("raw NUL", replaced(SECRET, f"{SECRET}\0"), "not_json", "is not JSON from its character"),
    ("raw control character", replaced(SECRET, f"{SECRET}\x01"), "not_json", "is not JSON from its character"),
    ("single quotes", replaced('"shipped"', "'shipped'"), "not_json", "is not JSON from its character"),
    ("Latin-1", text(order(customer=customer(name=SECRET))).encode("latin-1"), "not_utf8", "not UTF-8 from its byte"),
    ("broken UTF-8", replaced(SECRET, "?").replace(b"?", b"\xed\xa0\x80"), "not_utf8", "is not UTF-8 from its byte"),
    ("NaN", replaced("32.38", "NaN"), "non_finite_number", "has NaN, infinity, or a number that is too large"),
    (
        "Infinity",
        replaced("32.38", "Infinity"),
        "non_finite_number",
        "has NaN, infinity, or a number that is too large",
    ),
    (
        "minus Infinity",
        replaced("32.38", "-Infinity"),
        "non_finite_number",
        "has NaN, infinity, or a number that is too large",
    ),
    ("1e400", replaced("32.38", "1e400"), "non_finite_number", "has NaN, infinity, or a number that is too large"),
    (
        "400 digits",
        replaced("32.38", "9" * 400),
        "non_finite_number",
        "has NaN, infinity, or a number that is too large",
    ),
    ("5,000 digits", replaced("32.38", "9" * 5_000), "non_finite_number", "a number that is too large"),
    ("deep arrays", replaced("32.38", "[" * DEEP + "]" * DEEP), "nested_too_deeply", "more than 64 levels deep"),
    ("deep objects", replaced("32.38", '{"a":' * DEEP + "1" + "}" * DEEP), "nested_too_deeply", "more than 64 levels"),
    ("1,025 levels", replaced("32.38", "[" * 1_024 + r'"\u00e9"' + "]" * 1_024), "nested_too_deeply", "more than 64"),
    ("high surrogate", replaced(SECRET, SECRET + r"\ud800"), "lone_surrogate", "half of a surrogate pair"),
    ("low surrogate", replaced(SECRET, r"\udc00" + SECRET), "lone_surrogate", "half of a surrogate pair"),
    ("after a backslash", replaced(SECRET, r"\\ud801\udc37" + SECRET), "lone_surrogate", "half of a surrogate pair"),
    (
        "too long",
        replaced(SECRET, SECRET * MAX_RECORD_BYTES),
        "record_too_large",
        f"has more than {MAX_RECORD_BYTES} b",
    ),
]


@pytest.mark.parametrize(("record", "code", "says"), [pytest.param(*case, id=name) for name, *case in UNREADABLE])
def test_a_line_that_cannot_be_parsed_is_rejected(record: bytes, code: str, says: str, tmp_path: Path) -> None:
    reject = rejected(record, tmp_path)
    (error,) = reject["errors"]
    assert (reject["reason"], error["code"], error["pointer"]) == (code, code, "")
    assert error["message"].startswith("the record ")
    assert says in error["message"]
    assert SECRET not in json.dumps(reject["errors"], ensure_ascii=False)


@pytest.mark.parametrize("depth", [1_025, 2_000, 5_000, 50_000])
@pytest.mark.parametrize("inside", ["", r'"\u00e9"', r'"\ud83d\ude00"'])
def test_deep_nesting_is_reported_for_any_content(depth: int, inside: str) -> None:
    assert unparsable(("[" * depth + inside + "]" * depth).encode(), MAX_NESTING).code == "nested_too_deeply"


# --- records that violate the contract --------------------------------------------------------------------------------

GONE = object()


def put(record: Order, pointer: str, value: object) -> None:
    """Set the value at a JSON Pointer, or remove it if the value is GONE."""
    *path, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    part: Any = record
    for step in path:
        part = part[int(step) if isinstance(part, list) else step]
    place: Any = int(last) if isinstance(part, list) else last
    if value is GONE:
        del part[place]
    else:
        part[place] = value


NO_FIELD = "is not a field of version 1 of the contract; remove it"
A_DATE = "must be a date and time with its zone, to the microsecond at most, for example"
MONEY = "must be an amount below 1,000,000,000,000 with at most 4 decimals"

BROKEN = [
    # code, rule, place, new value, end of the sentence
    (
        "missing_field",
        "required",
        "/currency",
        GONE,
        "is missing; it must be an ISO 4217 currency code in upper case, for",
    ),
    ("missing_field", "required", "/customer/address/city", GONE, "is missing"),
    ("missing_field", "required", "/items/1/discount", GONE, "is missing"),
    ("unknown_field", "additionalProperties", "/coupon", SECRET, NO_FIELD),
    ("unknown_field", "additionalProperties", "/a~1b~0c", SECRET, NO_FIELD),
    ("unknown_field", "additionalProperties", "/items/0/sku", SECRET, NO_FIELD),
    ("unknown_field", "additionalProperties", "/items/0/qantity", 1, "; did you mean quantity?"),
    (
        "unknown_field",
        "additionalProperties",
        "/tax_amount",
        1,
        "it is a field of version 2; a record names its version in /",
    ),
    ("unknown_field", "additionalProperties", "/customer/loyalty_tier", SECRET, "; it is a field of version 2; a"),
    (
        "unknown_version",
        "record_version",
        "/schema_version",
        UNKNOWN_VERSION,
        f"as a whole number: {KNOWN_VERSIONS}; found a number",
    ),
    (
        "unknown_version",
        "record_version",
        "/schema_version",
        "2",
        "must be a version of the contract",
    ),
    (
        "unknown_version",
        "record_version",
        "/schema_version",
        2.5,
        f"must be a version of the contract, as a whole number: {KNOWN_VERSIONS}; found a number that is not whole",
    ),
    ("unknown_version", "record_version", "/schema_version", None, f"{KNOWN_VERSIONS}; found null"),
    ("wrong_type", "type", "/order_id", 12, 'must be a string, for example "10248"; found a number'),
    ("wrong_type", "type", "/customer/name", None, "found null"),
    ("wrong_type", "type", "/customer/email", 7, "must be a string or null, for example"),
    ("wrong_type", "type", "/customer", [SECRET], "must be an object; found an array"),
    ("wrong_type", "type", "/items", {}, "must be an array; found an object"),
    ("wrong_type", "type", "/items/0", SECRET, "must be an object; found a string"),
    ("wrong_type", "type", "/items/0/quantity", "3", "must be a number, for example 12; found a string"),
    ("wrong_type", "type", "/items/0/quantity", True, "must be a number, for example 12; found true or false"),
    ("wrong_type", "type", "/items/0/line_number", 1.5, "must be a whole number"),
    ("not_an_allowed_value", "enum", "/status", "lost", "must be one of pending, paid, shipped, delivered, cancelled"),
    ("not_an_allowed_value", "enum", "/status", None, "must be one of pending, paid, shipped, delivered, cancelled"),
    ("not_an_allowed_value", "enum", "/currency", "eur", "must be an ISO 4217 currency code in upper case"),
    ("not_an_allowed_value", "enum", "/customer/address/country", SECRET, "must be an ISO 3166-1 alpha-2 country code"),
    ("bad_format", "format", "/order_date", "2024-02-30T00:00:00Z", A_DATE),
    ("bad_format", "pattern", "/order_date", "2024-01-31T00:00:00", A_DATE),
    ("bad_format", "pattern", "/order_date", "2024-01-31", A_DATE),
    ("bad_format", "pattern", "/order_date", "2024-01-31T24:00:00Z", A_DATE),
    ("bad_format", "pattern", "/order_date", "2024-01-31T00:00:00.1234567Z", A_DATE),
    ("bad_format", "pattern", "/order_date", "2024-01-31T00:00:00Z\n", A_DATE),
    ("bad_format", "pattern", "/customer/name", f"{SECRET}\0", "without control characters"),
    ("bad_format", "pattern", "/order_id", "\x7f", "without control characters"),
    ("bad_length", "minLength", "/order_id", "", 'must have at least 1 character, for example "10248"; found 0'),
    ("bad_length", "maxLength", "/order_id", SECRET * 20, "must have at most 128 characters"),
    ("bad_length", "minItems", "/items", [], "must have at least 1 element; found 0"),
    ("out_of_range", "exclusiveMinimum", "/items/0/quantity", 0, "must be above 0"),
    ("out_of_range", "exclusiveMinimum", "/items/0/quantity", -1, "must be above 0"),
    ("out_of_range", "minimum", "/items/0/unit_price", -0.01, "must be at least 0"),
    ("out_of_range", "maximum", "/items/0/discount", 1.5, "must be at most 1"),
    ("out_of_range", "maximum", "/items/0/line_number", 1_000_001, "must be at most 1000000"),
    ("not_an_exact_decimal", "decimal", "/items/0/unit_price", 9.99999, MONEY),
    ("not_an_exact_decimal", "decimal", "/items/0/unit_price", 10**12, MONEY),
    ("not_an_exact_decimal", "decimal", "/items/0/quantity", 0.1234, "with at most 3 decimals"),
    ("not_an_exact_decimal", "decimal", "/shipping_cost", -(10**12), MONEY),
    ("not_an_exact_decimal", "decimal", "/shipping_cost", 2**64, MONEY),
    ("not_an_exact_decimal", "decimal", "/shipping_cost", 10**30, MONEY),
    ("not_an_exact_decimal", "decimal", "/shipping_cost", 123_456_789_012.1234, MONEY),
    ("total_mismatch", "total_mismatch", "/total_amount", 1, "; found another number"),
]


@pytest.mark.parametrize(("code", "rule", "pointer", "value", "says"), BROKEN)
def test_a_record_that_violates_the_contract_is_rejected(
    code: str, rule: str, pointer: str, value: object, says: str, tmp_path: Path
) -> None:
    record = order(customer=customer(name=SECRET, phone=SECRET), order_id=SECRET)
    put(record, pointer, value)
    reject = rejected(text(record).encode(), tmp_path)
    (error, *more) = reject["errors"]
    assert reject["reason"] == error["code"]
    assert (error["code"], error["rule"], error["pointer"]) == (code, rule, pointer)
    assert error["message"].startswith(f"{pointer} ")
    assert says in error["message"]
    assert all(other["pointer"] == pointer for other in more), "the record must have one error"
    assert SECRET not in json.dumps(reject["errors"], ensure_ascii=False), "a message contains a value"
    assert reject["record"] == orjson.loads(text(record)), "the reject must carry the record"


@pytest.mark.parametrize(
    ("record", "found"),
    [("null", "null"), ("5", "a number"), ('"x"', "a string"), ("true", "true or")],
)
def test_a_record_that_is_not_an_object_is_rejected(record: str, found: str, tmp_path: Path) -> None:
    (error,) = rejected(record.encode(), tmp_path)["errors"]
    assert (error["code"], error["pointer"]) == ("wrong_type", "")
    assert error["message"].startswith(f"the record must be an object; found {found}")


def test_reasons_are_in_the_order_of_their_places_up_to_a_limit(tmp_path: Path) -> None:
    record = order()
    record["items"] = [item(line_number=number, quantity="many") for number in range(1, 40)]
    errors = rejected(text(record).encode(), tmp_path)["errors"]
    assert [error["pointer"] for error in errors] == [f"/items/{n}/quantity" for n in range(MAX_REASONS)]


@pytest.mark.parametrize("bad", [b"\x0cnull", b"null\x0b", b"\x0c{}"])
def test_whitespace_that_json_does_not_allow_is_invalid(bad: bytes, tmp_path: Path) -> None:
    assert rejected(bad, tmp_path)["reason"] == "not_json"


def test_a_long_unknown_field_name_is_truncated(tmp_path: Path) -> None:
    (error,) = rejected(text(order() | {"x" * 1_000: 1}).encode(), tmp_path)["errors"]
    assert error["pointer"] == "/" + "x" * 64


# --- the content of a reject ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kept"),
    [
        (b'{"a": 1.50, "a": "\\u00e9"}', {"record": '{"a": 1.50, "a": "\\u00e9"}'}),
        (b'{"a": 1e2}\r', {"record": '{"a": 1e2} '}),
        ('{"a": "é'.encode(), {"raw": '"{\\"a\\": \\"é"'}),
        (b'{"a": "\xe9"}', {"raw_base64": '"eyJhIjogIukifQ=="'}),
    ],
)
def test_a_reject_contains_the_original_record(bad: bytes, kept: dict[str, str], tmp_path: Path) -> None:
    validate(GOOD + bad + b"\n", tmp_path)
    (line,) = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    (name, value), *_ = kept.items()
    assert line.decode().endswith(f'"{name}":{value}}}')


def test_a_reject_has_its_batch_and_contract(tmp_path: Path) -> None:
    reject = rejected(b"{}", tmp_path)
    data = GOOD + b"{}\n" + GOOD
    assert (reject["batch_id"], reject["contract_version"]) == (batch_of(data).batch_id, 1)
    assert list(reject) == ["batch_id", "contract_version", "position", "position_kind", "reason", "errors", "record"]


def test_a_reject_of_a_pretty_printed_record_is_one_line(tmp_path: Path) -> None:
    document = json.dumps([order(), {"a": [1, "x\ny"]}], indent=2).encode()
    validate(document, tmp_path, batch_of(document, "x.json"))
    (reject,) = rejects(tmp_path)
    assert (reject["position"], reject["position_kind"], reject["record"]) == (1, "index", {"a": [1, "x\ny"]})


# --- documents: one broken record is rejected, broken structure fails -------------------------------------------------


@pytest.mark.parametrize("name", ["lone surrogate", "deep", "NaN", "oversize", "schema", "rule"])
def test_a_bad_record_in_an_array_is_rejected(name: str, tmp_path: Path) -> None:
    bad = {
        "lone surrogate": r'{"a": "\ud800"}',
        "deep": "[" * 2_000 + "]" * 2_000,
        "NaN": "[NaN]",
        "oversize": f'"{"x" * MAX_RECORD_BYTES}"',
        "schema": "{}",
        "rule": text(order(total_amount=1)),
    }[name]
    document = f"[{text(order())}, {bad}, {text(order(order_id='2'))}]".encode()
    counts = validate(document, tmp_path, batch_of(document, "x.json"))
    assert (counts["received"], counts["valid"], counts["rejected"]) == (3, 2, 1)
    assert [reject["position"] for reject in rejects(tmp_path)] == [1]


@pytest.mark.parametrize(
    ("element", "error", "says"),
    [
        (
            b'{"a": 1 2}',
            MalformedDocumentError,
            "In record 1 of the document the record is not JSON from its character 8 on",
        ),
        (b"[1}", MalformedDocumentError, "In record 1 of the document the record is not JSON"),
        (b"'x'", MalformedDocumentError, "In record 1 of the document the record is not JSON"),
        (b'"Zo\xeb"', EncodingError, "In record 1 of the document the record is not UTF-8 from its byte 3 on"),
    ],
)
def test_broken_json_in_an_array_fails_the_file(
    element: bytes, error: type[Exception], says: str, tmp_path: Path
) -> None:
    document = b"[" + orjson.dumps(order()) + b"," + element + b"]"
    with pytest.raises(error, match=says):
        validate(document, tmp_path, batch_of(document, "x.json"))


# --- the output of valid records --------------------------------------------------------------------------------------


def valid_records(folder: Path) -> list[tuple[int, bytes]]:
    """The valid records as they are passed on."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT _position FROM read_parquet('{folder}/records.parquet') WHERE _kept"
        ).fetchall()
    kept = {position for (position,) in rows}
    return [(position, record) for position, record in serialised(folder) if position in kept]


def test_a_valid_record_is_serialised_by_the_parser_that_read_it(tmp_path: Path) -> None:
    record = order(order_id="é \U0001f600")
    odd = json.dumps(record, ensure_ascii=True, separators=(" , ", " : ")).encode()
    validate(odd + b"\r\n", tmp_path)
    assert valid_records(tmp_path) == [(0, orjson.dumps(record))]


def test_every_parser_uses_the_last_of_duplicate_keys(tmp_path: Path) -> None:
    plain = text(order())
    data = b"".join(
        line.encode() + b"\n"
        for line in (
            plain.replace("{", '{"status": "lost", "order_id": "first", ', 1),  # the last is valid
            plain.replace('"status": "shipped"', '"status": "shipped", "status": "lost"'),  # the last is not
        )
    )
    counts = validate(data, tmp_path)
    assert (counts["valid"], counts["rejected_by_reason"]) == (1, {"not_an_allowed_value": 1})
    assert valid_records(tmp_path) == [
        (0, orjson.dumps(orjson.loads(plain.replace("{", '{"status": "", "order_id": "", ', 1))))
    ]


def test_rejects_for_a_character_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Such a record is accepted at first, and found when the deferred records are written."""
    bell = lines([order(order_id="bell\x07")])
    validate(bell + b"{}\n" + bell + b"broken\n" + bell, tmp_path)
    positions = [orjson.loads(line)["position"] for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert len(positions) == 5
    assert positions == sorted(positions)


def test_rejects_of_schema_and_rules_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    records = [order(total_amount=1), {}, order(), order(total_amount=2), b"broken", order(total_amount=3), order()]
    serialised_records = [record if isinstance(record, bytes) else orjson.dumps(record) for record in records]
    offsets = [sum(len(earlier) + 1 for earlier in serialised_records[:n]) for n in range(len(serialised_records))]
    counts = validate(b"\n".join(serialised_records), tmp_path)
    assert [(reject["position"], reject["reason"]) for reject in rejects(tmp_path)] == [
        (offsets[0], "total_mismatch"),
        (offsets[1], "missing_field"),
        (offsets[3], "total_mismatch"),
        (offsets[4], "not_json"),
        (offsets[5], "total_mismatch"),
    ]
    assert counts["rejected_by_reason"] == {"missing_field": 1, "not_json": 1, "total_mismatch": 3}
    assert [position for position, _ in valid_records(tmp_path)] == [offsets[2], offsets[6]]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["valid", "schema", "rule", "both rules", "broken", "blank"]), max_size=12))
def test_received_is_valid_plus_rejected(tmp_path: Path, kinds: list[str]) -> None:
    double = [item(), item()]
    made = {
        "valid": orjson.dumps(order()),
        "schema": b"{}",
        "rule": orjson.dumps(order(total_amount=0.01)),
        "both rules": orjson.dumps(order(items=double, total_amount=0)),
        "broken": b"{",
        "blank": b" ",
    }
    counts = validate(b"\n".join(made[kind] for kind in kinds), tmp_path)
    n_valid, n_blank = kinds.count("valid"), kinds.count("blank")
    assert counts["received"] == len(kinds) - n_blank == counts["valid"] + counts["rejected"]
    assert counts["valid"] == n_valid == len(valid_records(tmp_path))
    assert counts["rejected"] == sum(counts["rejected_by_reason"].values()) == len(rejects(tmp_path))
    assert Decimal(counts["control_totals"]["total_amount"]) == n_valid * total(order())


def test_control_totals_are_exact_sums_of_the_valid_records_only(tmp_path: Path) -> None:
    records = [order(shipping_cost=amount) for amount in (0.1, 0.2, 99_999_999_000.9999, -0.3)]
    counts = validate(lines([*records, order(total_amount=12)]), tmp_path)
    assert Decimal(counts["control_totals"]["total_amount"]) == sum(map(total, records))


@pytest.mark.parametrize("data", [b"", b"\n \n", b"{}\n"])
def test_control_totals_without_valid_records_are_zero(data: bytes, tmp_path: Path) -> None:
    assert Decimal(validate(data, tmp_path)["control_totals"]["total_amount"]) == 0
    assert serialised(tmp_path) == []


def test_a_control_total_is_the_same_for_a_column_and_an_expression(tmp_path: Path) -> None:
    """A column is summed directly. `lines` are 128-bit integers, which Parquet does not have."""
    derived = (*CONTRACT.derived, Derived("lines", "list_sum([item.line_number for item in items])"))
    expressions = ("total_amount", "total_amount + 0", "lines", "lines + 0", "items_total")
    totals = tuple(ControlTotal(sql, sql, "orders", "total_amount") for sql in expressions)
    contract = replace(CONTRACT, derived=derived, control_totals=totals)
    records = [order(shipping_cost=amount, order_id=str(amount)) for amount in (0.1, 0.25)]
    found = validate(lines([*records, order(total_amount=12)]), tmp_path, contract=contract)["control_totals"]
    assert {sql: Decimal(value) for sql, value in found.items()} == {
        "total_amount": sum(map(total, records)),
        "total_amount + 0": sum(map(total, records)),
        "lines": 2 * sum(one["line_number"] for one in order()["items"]),
        "lines + 0": 2 * sum(one["line_number"] for one in order()["items"]),
        "items_total": Decimal("522.2"),
    }


def test_a_rule_that_returns_null_rejects_the_record(tmp_path: Path) -> None:
    rule = Rule("has_phone", "/customer/phone", "customer.phone <> ''", "must be given")
    counts = validate(
        lines([order(customer=customer(phone=None)), order()]), tmp_path, contract=replace(CONTRACT, rules=(rule,))
    )
    assert counts["rejected_by_reason"] == {"has_phone": 1}


def test_a_contract_without_rules_and_control_totals_works(tmp_path: Path) -> None:
    counts = validate(
        lines([order(total_amount=5)]),
        tmp_path,
        contract=replace(CONTRACT, derived=(), rules=(), control_totals=(), macros="", tables=()),
    )
    assert (counts["valid"], counts["control_totals"]) == (1, {})


def test_a_repeated_step_writes_the_same_bytes(tmp_path: Path) -> None:
    data = lines([order(), {}, order(total_amount=1), order(order_id="2")])
    outputs = []
    for attempt in ("first", "second"):
        validate(data, tmp_path / attempt)
        outputs.append([(tmp_path / attempt / name).read_bytes() for name in ("records.parquet", "rejected.jsonl")])
    assert outputs[0] == outputs[1]
