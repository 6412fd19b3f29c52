"""Defines the bytes and the position of a record before it is parsed."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from functions.common.errors import PipelineError

BLANK = b" \t\r\n"
"""The white space of JSON (RFC 8259, section 2)."""

KEPT_OF_OVERSIZE = 1024
"""The number of bytes that are kept of a record that is too large to read."""


class RawRecord(NamedTuple):
    """A record's bytes in the document, before they are parsed."""

    position: int
    data: bytes
    length: int
    """The record's size in the document, in bytes."""
    oversize: bool = False
    """Whether the record exceeds the limit. `data` then has only its first bytes."""


def stretches(records: Iterable[RawRecord], n_bytes: int) -> Iterator[list[RawRecord]]:
    """Yield lists of records that are decoded together, each of about `n_bytes` bytes. The last one may be empty."""
    held: list[RawRecord] = []
    held_bytes = 0
    try:
        for raw in records:
            held.append(raw)
            held_bytes += raw.length
            if held_bytes > n_bytes:
                yield held
                held, held_bytes = [], 0
    except PipelineError:  # the document is broken here; errors in earlier records are reported first
        yield held
        raise
    yield held


def end_of_first_value(text: str) -> int | None:
    """Return the index after the JSON value at the start of a string, or None if there is no complete value."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return None
