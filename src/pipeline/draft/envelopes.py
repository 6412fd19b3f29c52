"""Decides from the beginning of a document where its records are: in the document itself, or in one of its members."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from functions.common.json_pointer import pointer_of
from pipeline.draft.names import is_id_like, snake

_ARRAY_NAMES_TEXT = """
data records results result rows items entries events features hits documents docs objects list values value
elements content response body payload embedded collection messages logs log_events members resources nodes
edges
"""
_ARRAY_NAMES = frozenset(_ARRAY_NAMES_TEXT.split())
"""Names of members that usually hold the records of a page."""

_META_NAMES_TEXT = """
page pages paging pagination per_page page_size page_number total total_count total_results total_pages count
size limit offset cursor next next_page next_cursor next_token next_page_token prev previous first last has_more
has_next more links link self href url object meta metadata info status success ok error errors message version
api_version kind type name took timed_out shards self_link etag query request_id generated_at exported_at
timestamp created_at schema source crs bbox took_ms truncated is_last start_at max_results max_score
"""
_META_NAMES = frozenset(_META_NAMES_TEXT.split())
"""Names of members that usually describe a page of records."""

_SPACE = re.compile(r"[ \t\r\n]*")
_MOST_LEVELS = 4
_MANY, _MOST_ELEMENTS = 10, float("inf")
"""With at least this many elements, an array in an object without an identifier holds the records. If the object has an
identifier, it is the record, unless the array goes on after the beginning of the file."""

_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Member:
    """A member of an object at the beginning of a document."""

    name: str
    value: Any
    """Its value. For one that goes on after the beginning: its members, or its first elements."""
    is_cut: bool


@dataclass(frozen=True)
class Place:
    """Where the records of a document are."""

    pointer: str
    """The JSON Pointer to the array of records. Empty if the document is a record, or records follow each other."""
    why: str
    question: str = ""
    is_map: bool = False
    """Whether the document is an object whose member names are keys of records, which can't be read."""


def place_of_records(text: str, *, is_all: bool) -> Place:
    """Return where the records are in a file that begins with `text`. `is_all` says that `text` is the whole file."""
    at = _after_space(text, 0)
    if text[at : at + 1] == "[":
        return Place("", "the file is an array of records")
    if text[at : at + 1] != "{":
        return Place("", "the file is a sequence of records")
    value, is_cut, end = _value(text, at)
    if not isinstance(value, list) or not all(isinstance(one, Member) for one in value):
        return Place("", "the file is a sequence of records")
    is_alone = is_cut or (is_all and _after_space(text, end) == len(text))
    return _place(value, is_alone=is_alone)


def _place(members: Sequence[Member], *, is_alone: bool) -> Place:
    if is_alone and _is_map(members):
        return Place("", "", is_map=True)
    candidates = list(_arrays(members, ()))
    if not candidates:
        why = "the file is a single record" if is_alone else "the file is a sequence of records"
        return Place("", why)
    has_id = any(is_id_like(member.name) for member in members)
    likely = [one for one in candidates if one[2] or (is_alone and one[1] >= (_MOST_ELEMENTS if has_id else _MANY))]
    if not likely:
        names = " and ".join(pointer_of(path) for path, _, _ in candidates[:3])
        why = "the file is a single record" if is_alone else "each document is a record"
        question = f"Are the records of the file in {names}? The draft reads the whole object as one record."
        return Place("", why, question if is_alone and any(n > 1 for _, n, _ in candidates) else "")
    path, _, is_known = max(likely, key=lambda one: (one[1], one[2]))
    pointer = pointer_of(path)
    others = [pointer_of(other) for other, _, _ in likely if other != path]
    question = ""
    if others:
        question = f"Are the records in {pointer}, or in {', '.join(others)}? The draft reads {pointer}."
    elif not is_known:
        question = f"Is each element of {pointer} a record? The draft reads them, and not the object around them."
    return Place(pointer, f"the records are the elements of {pointer}", question)


_Candidate = tuple[tuple[str, ...], float, bool]
"""The path of an array of objects, its number of elements (infinite if it goes on), and whether it is named so."""


def _arrays(members: Sequence[Member], path: tuple[str, ...]) -> Iterator[_Candidate]:
    """Yield the arrays of objects in an object, with whether names say that they hold records."""
    for member in members:
        here = (*path, member.name)
        describes_page = all(_is_meta(other) for other in members if other is not member)
        if isinstance(member.value, _Elements):
            if member.value.has_objects:
                is_named = snake(member.name) in _ARRAY_NAMES or (len(members) == 1 and not path)
                yield here, member.value.count, is_named and describes_page
        elif isinstance(member.value, list) and len(path) < _MOST_LEVELS and describes_page:
            yield from _arrays(member.value, here)


def _is_meta(member: Member) -> bool:
    """Return whether a member is named like one that describes a page, or is another array of objects."""
    if isinstance(member.value, _Elements) and (member.value.has_objects or not member.value.count):
        return True
    name = snake(member.name)
    return name in _META_NAMES or name.startswith(("total_", "page_", "next_", "prev_", "has_", "num_", "n_"))


def _is_map(members: Sequence[Member]) -> bool:
    """Return whether all members are objects with the same fields, so that their names are keys."""
    objects = [member.value for member in members if isinstance(member.value, list) and not member.is_cut]
    whole = [member for member in members if not member.is_cut]
    if len(objects) < 3 or len(objects) != len(whole):
        return False
    fields = [{one.name for one in value} for value in objects]
    shared, every = set.intersection(*fields), set.union(*fields)
    return len(shared) * 2 >= len(every) and len(every) > 1


class _Elements:
    """The elements of an array at the beginning of a document."""

    def __init__(self, count: float, *, has_objects: bool) -> None:
        self.count = count
        self.has_objects = has_objects


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, level: int = 0) -> tuple[Any, bool, int]:
    """Return the value at an index: members of an object, _Elements of an array, or another value.

    Also returns whether the value goes on after the text, and the index after it.
    """
    try:
        value, end = _DECODER.raw_decode(text, at)
    except RecursionError:
        return None, True, len(text)
    except ValueError:
        return (*_cut(text, at, level), len(text))
    return _outlined(value), False, end


def _outlined(value: Any) -> Any:
    if isinstance(value, dict):
        return [Member(name, _outlined(inner), False) for name, inner in value.items()]
    if isinstance(value, list):
        return _Elements(len(value), has_objects=bool(value) and all(isinstance(one, dict) for one in value))
    return value


def _cut(text: str, at: int, level: int) -> tuple[Any, bool]:
    """Return the outline of a value that doesn't end in the text."""
    first = text[at : at + 1]
    if first == "[":
        return _Elements(float("inf"), has_objects=text[_after_space(text, at + 1) :][:1] == "{"), True
    if first != "{" or level > _MOST_LEVELS:
        return None, True
    members: list[Member] = []
    at += 1
    while True:
        at = _after_space(text, at)
        try:
            name, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return members, True
        at = _after_space(text, at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            return members, True
        value, is_cut, at = _value(text, _after_space(text, at + 1), level + 1)
        members.append(Member(name, value, is_cut))
        at = _after_space(text, at)
        if is_cut or text[at : at + 1] != ",":
            return members, True
        at += 1
