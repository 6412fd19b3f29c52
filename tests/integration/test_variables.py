"""The defaults of infra's variables, which Terraform evaluates and infra/defaults.json keeps."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.contract import rules
from pipeline.deploy import environments, variables
from pipeline.errors import CliError


@pytest.fixture
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a copy of infra's variables, without a defaults.json."""
    declared = tmp_path / "variables.tf"
    declared.write_bytes(variables.DECLARED.read_bytes())
    monkeypatch.setattr(variables, "DECLARED", declared)
    monkeypatch.setattr(variables, "KEPT", tmp_path / "defaults.json")
    variables._defaults.cache_clear()
    yield tmp_path
    variables._defaults.cache_clear()


def test_defaults_json_matches_variables_tf() -> None:
    variables.check()


def test_the_cli_has_the_same_defaults() -> None:
    found = variables.defaults()
    assert (*(found["project"], found["region"], found["environment"]),) == (
        environments.DEFAULT_PROJECT,
        environments.DEFAULT_REGION,
        environments.DEFAULT_NAME,
    )
    assert set(rules.SETTINGS) <= found.keys()


def test_stored_defaults_need_no_terraform(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables.write()
    monkeypatch.setenv("PATH", "")
    assert variables.defaults()["chunk_bytes"] == "67108864"
    assert variables.defaults()["memory_mb"]["starter"] == "256"


def test_changed_defaults_are_evaluated_again(infra: Path) -> None:
    variables.write()
    assert variables.defaults()["chunk_bytes"] == "67108864"
    text = variables.DECLARED.read_text()
    variables.DECLARED.write_text(text.replace("67108864 # 64 MiB", "33554432 /* 32 MiB */"))
    assert variables.defaults()["chunk_bytes"] == "33554432"
    with pytest.raises(CliError, match=r"defaults\.json does not match") as refused:
        variables.check()
    assert "make fmt" in refused.value.next_step
    variables.write()
    variables.check()
    assert json.loads(variables.KEPT.read_text())["defaults"]["chunk_bytes"] == 33554432


def test_a_variable_can_have_any_form_that_terraform_accepts(infra: Path) -> None:
    with variables.DECLARED.open("a") as file:
        file.write('\n/* variable "not_one" {} */\nvariable more { default = { "a" = [1, "x"] } }\n')
    found = variables.defaults()
    assert found["more"] == {"a": ["1", "x"]}
    assert "not_one" not in found


def test_settings_of_the_shell_do_not_change_the_defaults(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TF_VAR_chunk_bytes": "5242880", "TF_WORKSPACE": "x", "TF_CLI_ARGS_plan": "-nonsense"}.items():
        monkeypatch.setenv(name, value)
    assert variables.defaults()["chunk_bytes"] == "67108864"
