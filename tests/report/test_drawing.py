"""The drawing of the state machine: everything in a definition is drawn, and nothing stands on anything else."""

import re
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inspect.report.drawing import Box, Drawing, Mark, draw
from pipeline.inspect.report.graph import machine_of
from tests.statemachine import definition as asl

PASS: dict[str, Any] = {"Type": "Pass"}


def drawn(definition: asl.Definition) -> Drawing:
    return draw(machine_of(definition), {})


def transitions(definition: asl.Definition) -> list[tuple[str, str]]:
    """Every transition of a definition, Catch and Choice included, by another reading than the drawing's."""
    return sorted(
        (name, target)
        for machine in asl.machines(definition)
        for name, state in machine["States"].items()
        for target in asl.successors(state)
    )


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def contains(one: Box, other: Box) -> bool:
    return (
        one.x < other.x
        and one.y < other.y
        and other.x + other.width < one.x + one.width
        and other.y + other.height < one.y + one.height
    )


def inside(box: Box) -> set[str]:
    return {state.name for machine in box.state.machines for state in machine.all_states()}


def points(path: str) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check(definition: asl.Definition) -> Drawing:
    """See that a drawing shows a definition, all of it and nothing else, within its borders and without overlaps."""
    drawing = drawn(definition)
    boxes = {box.state.name: box for box in drawing.boxes}
    assert len(boxes) == len(drawing.boxes)
    assert boxes.keys() == asl.states(definition).keys()
    lines = [(line.transition.source, line.transition.target) for line in drawing.lines]
    assert sorted(lines) == transitions(definition)
    for one, other in combinations(drawing.boxes, 2):
        if other.state.name in inside(one):
            assert contains(one, other), f"{other.state.name} sticks out of {one.state.name}"
        elif one.state.name not in inside(other):
            assert not overlap(one, other), f"{one.state.name} stands on {other.state.name}"
    for line in drawing.lines:
        target = boxes[line.transition.target]
        x, y = points(line.path)[-1]
        assert target.x <= x <= target.x + target.width
        assert target.y <= y <= target.y + target.height, f"a line misses {target.state.name}"
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points(line.path)), line
    return drawing


def test_our_definition_is_drawn_whole() -> None:
    drawing = check(asl.load())
    kinds = {(line.transition.source, line.transition.target, line.transition.kind) for line in drawing.lines}
    assert {
        ("Write", "DescribeFailure", "catch"),
        ("RecordFailure", "NotifyFailure", "catch"),
        ("RecordFailure", "NotifyFailure", "next"),
        ("AnyRejects", "NotifyRejects", "choice"),
        ("AnyRejects", "Published", "default"),
        ("Validate", "Transform", "next"),
    } <= kinds


def test_no_line_of_our_definition_runs_through_a_state() -> None:
    drawing = drawn(asl.load())
    for line in drawing.lines:
        ends = {line.transition.source, line.transition.target}
        around = {box.state.name for box in drawing.boxes if box.is_frame and ends & inside(box)}
        corners = points(line.path)
        for box in drawing.boxes:
            if box.state.name in ends | around or any(
                box.state.name in inside(b) for b in drawing.boxes if b.state.name in ends
            ):
                continue
            for (x1, y1), (x2, y2) in pairwise(corners):
                apart = (
                    max(x1, x2) <= box.x
                    or min(x1, x2) >= box.x + box.width
                    or max(y1, y2) <= box.y
                    or min(y1, y2) >= box.y + box.height
                )
                assert apart, f"{line.transition} runs through {box.state.name}"


def test_a_good_run_goes_straight_down_and_what_fails_stands_aside() -> None:
    boxes = {box.state.name: box for box in drawn(asl.load()).boxes}
    straight = [boxes[name] for name in ("PlanChunks", "ProcessChunks", "Write", "AnyRejects", "Published")]
    assert len({round(box.middle, 3) for box in straight}) == 1
    assert [box.y for box in straight] == sorted(box.y for box in straight)
    aside = [boxes[name] for name in ("DescribeFailure", "RecordFailure", "NotifyFailure", "Failed")]
    assert min(box.x for box in aside) > max(box.x + box.width for box in straight)


