"""The errors are an API: their names, when they are raised, and what a person does."""

import inspect

import pytest

from functions.common import errors
from functions.common.errors import PipelineError, next_step_for

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, PipelineError)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_an_error_is_named_explained_and_says_what_to_do(error: type[PipelineError]) -> None:
    assert error.__name__.endswith("Error")
    assert error.__doc__ is not None
    assert "\n" not in error.__doc__.strip(), "one line says when it is raised"
    assert error.next_step.endswith(".")
    assert next_step_for(error.__name__) == error.next_step


@pytest.mark.parametrize(
    "name", ["States.Runtime", "UnknownError", "KeyError", "inspect", "", "next_step_for", "PASSING"]
)
def test_an_error_that_nobody_named_has_a_next_step_too(name: str) -> None:
    assert next_step_for(name) == PipelineError.next_step
