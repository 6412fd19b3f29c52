"""Where the states of a machine stand in a drawing: in rows, by how far they are from the start, and in columns.

The way that a good run takes goes straight down the first column. What leaves it stands to the right, in the nearest
column where neither it nor the line to it is in another's way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.inspect.report.graph import CATCH, CHOICE, DEFAULT, NEXT, Machine, Transition

Cell = tuple[int, int]
"""Column and row."""

_PREFERENCE = {NEXT: 0, DEFAULT: 1, CHOICE: 2, CATCH: 3}


@dataclass
class Layout:
    """The cell of each state, and the cells that lines need."""

    rows: Mapping[str, int]
    columns: dict[str, int] = field(default_factory=dict)
    _boxes: dict[Cell, str] = field(default_factory=dict)
    _trunks: dict[Cell, str] = field(default_factory=dict)
    """Cells that lines go down through, and to which state: lines to one state share a trunk."""
    _crossed: dict[Cell, str] = field(default_factory=dict)
    """Cells that lines go across, from a state to a trunk, and to which state."""

    def goes_down(self, transition: Transition) -> bool:
        """Whether nothing is in the way of a line that goes to its target's column, and down from there."""
        source, target = transition.source, transition.target
        row, column = self.rows[source], self.columns[target]
        if self.rows[target] <= row:
            return False
        first = row + 1 if self.columns[source] == column else row
        down = [(column, below) for below in range(first, self.rows[target])]
        left, right = sorted((self.columns[source], column))
        across = [(between, row) for between in range(left + 1, right)]
        return all(cell not in self._boxes and self._trunks.get(cell, target) == target for cell in down) and not any(
            cell in self._boxes for cell in across
        )

    def place(self, chain: Iterable[str], column: int, transitions: Iterable[Transition]) -> None:
        """Put states below each other into `column`, or the nearest to its right where they and their lines fit."""
        chain, transitions = list(chain), list(transitions)
        arriving = [one for one in transitions if one.target in chain and one.source in self.columns]
        last = max((other for other in self.columns.values()), default=-1) + 1
        while column < last and not self._fits(chain, column, arriving):
            column += 1
        for name in chain:
            self.columns[name] = column
            self._boxes[column, self.rows[name]] = name
        for one in transitions:
            if one.target in chain and self.rows[one.source] < self.rows[one.target]:
                self._reserve(one)

    def _fits(self, chain: list[str], column: int, arriving: list[Transition]) -> bool:
        for name in chain:
            cell = (column, self.rows[name])
            others = {self._trunks.get(cell, name), self._crossed.get(cell, name)}
            if cell in self._boxes or others != {name}:
                return False
        self.columns |= dict.fromkeys(chain, column)
        fits = all(self.goes_down(one) for one in arriving if self.rows[one.source] < self.rows[one.target])
        for name in chain:
            del self.columns[name]
        return fits

    def _reserve(self, one: Transition) -> None:
        row, column = self.rows[one.source], self.columns[one.target]
        for below in range(row, self.rows[one.target]):
            if (column, below) not in self._boxes:
                self._trunks.setdefault((column, below), one.target)
        if one.source in self.columns:
            left, right = sorted((self.columns[one.source], column))
            for between in range(left + 1, right):
                self._crossed.setdefault((between, row), one.target)


def layout_of(machine: Machine) -> Layout:
    """The place of every state of a machine; what is inside a Map or a Parallel has a layout of its own."""
    ways = sorted(machine.transitions, key=lambda one: _PREFERENCE[one.kind])
    leaving: dict[str, list[str]] = {name: [] for name in machine.states}
    for way in ways:
        if way.target not in leaving[way.source]:
            leaving[way.source].append(way.target)
    layout = Layout(_rows(machine, leaving))
    caught = {(way.source, way.target) for way in ways if way.kind == CATCH}
    for start in (machine.start, *machine.states):  # a state that nothing leads to is drawn too
        if start not in layout.columns:
            _place_branch(start, 0, layout, leaving, caught, ways)
    return layout


def _place_branch(
    start: str,
    column: int,
    layout: Layout,
    leaving: Mapping[str, list[str]],
    caught: set[tuple[str, str]],
    ways: list[Transition],
) -> None:
    """Place a state and those that follow it when all goes well; then, from the last on, what branches off there."""
    chain = [start]
    while True:
        last = chain[-1]
        follows = next((name for name in leaving[last] if layout.rows[name] > layout.rows[last]), None)
        if follows is None or follows in layout.columns or (last, follows) in caught:
            break
        chain.append(follows)
    layout.place(chain, column, ways)
    for name in reversed(chain):
        for branch in leaving[name]:
            if branch not in layout.columns:
                _place_branch(branch, layout.columns[name], layout, leaving, caught, ways)


def _rows(machine: Machine, leaving: Mapping[str, list[str]]) -> dict[str, int]:
    """The longest way to each state, in states, without the transitions that lead back."""
    order: list[str] = []
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for start in (machine.start, *machine.states):
        open_states: list[str] = [] if start in done else [start]
        entered: set[str] = set(open_states)
        while open_states:
            name = open_states[-1]
            back |= {(name, target) for target in leaving[name] if target in entered and target not in done}
            follows = next((target for target in leaving[name] if target not in entered | done), None)
            if follows is None:
                done.add(name)
                order.append(open_states.pop())
            else:
                entered.add(follows)
                open_states.append(follows)
    rows = dict.fromkeys(machine.states, 0)
    for name in reversed(order):
        for target in leaving[name]:
            if (name, target) not in back:
                rows[target] = max(rows[target], rows[name] + 1)
    return rows
