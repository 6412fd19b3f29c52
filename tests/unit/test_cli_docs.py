"""docs/reference/json-output.md explains every outcome and state. The members of the JSON are generated pages."""

import re

from functions.common.batch_state import BatchState
from pipeline import ROOT
from pipeline.inspect.batch_history import model

PAGE = (ROOT / "docs" / "reference" / "json-output.md").read_text("utf-8")


def test_every_outcome_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z ]+)` \| ", PAGE, re.MULTILINE)) == set(model.Outcome)


def test_every_state_is_listed() -> None:
    states = PAGE.partition("\n## States\n")[2].partition("\n## ")[0].partition(": ")[2].partition(". ")[0]
    assert set(re.findall(r"`(\w+)`", states)) == set(BatchState)
