"""Unknown fields are dropped and counted, or kept in a column, alike by the fast path and the exact validator."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.common.contract import Contract
from functions.common.reject_lines import OTHERS
from functions.common.source.raw import RawRecord
from functions.validate.record_validator import RecordValidator
from tests.unit.steps import LIMITS, publish
from tests.unit.test_unfit_records import STRING, contract_of

PART = {"type": "object", "additionalProperties": False, "properties": {"k": STRING, "j": {"type": "object"}}}
CODE = {"type": "string", "pattern": "^[A-Z]+$"}
PROPERTIES = {
    "code": CODE,
    "part": PART,
    "parts": {"type": "array", "items": PART},
    "untyped": {**PART, "minProperties": 1},
}


def contract_with(folder: Path, unknown_fields: str, **more: Any) -> Contract:
    """A contract of records with nested objects that says what happens to unknown fields."""
    return contract_of(
        folder, PROPERTIES, {}, "SELECT _position, id FROM records", optional=(*PROPERTIES,),
        input={"unknown_fields": unknown_fields}, **more,
    )  # fmt: skip


def lines(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def rows_of(result: Any) -> dict[str, Any]:
    return {row["id"]: None if row["_extra"] is None else json.loads(row["_extra"]) for row in result.rows("t")}


def drift_of(result: Any, *, dropped: bool = True) -> dict[str, int]:
    (counts,) = result.staged.counts
    return {one.field: one.records for one in counts.drift if one.dropped is dropped}


def test_kept_fields_are_in_a_column_of_the_record_table(tmp_path: Path) -> None:
    records = [
        {"id": "a"},
        {"id": "b", "more": [1, {"x": None}], "part": {"k": "k", "new": 1.5}},
        {"id": "c", "parts": [{"k": "k"}, {"q/r": True, "~": "é"}], "untyped": {"k": "k", "other": 900719925474099267}},
        {"id": "d", "more": None},
    ]
    result = publish(lines(*records), tmp_path, contract=contract_with(tmp_path, "keep"))
    assert rows_of(result) == {
        "a": None,
        "b": {"/more": [1, {"x": None}], "/part/new": 1.5},
        "c": {"/parts/1/q~1r": True, "/parts/1/~0": "é", "/untyped/other": 900719925474099267},
        "d": {"/more": None},
    }
    assert drift_of(result) == {"/more": 2, "/part/new": 1, "/untyped/other": 1, OTHERS: 1}
    assert all(one.kept for one in result.totals.drift)
    assert '""/more"":' in result.csv("t")


def test_kept_fields_with_long_names_are_all_kept(tmp_path: Path) -> None:
    """Messages shorten such names, but the column must not: shortened, these two are the same."""
    long = "n" * 80
    extra = {f"{long}1": 1, f"{long}2": 2, f"{long}/3": {"x": 3}}
    records = [{"id": "a", **extra}, {"id": "b", **extra}]  # the second is read by the fast path
    result = publish(lines(*records), tmp_path, contract=contract_with(tmp_path, "keep"))
    expected = {f"/{long}1": 1, f"/{long}2": 2, f"/{long}~13": {"x": 3}}
    assert rows_of(result) == {"a": expected, "b": expected}


def test_what_is_refused_in_a_json_column_is_refused_in_a_kept_field(tmp_path: Path) -> None:
    bad = ['"\\u0000"', "1e999", "18446744073709551616", "[" * 70 + "]" * 70, '"\\ud800"', "tru"]
    data = lines({"id": "1", "more": 1}, {"id": "2", "more": 2})
    data += b"".join(f'{{"id":"x{number}","more":{text}}}\n'.encode() for number, text in enumerate(bad))
    result = publish(data, tmp_path, contract=contract_with(tmp_path, "keep"))
    assert rows_of(result) == {"1": {"/more": 1}, "2": {"/more": 2}}
    codes = [one["reason"] for one in result.rejects()]
    expected = ["bad_format", "non_finite_number", "out_of_range", "nested_too_deeply", "lone_surrogate", "not_json"]
    assert codes == expected


def test_a_kept_field_whose_name_has_a_nul_is_refused(tmp_path: Path) -> None:
    data = lines({"id": "1", "more": 1}, {"id": "x", "a\0b": None}, {"id": "y", "part": {"\0": 1}})
    result = publish(data, tmp_path, contract=contract_with(tmp_path, "keep"))
    assert rows_of(result) == {"1": {"/more": 1}}
    assert [one["reason"] for one in result.rejects()] == ["bad_format", "bad_format"]


def test_what_is_not_json_does_not_pass_in_a_dropped_field(tmp_path: Path) -> None:
    bad = [b"1e999", b"[" * 70 + b"]" * 70, b'"\\ud800"', b"tru", b'"\xff"', b"01", b'"\x01"', b"NaN"]
    data = lines({"id": "1", "more": 1}, {"id": "2", "more": 2})
    data += b"".join(b'{"id":"x","more":' + text + b"}\n" for text in bad)
    result = publish(data, tmp_path, contract=contract_with(tmp_path, "drop"))
    assert [row["id"] for row in result.rows("t")] == ["1", "2"]
    assert result.totals.rejected == len(bad)
    assert drift_of(result) == {"/more": 2}


names = st.sampled_from(["a", "b", "new", "k", "more stuff", "é", "id", "part", "_x", '"'])
codes = st.sampled_from([{}, {"code": "A"}, {"code": "a"}])  # SQL tests the pattern
extras = st.dictionaries(names, st.sampled_from([None, 1, "s", [], {"k": {}}, 1.5]), max_size=3)
parts = st.builds(lambda known, more: {**more, **known}, st.sampled_from([{}, {"k": "v"}, {"j": {"x": 1}}]), extras)
others = st.builds(lambda one, two: one | two, st.sampled_from([{}, {"untyped": {"k": "v", "z": 1}}]), codes)
records = st.builds(
    lambda part, several, other, more: {**more, "part": part, "parts": several, **other},
    *(parts, st.lists(parts, max_size=3), others, extras),
)


@pytest.mark.parametrize("unknown_fields", ["drop", "keep"])
@settings(max_examples=12, deadline=None)
@given(st.lists(records, min_size=1, max_size=12), st.integers(0, 5))
def test_the_fast_path_counts_and_keeps_what_the_exact_validator_does(
    unknown_fields: str, tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, Any]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("t")
    contract = contract_with(folder, unknown_fields)
    found = [{**one, "id": f"{number:03}"} for number, one in enumerate(found * 3)]
    random.Random(seed).shuffle(found)
    result = publish(lines(*found), folder, contract=contract)
    exact = RecordValidator(contract, LIMITS)
    places, rejected, kept, n_valid = Counter[str](), Counter[str](), {}, 0
    for one in found:
        text = json.dumps(one).encode()
        verdict = exact.verdict(RawRecord(0, text, len(text)))
        found_in_it = {unknown.place for unknown in verdict.unknown}
        (rejected if verdict.reasons else places).update(found_in_it)
        if not verdict.reasons:
            n_valid += 1
            kept[one["id"]] = verdict.extra and json.loads(verdict.extra)
    assert drift_of(result) == places
    assert drift_of(result, dropped=False) == rejected
    assert result.totals.valid == n_valid
    if unknown_fields == "keep":
        assert rows_of(result) == kept


def test_a_learned_name_is_not_validated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated = list[RawRecord]()
    verdict = RecordValidator.verdict

    def counting(validator: RecordValidator, raw: RawRecord) -> Any:
        validated.append(raw)
        return verdict(validator, raw)

    monkeypatch.setattr(RecordValidator, "verdict", counting)
    found = [{"id": f"{n:04}", "more": n, "parts": [{"new": n}] * (n % 3)} for n in range(1000)]
    result = publish(lines(*found), tmp_path, contract=contract_with(tmp_path, "drop"))
    assert drift_of(result) == {"/more": 1000, "/parts/*/new": sum(n % 3 > 0 for n in range(1000))}
    assert len(validated) == 2
