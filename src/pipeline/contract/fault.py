"""Faults in contracts, with their file, line and advice."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from functions.common.json_pointer import path_of


@dataclass(frozen=True, order=True)
class Fault:
    """A fault or a warning, with advice."""

    file: Path
    line: int
    says: str
    advice: str


def line_at(path: Path, pointer: str) -> int:
    """Return the line of a JSON file where the value at a JSON Pointer, or its nearest existing parent, begins."""
    lines = _lines(path.read_text("utf-8"))
    steps = path_of(pointer)
    while steps and steps not in lines:
        steps = steps[:-1]
    return lines.get(steps, 1)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each JSON value, or of its name, by its path of names and indexes."""
    found: dict[tuple[str, ...], int] = {}
    tokens = ((match[0], text.count("\n", 0, match.start()) + 1) for match in _TOKEN.finditer(text))
    _value(tokens, *next(tokens, ("", 1)), (), found)
    return found


def _value(
    tokens: Iterator[tuple[str, int]], token: str, line: int, place: tuple[str, ...], found: dict[tuple[str, ...], int]
) -> None:
    found.setdefault(place, line)
    if token not in ("{", "["):
        return
    number = 0
    for inner, at in tokens:
        if inner in ("}", "]"):
            return
        if inner == ",":
            continue
        if token == "{":
            name = json.loads(inner)
            found[*place, name] = at
            next(tokens)  # the colon
            _value(tokens, *next(tokens), (*place, name), found)
        else:
            _value(tokens, inner, at, (*place, str(number)), found)
            number += 1
