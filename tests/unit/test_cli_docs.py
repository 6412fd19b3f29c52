"""docs/cli.md says what the commands are and what their JSON holds; here it is held to that."""

import re
from dataclasses import fields
from typing import Any

import pytest

from functions.common.batch import Source
from functions.common.batch_state import BatchState
from pipeline import ROOT, cli
from pipeline.inspect import json_documents
from pipeline.inspect.batch_history import model
from pipeline.inspect.executions import Run
from pipeline.inspect.logs import LogLine

PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
OBJECTS = dict(
    re.findall(r"^\| ([a-z ]+) \| (`\w+`.*) \|$", PAGE.partition("## The shape of the JSON")[2], re.MULTILINE)
)
CLASSES: dict[str, Any] = {
    "run": Run,
    "log line": LogLine,
    "story": model.Story,
    "source": Source,
    "version": model.FileVersion,
    "revision": model.Revision,
    "heard": model.Heard,
    "queued": model.Queued,
    "execution": model.Execution,
    "step": model.Step,
    "try": model.Try,
    "chunk": model.Chunk,
    "cost": model.Cost,
    "output": model.Output,
    "action": model.Action,
    "rejects of a batch": model.BatchRejects,
    "rejects": model.Rejects,
    "group": model.RejectGroup,
    "sample": model.Reject,
    "problem": model.Problem,
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_member_of_the_json_is_documented(name: str) -> None:
    said = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", OBJECTS[name]))
    cls = CLASSES[name]
    written = {field.name for field in fields(cls)} | ({"seconds"} if hasattr(cls, "seconds") else set())
    if cls is model.Story:
        written = written - json_documents._LEFT_OUT | {"balance"}
    assert set(said) == written


def test_every_member_of_the_balance_is_documented() -> None:
    assert set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", OBJECTS["balance"]))) == set(json_documents._BALANCE)


def test_no_object_is_left_out() -> None:
    assert OBJECTS.keys() == {*CLASSES, "balance"}


def test_every_outcome_and_state_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z ]+)` \| ", PAGE, re.MULTILINE)) == set(model.Outcome)
    assert set(re.findall(r"`(\w+)`", PAGE.splitlines()[-1])) - {"state"} == set(BatchState)
    assert all(f"`{ended}`" in OBJECTS["step"] for ended in model.Ended)


def test_every_command_that_is_named_exists() -> None:
    known = {command.name for command in cli.app.registered_commands}
    assert set(re.findall(r"pipeline (\w+)", PAGE)) <= known