def machine(**states: dict[str, Any]) -> asl.Definition:
    return {"StartAt": next(iter(states)), "States": states}


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(machine(A={**PASS, "End": True}), id="one state"),
        pytest.param(
            machine(
                Ask={"Type": "Task", "Next": "Done"},
                Done={
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Wait"}],
                    "Default": "End",
                },
                Wait={"Type": "Wait", "Next": "Ask"},
                End={"Type": "Succeed"},
            ),
            id="a loop",
        ),
        pytest.param(
            machine(
                A={
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.a", "StringEquals": "x", "Next": "C"}],
                    "Default": "B",
                },
                B={**PASS, "Next": "C"},
                C={**PASS, "Next": "D"},
                D={"Type": "Task", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D2"}], "End": True},
                D2={"Type": "Fail"},
            ),
            id="a state that is passed over",
        ),
        pytest.param(
            machine(
                Both={
                    "Type": "Parallel",
                    "Branches": [
                        machine(L={**PASS, "Next": "M"}, M={**PASS, "End": True}),
                        machine(R={"Type": "Succeed"}),
                    ],
                    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "No"}],
                    "Next": "Inner",
                },
                Inner={
                    "Type": "Map",
                    "ItemProcessor": machine(
                        Deep={"Type": "Map", "Iterator": machine(X={**PASS, "End": True}), "End": True}
                    ),
                    "End": True,
                },
                No={"Type": "Fail"},
            ),
            id="machines side by side and in each other",
        ),
        pytest.param(machine(A={**PASS, "End": True}, Never={**PASS, "Next": "A"}), id="a state that nothing leads to"),
    ],
)
def test_other_shapes_are_drawn_too(definition: asl.Definition) -> None:
    if "Inner" in definition["States"]:  # the tests' own reading of definitions knows no Parallel
        boxes = {box.state.name: box for box in drawn(definition).boxes}
        assert boxes.keys() == {"Both", "L", "M", "R", "Inner", "Deep", "X", "No"}
        assert contains(boxes["Both"], boxes["R"])
        assert contains(boxes["Inner"], boxes["Deep"])
        assert contains(boxes["Deep"], boxes["X"])
        assert not overlap(boxes["L"], boxes["R"])
        return
    check(definition)


@st.composite
def machines(draw_value: st.DrawFn) -> asl.Definition:
    """Machines of any shape: each state may lead anywhere, in one way or several."""
    names = [f"S{number}" for number in range(draw_value(st.integers(1, 9)))]
    targets = st.sampled_from(names)
    states: dict[str, Any] = {}
    for name in names:
        kind = draw_value(st.sampled_from(["Task", "Choice", "Succeed"]))
        states[name] = {"Type": kind}
        if kind == "Task":
            states[name] |= {"Next": draw_value(targets)}
            caught = draw_value(st.lists(targets, max_size=2))
            states[name] |= {"Catch": [{"ErrorEquals": ["E"], "Next": target} for target in caught]}
        elif kind == "Choice":
            rules = draw_value(st.lists(targets, min_size=1, max_size=3))
            states[name] |= {"Choices": [{"Variable": "$.x", "IsNull": True, "Next": target} for target in rules]}
            states[name] |= {"Default": draw_value(targets)}
    return {"StartAt": names[0], "States": states}


@settings(max_examples=150, deadline=None)
@given(machines())
def test_whatever_a_definition_is_like_all_of_it_is_drawn(definition: asl.Definition) -> None:
    check(definition)


def test_a_state_without_a_mark_was_not_reached() -> None:
    marks = {"Write": Mark("failed", "failed, 7 tries")}
    outcomes = {box.state.name: box.mark.outcome for box in draw(machine_of(asl.load()), marks).boxes}
    assert outcomes.pop("Write") == "failed"
    assert set(outcomes.values()) == {"unreached"}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"Variable": "$.written.rejected", "NumericGreaterThan": 0}, "if written.rejected greater than 0"),
        ({"Not": {"Variable": "$.a", "IsPresent": True}}, "if not (a is present True)"),
        ({"And": [{"Variable": "$.a", "StringEquals": "x"}] * 2}, "if (a equals x) and (a equals x)"),
        ({"Condition": "{% $a > 1 %}"}, "if {% $a > 1 %}"),
    ],
)
def test_a_choice_is_said_in_words(rule: dict[str, Any], words: str) -> None:
    states = {"A": {"Type": "Choice", "Choices": [{**rule, "Next": "B"}]}, "B": {"Type": "Succeed"}}
    [transition] = machine_of({"StartAt": "A", "States": states}).transitions
    assert transition.condition == words
