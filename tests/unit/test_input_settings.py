"""The `input` section of a contract: what it says, and how it goes with the deployment's settings."""

from typing import Any

import pytest

from functions.common.config import Settings
from functions.common.input_settings import InputSettings, input_settings

DEPLOYED = Settings(unknown_fields="reject", max_reject_ratio=0.1)


def test_a_contract_without_input_has_no_envelope_and_the_deployments_settings() -> None:
    found = input_settings({})
    assert (found.records, found.record_path, found.format, found.ignore) == ("", (), "", ())
    assert (found.unknown_fields_under(DEPLOYED), found.max_reject_ratio_under(DEPLOYED)) == ("reject", 0.1)


def test_what_a_contract_sets_overrides_the_deployment() -> None:
    found = input_settings({"input": {"unknown_fields": "drop", "max_reject_ratio": 0}})
    assert (found.unknown_fields_under(DEPLOYED), found.max_reject_ratio_under(DEPLOYED)) == ("drop", 0)


@pytest.mark.parametrize(
    ("contract", "path"),
    [
        ({"envelope": "orders"}, ("orders",)),
        ({"envelope": "a/b~c"}, ("a/b~c",)),
        ({"input": {"records": "/data/orders"}}, ("data", "orders")),
        ({"input": {"records": "/a~1b~0c/"}}, ("a/b~c", "")),
    ],
)
def test_records_lead_to_the_array(contract: dict[str, Any], path: tuple[str, ...]) -> None:
    assert input_settings(contract).record_path == path


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("orders.json", None),
        ("_SUCCESS", "_*"),
        ("_temporary/0/part-0.json", "_*"),
        ("2026/.hidden.json", ".*"),
        ("2026/01/manifest-summary.json", "manifest-*.json"),
        ("manifest-1.json/part.json", "manifest-*.json"),
        ("2026/Manifest-summary.json", None),
        ("a_b/c.json", None),
    ],
)
def test_each_segment_of_a_path_is_compared_with_the_patterns(path: str, pattern: str | None) -> None:
    assert InputSettings(ignore=("manifest-*.json",)).pattern_for(path) == pattern
