"""The errors are an API: their names, when they are raised, and what a person must do."""

import inspect
import re

import pytest

from functions.common import errors
from functions.common.errors import PipelineError, Remedy, next_step_for, remedy_for

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, PipelineError)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_each_error_has_a_name_an_explanation_and_a_next_step(error: type[PipelineError]) -> None:
    assert error.__name__.endswith("Error")
    assert error.__doc__ is not None
    assert "\n" not in error.__doc__.strip(), "its docstring must be one line that says when it is raised"
    assert error.next_step.endswith(".")
    assert next_step_for(error.__name__) == error.next_step


@pytest.mark.parametrize(
    "name", ["States.Runtime", "UnknownError", "KeyError", "inspect", "", "next_step_for", "PASSING"]
)
def test_an_unknown_error_has_a_next_step(name: str) -> None:
    assert next_step_for(name) == PipelineError.next_step


WORDS = {
    Remedy.REPLAY: "run the batch again",
    Remedy.FIX_AND_REPLAY: "run the batch again",
    Remedy.UPLOAD: "upload|send the records|split",
    Remedy.UPLOAD_OR_REPLAY: "upload.*run the batch again",
    Remedy.INVESTIGATE: "compare",
}
"""What the next step of each remedy says, as a regular expression."""


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_the_next_step_matches_the_remedy(error: type[PipelineError]) -> None:
    assert re.search(WORDS[error.remedy], error.next_step.lower())
    assert remedy_for(error.__name__) is error.remedy


def test_an_unknown_error_is_fixed_and_replayed() -> None:
    assert remedy_for("KeyError") is Remedy.FIX_AND_REPLAY


def test_a_new_class_is_found_by_its_name() -> None:
    class OfThisTestError(PipelineError):
        """Raised here only."""

        next_step = "Do nothing."
        remedy = Remedy.NOTHING

    assert (next_step_for("OfThisTestError"), remedy_for("OfThisTestError")) == ("Do nothing.", Remedy.NOTHING)
