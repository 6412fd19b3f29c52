"""Determines the layout of a file's values from its first bytes."""

import json
import re

from functions.common.input_settings import JSON, JSON_LINES, InputSettings
from functions.common.source.buffer import Buffer
from functions.common.source.compression import compression_of, without_suffix
from functions.common.source.content import LINES, SEQUENCE, UNKNOWN, Content
from functions.common.source.json_values import is_json
from functions.common.source.raw import BLANK
from functions.common.source.structure import Value

HEAD_BYTES = 1 << 16
"""The maximum number of bytes of a file that are read to determine its layout."""

_LINES_SUFFIXES, _DOCUMENT_SUFFIX = (".jsonl", ".ndjson"), ".json"
_LOOKED_AT = 200
"""The maximum number of lines that are examined."""

_SEPARATORS = BLANK + b","
_OPENING = b"{["


def content_of(head: bytes, size: int, key: str, settings: InputSettings) -> Content:
    """Return the compression and layout of a file of `size` bytes.

    `head` is the file's first HEAD_BYTES bytes, or the whole file if it is smaller.
    """
    if not head:
        return UNKNOWN
    if compression := compression_of(head):
        return Content(compression, "")
    envelope = settings.record_path[0] if settings.record_path else ""
    by_name = layout_by_name(key, settings) or SEQUENCE  # without a format, the file fails with any layout
    return Content("", layout_of(head, is_all=len(head) >= size, by_name=by_name, envelope=envelope))


def layout_by_name(key: str, settings: InputSettings) -> str:
    """Return LINES or SEQUENCE by the key's suffix, or else by the contract's `format`. Empty if neither is known."""
    name, _ = without_suffix(key)
    if name.endswith(_LINES_SUFFIXES):
        return LINES
    if name.endswith(_DOCUMENT_SUFFIX):
        return SEQUENCE
    return {JSON_LINES: LINES, JSON: SEQUENCE}.get(settings.format, "")


def layout_of(head: bytes, *, is_all: bool, by_name: str, envelope: str = "") -> str:
    """Return LINES or SEQUENCE for a file that begins with `head`. `is_all` says that `head` is the whole file.

    If the content could be either, returns `by_name`. `envelope` is the name of the member that holds the records.
    """
    text = head[:HEAD_BYTES].lstrip(BLANK)
    is_all = is_all and len(head) <= HEAD_BYTES
    first, newline, others = text.partition(b"\n")
    if not newline or (is_all and not others.strip(BLANK)):
        return _layout_of_one_line(first, is_all=is_all, by_name=by_name, envelope=envelope)
    lines = text.split(b"\n")
    if not is_all:
        lines.pop()
    at, n_whole, n_other, first_other = 0, 0, 0, -1
    for line in lines[:_LOOKED_AT]:
        has_brackets = _has_brackets(line)
        if has_brackets is not None:
            n_whole += has_brackets
        else:
            n_other += 1
            first_other = at if first_other < 0 else first_other
        at += len(line) + 1
    if first_other >= 0 and _goes_on_over_lines(text[first_other:].lstrip(BLANK), is_all=is_all):
        return SEQUENCE
    return LINES if first_other != 0 or n_whole > n_other else by_name


def _layout_of_one_line(line: bytes, *, is_all: bool, by_name: str, envelope: str) -> str:
    if line.startswith(b"[") or (not is_all and envelope and json.dumps(envelope).encode() in line):
        return SEQUENCE  # an array can be read element by element
    if is_all or not line:
        return by_name
    buffer = Buffer([line])
    buffer.skip(b"")
    _, is_whole = Value(buffer, HEAD_BYTES).take()
    return SEQUENCE if is_whole else by_name


def _has_brackets(line: bytes) -> bool | None:
    """Return whether a line has objects or arrays, or None if it has anything but complete values and commas."""
    buffer, has_brackets = Buffer([line]), False
    while (byte := buffer.skip(_SEPARATORS)) is not None:
        has_brackets |= byte in _OPENING
        if not Value(buffer, HEAD_BYTES).take()[1]:
            return None
    return has_brackets


def _goes_on_over_lines(text: bytes, *, is_all: bool) -> bool:
    """Return whether the first value contains line breaks and is JSON, or could be completed to JSON."""
    buffer = Buffer([text])
    buffer.skip(b"")
    raw, is_whole = Value(buffer, HEAD_BYTES).take()
    if b"\n" not in raw.data or text[:1] not in (b"{", b"["):
        return False
    if is_whole:
        return is_json(raw.data)
    return not is_all and buffer.at == buffer.end and _could_be_json(raw.data)


def _could_be_json(data: bytes) -> bool:
    """Return whether truncated data could continue as JSON, because its first error is at its end."""
    try:
        json.loads(data.decode("latin-1"))
    except RecursionError:
        return True
    except json.JSONDecodeError as exc:
        return exc.msg.startswith("Unterminated string") or not re.search(
            r"[{}\[\],:]", data.decode("latin-1")[exc.pos :]
        )
    return True
