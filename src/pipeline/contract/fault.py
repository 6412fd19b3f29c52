"""What is wrong with a contract, and where: file, line, and how to mend it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from functions.common.contract import path_of


@dataclass(frozen=True, order=True)
class Fault:
    file: Path
    line: int
    says: str
    mend: str


def line_at(path: Path, pointer: str) -> int:
    """The line of a JSON file in which the value at a JSON Pointer begins, or what is nearest to it."""
    lines = _lines(path.read_text("utf-8"))
    steps = path_of(pointer)
    while steps and steps not in lines:
        steps = steps[:-1]
    return lines.get(steps, 1)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each value of a JSON text, or of its name, by the names and numbers that lead to it."""
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
