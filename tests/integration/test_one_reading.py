"""For any spelling of a record, the staged record is what the validator's parser read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from functions.validate.fast_decoder import fast_decoder_of
from tests.unit.orders import contract_of_records, customer, item, lines, order, valid_orders
from tests.unit.steps import batch_of, validate

BLANKS = st.sampled_from(["", "", " ", "\t", "  ", "\r"])


def rows(data: bytes, folder: Path, name: str = "x.jsonl") -> list[Any]:
    """The staged records of a file, typed, without their positions."""
    validate(data, folder, batch_of(data, name))
    with duckdb.connect() as connection:
        staged = f"SELECT * EXCLUDE (_position) FROM read_parquet('{folder}/records.parquet') ORDER BY _position"
        return connection.execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({staged})").fetchall()


def as_parsed(records: Sequence[bytes]) -> bytes:
    return b"".join(orjson.dumps(orjson.loads(record)) + b"\n" for record in records)


@st.composite
def spelled(draw: st.DrawFn, value: Any, other: Any, blanks: st.SearchStrategy[str] = BLANKS) -> str:
    """JSON for `value`, in one of many spellings. Some members occur twice, first with their value in `other`."""
    if isinstance(value, dict):
        members = []
        for name, inner in value.items():
            of_other = other[name] if isinstance(other, dict) and name in other else inner
            occurrences = [of_other] * draw(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1])) + [inner]
            for each in occurrences:
                text = draw(spelled(each, of_other, blanks))
                members.append(f"{draw(blanks)}{draw(spelled(name, None))}{draw(blanks)}:{draw(blanks)}{text}")
        return f"{{{draw(blanks).join([','.join(members), ''])}}}"
    if isinstance(value, list):
        return f"[{draw(blanks)}{','.join(draw(spelled(inner, other, blanks)) for inner in value)}{draw(blanks)}]"
    if isinstance(value, str):
        return draw(st.sampled_from([json.dumps(value), json.dumps(value, ensure_ascii=False), _all_escaped(value)]))
    if isinstance(value, float):
        return draw(st.sampled_from([repr(value), f"{value:.16e}", f"{value!r}0" if "e" not in repr(value) else "0.0"]))
    return json.dumps(value)


def _all_escaped(text: str) -> str:
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + '"'


@settings(max_examples=15, phases=[Phase.generate])
@given(st.data(), st.lists(valid_orders(), min_size=1, max_size=4), st.booleans())
def test_every_spelling_of_an_order_is_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, orders: list[Any], is_document: bool
) -> None:
    folder = tmp_path_factory.mktemp("spelled")
    blanks = BLANKS | st.just("\n") if is_document else BLANKS
    records = [data.draw(spelled(one, orders[0], blanks)).encode() for one in orders]
    expected = rows(as_parsed(records), folder / "parsed")
    whole, name = (b"[" + b",".join(records) + b"]", "x.json") if is_document else (b"\n".join(records), "x.jsonl")
    assert rows(whole, folder / "spelled", name) == expected


PLACES = {
    "the record": order(order_id="1"),
    "an object in it": order(customer=customer(name="2")),
    "an object in that": order(customer=customer(address={**customer()["address"], "city": "3"})),
    "an element": order(items=[item(product_name="4")]),
    "a number": order(shipping_cost=32.38),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_the_last_of_repeated_names_is_used_at_any_place(place: str, first: bool, tmp_path: Path) -> None:
    names = {"1": "order_id", "2": "name", "3": "city", "4": "product_name", "32.38": "shipping_cost"}
    plain = orjson.dumps(PLACES[place]).decode()
    sign = next(sign for sign in names if f'"{names[sign]}":"{sign}"' in plain or place == "a number")
    sign = "32.38" if place == "a number" else sign
    member = f'"{names[sign]}":{json.dumps(sign) if place != "a number" else sign}'
    again = member.replace(sign, "7")
    both = f"{again},{member}" if first else f"{member},{again}"
    record = plain.replace(member, both).encode()
    assert record != plain.encode()
    assert rows(lines([order()]) + record, tmp_path / "came") == rows(
        as_parsed([*lines([order()]).splitlines(), record]), tmp_path / "parsed"
    )


@pytest.mark.parametrize(
    ("together", "passes"),
    [
        ([b'{"x":"a"}', b'{"x":"b"}'], True),
        ([b'{"x":"a"}', b'{"x":1}'], False),
        ([b'{"x":"a"}{"x":"b"}'], False),
        ([b'{"x":"a"}{"x":"b"}', b'{"x":', b'"c"}'], False),
        ([b'{"x":"a"} {"x":"b"}', b'{"x":"}', b'{"}'], False),
        ([b'{"x":"a"},{"x":"b"}'], False),
        ([b'{"x":"a"}', b""], False),
        ([b'[{"x":"a"}', b'{"x":"b"}]'], False),
    ],
)
def test_records_are_read_together_only_if_each_is_one_json_value(together: list[bytes], passes: bool) -> None:
    record = {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "string"}}}
    fast_decoder = fast_decoder_of(contract_of_records(record).current)
    assert fast_decoder
    assert (fast_decoder.read(together) is not None) is passes
