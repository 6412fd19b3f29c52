"""infra/ with a mocked AWS: every run of infra/tests/, and everything that must match the code and the definition."""

import ast
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from functions.common.config import Settings
from pipeline import ROOT
from pipeline.deploy import build, terraform
from tests.infra.conftest import FIRST_PLAN, PLAN_FILE, RUNS, Project, Run


@pytest.mark.parametrize("name", RUNS)
def test_run(runs: dict[str, Run], name: str) -> None:
    run = runs.get(name, Run())
    assert run.status == "pass", "\n".join([f"infra/tests/{name}: {run.status}", *run.errors])


def test_infra_is_formatted_and_valid() -> None:
    terraform.check()


def test_terraform_refuses_a_function_timeout_that_is_longer_than_its_task(make_project: Callable[[], Project]) -> None:
    project = make_project()
    definition = json.loads(project.definition.read_text())
    definition["States"]["Write"]["TimeoutSeconds"] = 909
    validate = definition["States"]["ProcessChunks"]["ItemProcessor"]["States"]["Validate"]
    validate["TimeoutSeconds"] = 910
    project.definition.write_text(json.dumps(definition))

    run = project.test(PLAN_FILE)[FIRST_PLAN]

    assert run.status == "error"
    assert "TimeoutSeconds is too short for: write." in " ".join(run.errors), run.errors


def test_the_layers_of_infra_are_those_that_the_build_creates() -> None:
    text = (terraform.INFRA / "functions.tf").read_text()
    found = re.findall(r"^    (\w+) = {\n(?:      .*\n)*?      layers += (\[.*\])", text, re.MULTILINE)
    assert {function: tuple(json.loads(layers)) for function, layers in found} == build.FUNCTIONS


def test_every_function_has_exactly_the_settings_that_its_code_reads(first_plan: Run) -> None:
    """Except for `memory_mb`, which Lambda itself sets, and `contracts`, which are packaged with the code."""
    for values in first_plan.planned("aws_lambda_function").values():
        function = values["handler"].split(".")[1]
        given = {name for name in values["environment"][0]["variables"] if not name.startswith("POWERTOOLS_")}
        folders = [ROOT / "functions" / function]
        if any("open_stored" in path.read_text() for path in folders[0].glob("*.py")):
            folders.append(ROOT / "functions" / "common" / "source")
        read = {name.upper() for folder in folders for name in settings_read_by(folder)} - {"MEMORY_MB", "CONTRACTS"}
        assert given == read, f"infra/functions.tf and the settings that functions/{function} reads differ"


def settings_read_by(folder: Path) -> set[str]:
    """The settings that a folder's code reads, through `settings()` or a parameter named `settings` or `limits`."""
    nodes = [node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    read = {
        node.attr
        for node in attributes
        if ast.unparse(node.value) in {"settings()", "settings", "self.settings", "limits"}
    }
    read |= {
        node.attr.removesuffix("_under") for node in attributes if node.attr.endswith("_under")
    }  # a contract's setting or the deployment's
    return read & {setting.name for setting in fields(Settings)}  # another variable may be called limits


def test_every_taggable_resource_has_the_tags(first_plan: Run) -> None:
    tagged = {address: values["tags"] for address, values in first_plan.planned().items() if "tags" in values}
    expected = {
        "Project": "order-pipeline",
        "Environment": "dev",
        "Deployment": "order-pipeline-dev",
        "ManagedBy": "terraform",
    }
    assert {address: tags for address, tags in tagged.items() if tags != expected} == {}
    assert len(tagged) > 15, "found no tags in the plan"
