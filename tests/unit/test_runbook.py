"""docs/runbook.md: it has a section for every error, its links lead somewhere, and its commands exist as written."""

import inspect
import json
import re
import shlex
from typing import Any

import pytest
import typer
from botocore import xform_name
from botocore.session import Session

from functions.common import errors
from functions.common.errors import PipelineError
from functions.record_failure import failure
from pipeline import ROOT
from pipeline.cli import app

TEXT = (ROOT / "docs" / "runbook.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PIPELINE: Any = typer.main.get_command(app)
HEADINGS = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
COMMANDS = sorted(
    {
        line.partition(" #")[0].strip()
        for line in [
            *re.findall(r"`([^`\n]+)`", TEXT),
            *"\n".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)).splitlines(),
        ]
        if re.match(r"(pipeline|make|aws|terraform) ", line)
    }
)
S3 = {"ls": {"--recursive"}, "cp": set()}
"""The commands of `aws s3`, which are the AWS CLI's own, with their options."""


def part(heading: str) -> str:
    """What stands under a heading of the second level."""
    found = TEXT.partition(f"\n## {heading}\n")[2]
    assert found, f"docs/runbook.md has no part {heading}"
    return found.partition("\n## ")[0]


def names_of(heading: str) -> set[str]:
    """The names that the sections of a part are about; one may be about several."""
    return {name for title in re.findall(r"^### (.+)$", part(heading), re.MULTILINE) for name in title.split(", ")}


def test_every_error_of_the_pipeline_has_a_section_and_no_section_is_of_another() -> None:
    classes = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, PipelineError)
    }
    assert names_of("Errors of the pipeline") == classes - {"PipelineError"}


def test_every_error_that_the_definition_names_has_a_section() -> None:
    definition = (ROOT / "statemachine" / "pipeline.asl.json").read_text("utf-8")
    named = {
        name for names in re.findall(r'"ErrorEquals": (\[.*?\])', definition, re.DOTALL) for name in json.loads(names)
    }
    named |= {error for error, _ in failure._CAUSES.values()} | {failure._UNKNOWN[0]}
    sections = names_of("What AWS says itself") | names_of("Errors of the pipeline")
    assert named - {"States.ALL"} <= sections


@pytest.mark.parametrize("heading", ["Alarms", "Errors of the pipeline", "What AWS says itself"])
def test_every_section_says_what_it_means_how_to_look_and_what_to_do(heading: str) -> None:
    for section in part(heading).split("\n### ")[1:]:
        title, _, text = section.partition("\n")
        said = " ".join(re.findall(r"\*\*([\w, ]+)\.\*\*", text)).lower().replace(",", "").split()
        assert said == ["means", "look", "do"], f"{title} says {said}"


def test_every_error_and_alarm_is_in_the_tables_at_the_top() -> None:
    top = TEXT.partition("\n## ")[0]
    linked = set(re.findall(r"\]\(#([^)]+)\)", top))
    expected = {
        anchor(title)
        for title in re.findall(r"^### (.+)$", part("Alarms") + part("Errors of the pipeline"), re.MULTILINE)
    }
    assert expected <= linked


def test_links_lead_to_headings() -> None:
    anchors = {anchor(heading) for heading in HEADINGS}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists_with_its_options(command: str) -> None:
    program, *words = shlex.split(command)
    {"pipeline": pipeline_takes, "make": make_takes, "aws": aws_takes, "terraform": terraform_takes}[program](words)


def pipeline_takes(words: list[str]) -> None:
    """Parse the words as the command line does."""
    name, *arguments = words
    commands = PIPELINE.commands
    assert name in commands, f"there is no pipeline {name}"
    commands[name].make_context(name, arguments)


def make_takes(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r"^(?:#   )?(\w+)(?: \?)?=", MAKEFILE, re.MULTILINE))
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert name in (variables if is_variable else targets), f"the Makefile has no {word}"


def aws_takes(words: list[str]) -> None:
    """See that service, operation and options are those of the API, whose names the AWS CLI takes over."""
    service, operation, *rest = words
    options = {word for word in rest if word.startswith("--")}
    if service == "s3":
        assert options <= S3[operation]
        return
    model = Session().get_service_model({"s3api": "s3"}.get(service, service))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations, f"{service} has no {operation}"
    shape = model.operation_model(operations[operation]).input_shape
    assert shape is not None
    assert options <= {f"--{xform_name(member, '-')}" for member in shape.members}


def terraform_takes(words: list[str]) -> None:
    assert {word for word in words if not word.startswith("-")} <= {"plan", "apply"}
    resources = re.findall(
        r'^resource "(\w+)" "(\w+)"', "".join(p.read_text() for p in ROOT.glob("infra/*.tf")), re.MULTILINE
    )
    for replaced in re.findall(r"-replace=(\w+)\.(\w+)", " ".join(words)):
        assert replaced in resources


def test_saved_queries_that_are_named_exist() -> None:
    saved = re.findall(r"^    ([\w-]+) = \{$", (ROOT / "infra" / "log_queries.tf").read_text("utf-8"), re.MULTILINE)
    named = [
        name
        for names in re.findall(r"saved log quer(?:y|ies) ((?:`[\w-]+`(?: and |, )?)+)", TEXT)
        for name in re.findall(r"`([\w-]+)`", names)
    ]
    assert saved
    assert named
    assert set(named) <= set(saved)
