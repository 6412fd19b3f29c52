"""Rejects, grouped by the rule that they break and where, with a few samples; personal data is masked unless asked for.

Masked is every value of a record, texts and numbers alike: a telephone number may be either. What stays is what a
producer needs to find the fault: names of fields, structure, true, false and null, and how long a text is. Memory does
not grow with the file: groups, places and samples are few, and of a large record nothing is kept.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from functions.common.reject_codes import SUPERSEDED
from pipeline.inspect.batch_history.model import Problem, Reject, RejectGroup, Rejects

MAX_GROUPS = 100
MAX_PLACES = 5
_LARGEST_SAMPLE = 64 << 10
_MAX_ELEMENTS, _MAX_LEVELS = 10, 64
_DEEPER = "<nested deeper>"
_INDEX = re.compile(r"/\d+(?=/|$)")
_RECORD = b',"record":'
_RAW = re.compile(rb',"raw(?:_base64)?":')


@dataclass
class _Group:
    message: str
    position_kind: str
    count: int = 0
    places: list[int] = field(default_factory=list)
    samples: list[Reject] = field(default_factory=list)

    def finished(self, name: tuple[str, str, str]) -> RejectGroup:
        places, samples = tuple(self.places), tuple(self.samples)
        return RejectGroup(*name, self.message, self.count, self.position_kind, places, samples)


def read_rejects(
    key: str, lines: Iterable[bytes], samples: int = 3, *, show_values: bool = False, max_bytes: int | None = None
) -> Rejects:
    """The rejects in the lines of a file called `key`, with at most `samples` of each group.

    Reads on until `max_bytes` are passed. Raises ValueError for a line that is no reject.
    """
    groups: dict[tuple[str, str, str], _Group] = {}
    read = n_bytes = ungrouped = 0
    is_whole = True
    for line in lines:
        if max_bytes is not None and n_bytes > max_bytes:
            is_whole = False
            break
        read, n_bytes = read + 1, n_bytes + len(line)
        content = _content(line.rstrip(b"\n"))
        name = _group_of(content)
        if name not in groups and len(groups) == MAX_GROUPS:
            ungrouped += 1
            continue
        group = groups.setdefault(name, _Group(_message_of(content), str(content["position_kind"])))
        group.count += 1
        if len(group.places) < MAX_PLACES:
            group.places.append(int(content["position"]))
        if len(group.samples) < samples:
            group.samples.append(_sample(content, show_values))
    found = [group.finished(name) for name, group in groups.items()]
    found.sort(key=lambda group: (group.reason == SUPERSEDED, -group.count))  # then in the order of the file
    return Rejects(key, tuple(found), read, is_whole, not show_values, ungrouped)


def missing(key: str) -> Rejects:
    """The rejects of a file that is not there any more."""
    return Rejects(key, (), 0, is_whole=True, masked=True, is_missing=True)


def _group_of(content: Mapping[str, Any]) -> tuple[str, str, str]:
    """Reason, rule and place of the first thing that is wrong with a record; an array's indices are one place."""
    first: Mapping[str, str] = content["errors"][0] if content["errors"] else {"rule": "", "pointer": ""}
    return str(content["reason"]), first["rule"], _INDEX.sub("/*", first["pointer"])


def _message_of(content: Mapping[str, Any]) -> str:
    return str(content["errors"][0]["message"]) if content["errors"] else ""


def _sample(content: Mapping[str, Any], show_values: bool) -> Reject:
    return Reject(
        position=int(content["position"]),
        position_kind=str(content["position_kind"]),
        reason=str(content["reason"]),
        problems=tuple(Problem(one["code"], one["pointer"], one["rule"], one["message"]) for one in content["errors"]),
        record=_record(content.get("record"), show_values),
        raw=_raw(content, show_values),
        truncated_from=content.get("truncated_from"),
    )


def _content(line: bytes) -> Mapping[str, Any]:
    """A line's content; of a record that is large or nested beyond the parser, only how large it is."""
    try:
        if len(line) <= _LARGEST_SAMPLE:
            content: dict[str, Any] = orjson.loads(line)
            return content
    except orjson.JSONDecodeError:
        pass  # then its beginning says why it was rejected, all the same
    head = _RAW.split(line.split(_RECORD, 1)[0], maxsplit=1)[0]
    content = orjson.loads(head if head == line else head + b"}")
    return {**content, "record": _NotShown(len(line) - len(head))}


@dataclass(frozen=True, slots=True)
class _NotShown:
    """A record that is not kept."""

    n_bytes: int


def _record(value: Any, show_values: bool) -> Any:
    if isinstance(value, _NotShown):
        return f"<a record of about {value.n_bytes:,} bytes, not shown>"
    return _cut(value) if show_values else masked(value)


def _raw(content: Mapping[str, Any], show_values: bool) -> str | None:
    raw = content.get("raw", content.get("raw_base64"))
    return raw if raw is None or show_values else str(masked(raw))


def masked(value: Any, levels: int = 0) -> Any:
    """A JSON value of the same structure that tells no text and no number. Of long arrays the beginning is kept."""
    if isinstance(value, str):
        return f"<text:{len(value)}>"
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, dict | list):
        return "<number>"
    if levels == _MAX_LEVELS:
        return _DEEPER
    if isinstance(value, dict):
        return {name: masked(part, levels + 1) for name, part in value.items()}
    more = len(value) - _MAX_ELEMENTS
    return [*(masked(part, levels + 1) for part in value[:_MAX_ELEMENTS]), *([f"<{more} more>"] if more > 0 else [])]


def _cut(value: Any, levels: int = 0) -> Any:
    """A JSON value as it is, to a depth that whoever prints it can follow."""
    if not isinstance(value, dict | list):
        return value
    if levels == _MAX_LEVELS:
        return _DEEPER
    if isinstance(value, dict):
        return {name: _cut(part, levels + 1) for name, part in value.items()}
    return [_cut(part, levels + 1) for part in value]
