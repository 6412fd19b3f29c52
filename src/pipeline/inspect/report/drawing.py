"""The state machine as a drawing: boxes and lines with their coordinates; `templates/drawing.jinja` makes SVG of it.

All lengths are in SVG's user units, from the upper left corner.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.inspect.report.graph import Machine, State, Transition
from pipeline.inspect.report.layout import Layout, layout_of

_HEIGHT = 58
_NARROWEST, _WIDEST, _SIDES = 110, 190, 24
_LETTER, _SMALL_LETTER, _SIGN = 7.3, 5.8, 16
"""How wide a letter of a name is, one of what became of the state, and the sign before that."""

_LINE = 10
"""The longest name, in letters, that is not broken in two."""

_BETWEEN_ROWS, _BETWEEN_COLUMNS = 26, 14
_FRAME = 9
_MARGIN, _ABOVE = 3, 26
_CORNER = 9
_PARALLEL, _SIDE_BY_SIDE = 18, 12

Point = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """What became of a state in a run."""

    outcome: str
    """succeeded, retried, failed, stopped, running, untold or unreached: what it looks like."""
    words: str
    """The same in a few words."""


UNREACHED = Mark("unreached", "not reached")


@dataclass(frozen=True)
class Box:
    """One state; what it runs inside has boxes of its own."""

    state: State
    x: float
    y: float
    width: float
    height: float
    mark: Mark
    letters: int
    """How many there is room for in a line."""

    @property
    def label(self) -> tuple[str, ...]:
        """Its name in one line or two, or as much of it as there is room for."""
        return tuple(
            line if len(line) <= self.letters else f"{line[: self.letters - 1]}…" for line in _broken(self.state.name)
        )

    @property
    def is_frame(self) -> bool:
        return bool(self.state.machines)

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def exit(self) -> float:
        """How far down lines leave it at its sides; of a frame, at its title."""
        return self.y + _HEIGHT / 2


@dataclass(frozen=True)
class Line:
    """One transition."""

    transition: Transition
    path: str
    """In SVG's path language, to the edge of the target."""
    is_taken: bool


@dataclass
class Drawing:
    """Everything that is drawn; frames come before what is in them."""

    width: float = 0
    height: float = 0
    start: Point = (0, 0)
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


def draw(machine: Machine, marks: Mapping[str, Mark], taken: Collection[Transition] = ()) -> Drawing:
    """Draw a machine; a state without a mark was not reached, and `taken` are the transitions that a run took."""
    longest = max(len(line) for state in machine.all_states() for line in _broken(state.name))
    said = max((len(mark.words) for mark in marks.values()), default=0)
    width = min(_WIDEST, max(_NARROWEST, longest * _LETTER + _SIDES, said * _SMALL_LETTER + _SIDES + _SIGN))
    drawing = Drawing()
    pen = _Pen(drawing, width, marks, taken)
    right, bottom = pen.machine(machine, _MARGIN, _ABOVE)
    first = next(box for box in drawing.boxes if box.state is machine.states[machine.start])
    drawing.start = (first.middle, first.y)
    drawing.width, drawing.height = right + _MARGIN, bottom + _MARGIN
    return drawing


def _broken(name: str) -> tuple[str, ...]:
    """A name in one line, or, where it is long and of several words, in two of about the same length."""
    words = re.findall(r"[A-Z]?[^A-Z _-]+[ _-]?|.", name)
    if len(name) <= _LINE or len(words) == 1:
        return (name,)
    breaks = [("".join(words[:at]), "".join(words[at:])) for at in range(1, len(words))]
    return min(breaks, key=lambda lines: max(map(len, lines)))


