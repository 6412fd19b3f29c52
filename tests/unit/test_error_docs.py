"""The pages about alarms and errors: one section per alarm and error, with the same three parts."""

import inspect
import json
import re

import pytest

from functions.common import errors
from functions.common.errors import PipelineError
from functions.record_failure import failure
from pipeline import ROOT

DOCS = ROOT / "docs"
ALARMS, ERRORS, AWS_ERRORS = (
    (DOCS / name).read_text("utf-8") for name in ("guides/recover.md", "reference/errors.md", "reference/aws-errors.md")
)


def sections(text: str, level: str = "##") -> dict[str, str]:
    """The sections of a page, by their headings."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


ALARM_SECTIONS = sections(sections(ALARMS)["Alarms"], "###")
ERROR_SECTIONS, AWS_SECTIONS = sections(ERRORS), sections(AWS_ERRORS)


def names(headings: dict[str, str]) -> set[str]:
    """The names in headings; one heading may have several."""
    return {name for heading in headings for name in heading.split(", ")}


def test_the_sections_are_exactly_the_errors_of_the_pipeline() -> None:
    classes = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, PipelineError)
    }
    assert names(ERROR_SECTIONS) == classes - {"PipelineError"}


def test_every_error_that_the_definition_names_has_a_section() -> None:
    definition = (ROOT / "statemachine" / "pipeline.asl.json").read_text("utf-8")
    named = {
        name for found in re.findall(r'"ErrorEquals": (\[.*?\])', definition, re.DOTALL) for name in json.loads(found)
    }
    named |= {error for error, _ in failure._CAUSES.values()} | {failure._UNKNOWN[0]}
    assert named - {"States.ALL"} <= names(ERROR_SECTIONS) | names(AWS_SECTIONS)


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        pytest.param(*one, id=one[0])
        for one in [*ALARM_SECTIONS.items(), *ERROR_SECTIONS.items(), *AWS_SECTIONS.items()]
    ],
)
def test_a_section_explains_meaning_diagnosis_and_action(heading: str, text: str) -> None:
    labels = " ".join(re.findall(r"\*\*([\w, ]+)\.\*\*", text)).lower().replace(",", "").split()
    assert labels == ["means", "look", "do"], f"{heading} says {labels}"


def test_every_error_and_alarm_is_in_the_table_at_the_top() -> None:
    for page, headings in ((ALARMS, ALARM_SECTIONS), (ERRORS, ERROR_SECTIONS)):
        linked = set(re.findall(r"\]\(#([^)]+)\)", " ".join(re.findall(r"^\| .*$", page, re.MULTILINE))))
        assert {heading.lower() for heading in headings} <= linked


def test_the_saved_queries_that_the_pages_name_exist() -> None:
    saved = re.findall(r"^    ([\w-]+) = \{$", (ROOT / "infra" / "log_queries.tf").read_text("utf-8"), re.MULTILINE)
    text = " ".join((ALARMS + ERRORS + AWS_ERRORS).split())
    named = [
        name
        for found in re.findall(r"saved log quer(?:y|ies) ((?:`[\w-]+`(?: and |, )?)+)", text)
        for name in re.findall(r"`([\w-]+)`", found)
    ]
    assert saved
    assert named
    assert set(named) <= set(saved)
