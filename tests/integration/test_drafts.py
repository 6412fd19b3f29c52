"""A contract that was drafted from a sample is sound and publishes every record, with the values of the sample."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.common.contract import load_contract
from pipeline.contract.check import check
from pipeline.contract.dry_run import settings_of
from pipeline.contract.rules import rules_here
from pipeline.draft.drafting import Draft
from pipeline.draft.sample import read_sample
from pipeline.draft.sample_files import SampleFile
from pipeline.draft.trial import Trial, draft_and_try
from pipeline.errors import CliError
from tests.integration.draft_samples import SAMPLES
from tests.integration.flattening import assert_same, records_at


def drafted(folder: Path, text: str, name: str = "sample.jsonl") -> tuple[Draft, Trial]:
    """Draft a contract for the dataset `data` into `folder`/contracts, and the tables into `folder`."""
    path = folder / name
    path.write_text(text, "utf-8")
    rules = rules_here()
    sample = read_sample([SampleFile(path, name)], [], settings_of(rules), lambda _n_bytes: None)
    load_contract.cache_clear()
    return draft_and_try(sample, "data", rules, folder, lambda _file, _at: None)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_value_of_a_sample_is_published(name: str, tmp_path: Path) -> None:
    draft, trial = drafted(tmp_path, SAMPLES[name], name)
    records = records_at(draft.sample.place.pointer, SAMPLES[name])
    assert (trial.received, trial.published, trial.rejected) == (len(records), len(records), 0), trial.examples
    assert check(tmp_path / "contracts" / "data") == []
    assert_same(tmp_path / "contracts" / "data", tmp_path, records)
    assert len(draft.questions) <= max(1, draft.plan.fields * 5 // 100)


@pytest.mark.parametrize("name", ["orders.jsonl", "github.json", "maps.jsonl"])
def test_the_same_sample_gives_the_same_files(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, _ = drafted(tmp_path / "a", SAMPLES[name], name)
    second, _ = drafted(tmp_path / "b", SAMPLES[name], name)
    assert first.files == second.files


@pytest.mark.parametrize("name", ["orders.jsonl", "three_levels.json"])
def test_a_draft_with_a_fault_is_repeated_with_fewer_claims(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter([["a fault"], []])
    monkeypatch.setattr("pipeline.draft.trial.check", lambda _folder: next(outcomes))
    draft, trial = drafted(tmp_path, SAMPLES[name], name)
    assert draft.plan.record_table.key == ["record_id"]
    assert "customers" not in trial.rows
    assert check(tmp_path / "contracts" / "data") == []
    records = records_at("", SAMPLES[name])
    assert trial.published == len(records)
    assert_same(tmp_path / "contracts" / "data", tmp_path, records)


def test_no_value_of_the_sample_is_in_the_contract(tmp_path: Path) -> None:
    secrets = ["Marla Quibble", "marla@example.com", "+49 30 1234567", "Linden Street 5", "7319042"]
    records = [
        {"id": number, "name": secrets[0], "email": secrets[1], "phone": secrets[2], "address": {"street": secrets[3]}}
        | {"pin": int(secrets[4])}
        for number in range(50)
    ]
    draft, _ = drafted(tmp_path, "".join(json.dumps(record) + "\n" for record in records))
    written = [path.read_text("utf-8") for path in (tmp_path / "contracts" / "data").iterdir()]
    assert not [secret for secret in secrets for text in written if secret in text]
    assert draft.personal == ["data.name", "data.email", "data.phone", "data.address_street"]


_NAMES = st.one_of(
    st.sampled_from(["id", "ID", "name", "at", "date", "items", "a_b", "a-b", "records", "_position", "order", "type"]),
    st.text(max_size=4),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.5, 19.99, 1e300, -0.0]),
    st.text(max_size=6),
    st.sampled_from(["2026-01-31", "2026-02-30", "2026-01-31T08:00:00Z", "1.50", "", "x@example.com"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_RECORDS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=5), min_size=1, max_size=5)


def _has_a_value(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_a_value, value.values()))
    return value not in (None, [])


@pytest.mark.long  # finds rare samples that fail: names with only digits, integers beyond 64 bits in arrays
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=_RECORDS)
def test_any_objects_give_a_sound_draft_that_publishes_them(
    records: Sequence[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = "".join(json.dumps(record) + "\n" for record in records)
    if not any(map(_has_a_value, (value for record in records for value in record.values()))):
        with pytest.raises(CliError, match="no field with a value"):
            drafted(folder, text)
        return
    try:
        draft, trial = drafted(folder, text)
    except CliError:  # all values are in members that can't have a column
        assert not any(name.isalnum() and name.isascii() for record in records for name in record)
        return
    assert check(folder / "contracts" / "data") == [], draft.files["contract.json"]
    if "\\u0000" in text or "\\ud" in text:  # no table can hold these characters, so their records are rejected
        assert not trial.is_misfit, trial.failures
    else:
        assert (trial.received, trial.published) == (len(records), len(records)), (trial.examples, trial.failures)