@dataclass(frozen=True)
class _Pen:
    drawing: Drawing
    width: float
    """Of a state that is no frame."""
    marks: Mapping[str, Mark]
    taken: Collection[Transition]

    def machine(self, machine: Machine, x: float, y: float) -> Point:
        """Draw a machine from a corner on; answers the opposite corner."""
        layout = layout_of(machine)
        sizes = {state.name: self._size(state) for state in machine.states.values()}
        lefts = _starts(layout.columns, {name: size[0] for name, size in sizes.items()}, x, _BETWEEN_COLUMNS)
        tops = _starts(layout.rows, {name: size[1] for name, size in sizes.items()}, y, _BETWEEN_ROWS)
        boxes = {}
        for name, state in machine.states.items():
            column, row = layout.columns[name], layout.rows[name]
            room = lefts[column + 1] - lefts[column] - _BETWEEN_COLUMNS
            boxes[name] = self._box(state, lefts[column] + (room - sizes[name][0]) / 2, tops[row])
        lanes = [left - _BETWEEN_COLUMNS / 2 for left in lefts]
        lines = _lines(machine.transitions, layout, boxes, lanes)
        self.drawing.lines += [Line(one, path, one in self.taken) for one, path in lines]
        detours = any(not layout.goes_down(one) for one in machine.transitions)
        return lefts[-1] - _BETWEEN_COLUMNS + (_BETWEEN_COLUMNS if detours else 0), tops[-1] - _BETWEEN_ROWS

    def _size(self, state: State) -> Point:
        if not state.machines:
            return self.width, _HEIGHT
        trial = _Pen(Drawing(), self.width, {}, ())
        right, bottom = trial._inside(state, 0, 0)
        return right, bottom

    def _box(self, state: State, x: float, y: float) -> Box:
        width, height = self._size(state)
        letters = int((self.width - _SIDES) // _LETTER)
        box = Box(state, x, y, width, height, self.marks.get(state.name, UNREACHED), letters)
        self.drawing.boxes.append(box)
        self._inside(state, x, y)
        return box

    def _inside(self, state: State, x: float, y: float) -> Point:
        """Draw what a frame holds, machines side by side; answers the frame's lower right corner."""
        right, bottom = x + _FRAME, y + _HEIGHT
        for machine in state.machines:
            right, below = self.machine(machine, right, y + _HEIGHT)
            bottom = max(bottom, below)
            right += _FRAME
        return right, bottom + _FRAME if state.machines else bottom


def _starts(places: Mapping[str, int], sizes: Mapping[str, float], first: float, between: float) -> list[float]:
    """Where each column or row begins, and where another one would."""
    starts = [first]
    for place in range(max(places.values()) + 1):
        widest = max((sizes[name] for name, at in places.items() if at == place), default=0)
        starts.append(starts[-1] + widest + between)
    return starts


def _lines(
    transitions: Sequence[Transition], layout: Layout, boxes: Mapping[str, Box], lanes: Sequence[float]
) -> Iterator[tuple[Transition, str]]:
    """The path of each transition. Those of one pair of states, and those at one side, run beside each other."""
    groups: dict[tuple[str, ...], list[Transition]] = defaultdict(list)
    for one in transitions:
        groups[_group(one, layout)].append(one)
    for one in transitions:
        group = groups[_group(one, layout)]
        beside = group.index(one) - (len(group) - 1) / 2
        source, target = boxes[one.source], boxes[one.target]
        if not layout.goes_down(one):
            lane = lanes[layout.columns[one.source] + 1] + 3 * beside
            points = _around(source, target, lane, _SIDE_BY_SIDE * beside)
        elif layout.columns[one.source] == layout.columns[one.target]:
            x = source.middle + _PARALLEL * beside
            points = [(x, source.y + source.height), (x, target.y)]
        else:
            y = source.exit + _SIDE_BY_SIDE * beside
            points = [(_side(source, target.middle), y), (target.middle, y), (target.middle, target.y)]
        yield one, _path(points)


def _group(one: Transition, layout: Layout) -> tuple[str, ...]:
    """What a line has to share with others: the space between two states, or the side of one."""
    if layout.goes_down(one):
        columns = layout.columns[one.source], layout.columns[one.target]
        if columns[0] == columns[1]:
            return one.source, one.target
        return one.source, "right" if columns[1] > columns[0] else "left"
    return one.source, "right"


def _around(source: Box, target: Box, lane: float, aside: float) -> list[Point]:
    """From the right side of a box along a lane between two columns to the side of another."""
    there = target.exit + aside - _SIDE_BY_SIDE / 2
    here = source.exit + aside + _SIDE_BY_SIDE / 2
    return [(source.x + source.width, here), (lane, here), (lane, there), (_side(target, lane), there)]


def _side(box: Box, x: float) -> float:
    """The side of a box that looks at x."""
    return box.x if x < box.middle else box.x + box.width


def _path(points: Sequence[Point]) -> str:
    """A line through points, with round corners."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _toward(corner, before), _toward(corner, after)
        steps.append(f"L{enter[0]:.1f} {enter[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {leave[0]:.1f} {leave[1]:.1f}")
    return "".join([*steps, f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"])


def _toward(corner: Point, other: Point) -> Point:
    """The point where a line towards `other` leaves a round corner."""
    across, down = other[0] - corner[0], other[1] - corner[1]
    length = abs(across) + abs(down)  # lines run along one axis
    share = min(_CORNER, length / 2) / length if length else 0
    return corner[0] + across * share, corner[1] + down * share
