"""The settings: typed, read in one place, and refused with the name of their variable."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from functions.common.config import CONTRACTS, Settings, settings
from functions.common.errors import ConfigurationError
from pipeline import ROOT
from tests.environment import ENVIRONMENT

NUMBERS = {
    "chunk_bytes": "CHUNK_BYTES",
    "max_object_bytes": "MAX_OBJECT_BYTES",
    "max_inflated_bytes": "MAX_INFLATED_BYTES",
    "max_inflation_ratio": "MAX_INFLATION_RATIO",
    "max_record_bytes": "MAX_RECORD_BYTES",
    "max_nesting": "MAX_NESTING",
    "max_reject_bytes": "MAX_REJECT_BYTES",
    "memory_mb": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
}
NAMES = {
    "ingest_bucket": "INGEST_BUCKET",
    "record_failure_arn": "RECORD_FAILURE_ARN",
    "release": "RELEASE",
    "processed_bucket": "PROCESSED_BUCKET",
    "state_machine_arn": "STATE_MACHINE_ARN",
    "topic_arn": "TOPIC_ARN",
    "unknown_fields": "UNKNOWN_FIELDS",
}
ALL = {**NUMBERS, **NAMES, "max_reject_ratio": "MAX_REJECT_RATIO", "deployment": "DEPLOYMENT"}
SET_BY_LAMBDA = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ALL.values():
        monkeypatch.setenv(name, ENVIRONMENT[name])
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_every_setting_has_a_test_value() -> None:
    assert {*ALL, "contracts"} == {setting.name for setting in fields(Settings)}


def test_contracts_are_read_from_the_package_or_from_contracts_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().contracts == CONTRACTS
    settings.cache_clear()
    monkeypatch.setenv("CONTRACTS", "others")
    assert settings().contracts == Path("others")


@pytest.mark.parametrize("setting", ALL)
def test_a_setting_has_its_type(setting: str) -> None:
    read: Any = int if setting in NUMBERS else str if setting in NAMES else json.loads
    value, expected = getattr(settings(), setting), read(ENVIRONMENT[ALL[setting]])
    assert type(value) is type(expected)
    assert value == expected


@pytest.mark.parametrize("setting", ALL)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_reported_by_name(
    setting: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(ALL[setting])
    else:
        monkeypatch.setenv(ALL[setting], value)
    with pytest.raises(ConfigurationError, match=f"variable {ALL[setting]} is not set. Terraform sets it in"):
        getattr(settings(), setting)


@pytest.mark.parametrize("setting", NUMBERS)
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "1e6", "many", " 5", "²", "٣"])
def test_a_setting_that_is_not_a_number_is_refused(setting: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALL[setting], value)
    with pytest.raises(ConfigurationError, match=f"{ALL[setting]} must be a whole number greater than 0"):
        getattr(settings(), setting)


@pytest.mark.parametrize(("value", "taken"), [("1", True), ("250", True), ("251", False), ("9" * 30, False)])
def test_a_nesting_limit_above_that_of_the_parsers_is_refused(
    value: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_NESTING", value)
    if taken:
        assert settings().max_nesting == int(value)
    else:
        with pytest.raises(
            ConfigurationError, match="MAX_NESTING must be a whole number greater than 0 and at most 250"
        ):
            _ = settings().max_nesting


@pytest.mark.parametrize("value", ["0", "0.0", "0.29", "1", "1.0", "5e-2"])
def test_a_ratio_from_0_to_1_is_accepted(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_REJECT_RATIO", value)
    assert settings().max_reject_ratio == float(value)


@pytest.mark.parametrize("value", ["-0.1", "1.01", "10%", "nan", "inf", "none"])
def test_a_ratio_outside_of_0_to_1_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_REJECT_RATIO", value)
    with pytest.raises(ConfigurationError, match="MAX_REJECT_RATIO must be a number from 0 to 1"):
        _ = settings().max_reject_ratio


def test_a_deployment_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYMENT", "{")
    with pytest.raises(ConfigurationError, match="DEPLOYMENT must be JSON"):
        _ = settings().deployment


def test_an_unused_setting_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALL.values():
        monkeypatch.delenv(name)
    settings()


def test_a_setting_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings().chunk_bytes
    monkeypatch.setenv("CHUNK_BYTES", "7")
    assert settings().chunk_bytes == before


def test_terraform_sets_every_variable() -> None:
    terraform = (ROOT / "infra" / "functions.tf").read_text("utf-8")
    missing = {name for name in ALL.values() if name not in terraform} - SET_BY_LAMBDA
    assert not missing, f"set {sorted(missing)} in infra/functions.tf"
