"""The drawing of the state machine: it shows exactly the definition, and lists states of another one."""

import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from functions.common.execution_history.model import Ended
from pipeline.inspect.batch_history.model import BatchHistory
from pipeline.inspect.report import page
from pipeline.inspect.report.drawing import INSIDE_MAP, Transition, drawing_of
from tests.report import stories
from tests.statemachine import definition as asl

TEMPLATE = page.environment().get_template("state_machine.svg.jinja").module
BOXES: dict[str, Any] = TEMPLATE.boxes  # type: ignore[attr-defined]
LINES: dict[Transition, Any] = TEMPLATE.lines  # type: ignore[attr-defined]
NOT_DRAWN = "Not in the drawing:"


def transitions(definition: asl.Definition) -> set[Transition]:
    """Every transition of a definition, read independently of the drawing's code."""
    found = set()
    for machine in asl.machines(definition):
        for name, state in machine["States"].items():
            caught = [catcher["Next"] for catcher in state.get("Catch", ())]
            others = asl.successors({key: value for key, value in state.items() if key != "Catch"})
            found |= {(name, target, True) for target in caught} | {(name, target, False) for target in others}
    return found


def rectangle(name: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box as it is drawn."""
    kind, x, y, _ = BOXES[name]
    return (x, y, x + 138, y + 209) if kind == "Map" else (x, y, x + 126, y + 58)


def test_every_state_is_drawn_with_its_type_and_nothing_else_is() -> None:
    assert {name: box[0] for name, box in BOXES.items()} == {
        name: state["Type"] for name, state in asl.states(asl.load()).items()
    }
    assert {name: "".join(box[3]) for name, box in BOXES.items()} == {name: name for name in BOXES}


def test_every_transition_is_drawn_and_nothing_else_is() -> None:
    assert LINES.keys() == transitions(asl.load())
    assert asl.load()["StartAt"] == "PlanChunks", "the drawing's first arrow leads there"


def test_the_states_of_the_map_are_inside_it_and_no_other_boxes_overlap() -> None:
    inner = asl.load()["States"]["ProcessChunks"]["ItemProcessor"]["States"].keys()
    for one, other in combinations(BOXES, 2):
        left, top, right, bottom = rectangle(one)
        left2, top2, right2, bottom2 = rectangle(other)
        if one == "ProcessChunks" and other in inner:
            assert left < left2
            assert top < top2
            assert right2 < right
            assert bottom2 < bottom
        else:
            assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top, f"{one} overlaps {other}"


@pytest.mark.parametrize("story", [stories.published(), stories.partly_rejected(), stories.failed()])
def test_a_run_of_this_release_lists_no_other_states(story: BatchHistory) -> None:
    assert NOT_DRAWN not in page.render(story, stories.WRITTEN)


def drawn(html: str) -> tuple[set[str], set[tuple[str, str]], list[str]]:
    """The states and transitions in the drawing of a page, and the list of what is not drawn."""
    others = html.partition('<div class="others">')[2].partition("</div>")[0]
    return (
        set(re.findall(r'data-state="(\w+)"', html)),
        set(re.findall(r'data-from="(\w+)" data-to="(\w+)"', html)),
        [re.sub(r"</?bdi>", "", line) for line in re.findall(r"<li>(.*)</li>", others)],
    )


def test_states_that_only_a_fork_has_are_listed() -> None:
    html = page.render(stories.of_a_fork(), stories.WRITTEN)
    assert NOT_DRAWN in html
    assert drawn(html) == (BOXES.keys(), {(source, target) for source, target, _ in LINES}, ["Enrich: succeeded"])


def test_a_machine_without_any_state_of_this_release_is_only_listed() -> None:
    story = stories.published()
    steps = [replace(step, name=f"Old{step.name}") for step in story.executions[0].steps if step.kind != "Map"]
    story = replace(story, executions=(replace(story.executions[0], steps=tuple(steps)),))
    html = page.render(story, stories.WRITTEN)
    states, lines, others = drawn(html)
    assert (states, lines) == (set(), set())
    assert "OldWrite: succeeded" in others
    assert '<svg class="drawing"' not in html


def test_the_states_inside_the_map_are_those_of_the_definition() -> None:
    inner = asl.load()["States"]["ProcessChunks"]["ItemProcessor"]["States"]
    assert tuple(inner) == tuple(INSIDE_MAP)
    assert not any("Choices" in state or "Catch" in state for state in inner.values())


def test_a_map_that_failed_does_not_show_which_of_its_states_ran() -> None:
    execution = stories.published().executions[0]
    steps = tuple(replace(step, outcome=Ended.CAUGHT) if step.kind == "Map" else step for step in execution.steps)
    marks = drawing_of(replace(execution, steps=steps)).marks
    assert {marks[name].outcome for name in INSIDE_MAP} == {"unrecorded"}


def test_an_unreached_state_is_drawn_differently() -> None:
    html = page.render(stories.failed(), stories.WRITTEN)
    by_state = {name: look for look, name in re.findall(r'look-(\w+)(?: frame)?" data-state="(\w+)"', html)}
    assert by_state.keys() == BOXES.keys()
    assert {name for name, look in by_state.items() if look == "unreached"} == {
        *("AnyRejects", "NotifyRejects", "Published", "NoticeNotSent")
    }
