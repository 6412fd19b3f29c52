"""A States Language linter on the rendered definition: it finds errors that no engine reports."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from statelint.linter import Linter

from tests.statemachine import definition as asl

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:x:1"


def rendered() -> Any:
    return asl.render({**dict.fromkeys(asl.placeholders(asl.PATH.read_text("utf-8")), ARN), "partition": "aws"})


def test_the_linter_finds_nothing() -> None:
    assert Linter.validate(rendered()) == []


def write(definition: Any) -> Any:
    return definition["States"]["Write"]


def misspell(definition: Any) -> None:
    write(definition)["TimeoutSecond"] = write(definition).pop("TimeoutSeconds")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (misspell, "TimeoutSecond"),
        (lambda it: write(it).update(Next="Nowhere"), 'No state found named "Nowhere"'),
        (lambda it: write(it).update(End=True), "Next"),
        (lambda it: it["States"].update(Lonely={"Type": "Pass", "End": True}), "No transition found"),
        (lambda it: write(it)["Retry"][0].update(JitterStrategy="HALF"), "JitterStrategy"),
        (lambda it: write(it)["Retry"][0].update(BackoffRate=0.5), "BackoffRate"),
        (lambda it: write(it)["Catch"][0].update(ErrorEquals=["States.ALL", "X"]), "States.ALL"),
        (lambda it: write(it)["Parameters"].update({"Payload.$": "batch"}), "not a JSONPath"),
        (lambda it: write(it).update(Arguments={}), "Arguments"),  # these belong to the other query language
        (lambda it: it["States"]["ProcessChunks"].update(ItemsPath="$.chunks["), "ItemsPath"),
        (
            lambda it: it["States"]["PlanChunks"]["Parameters"].update({"chunks.$": "States.ArrayRang(0, 1, 1)"}),
            "intrinsic function",
        ),
        (lambda it: it["States"]["AnyRejects"]["Choices"][0].update(NumericLessThan=3), "may have only one of"),
        (lambda it: it["States"]["Failed"].update(Error="x"), "may have only one of"),
    ],
)
def test_the_linter_finds_faults_in_a_broken_definition(spoil: Callable[[Any], object], complaint: str) -> None:
    definition = json.loads(json.dumps(rendered()))
    spoil(definition)
    assert complaint in "\n".join(Linter.validate(definition))
