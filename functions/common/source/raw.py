"""A record as it stands in a file, before anything has parsed it."""

import json
from typing import NamedTuple

BLANK = b" \t\r\n"
"""The white space of JSON (RFC 8259, section 2)."""

KEPT_OF_OVERSIZE = 1024
"""How much is kept of a record that is too large to be looked at, in bytes."""


class RawRecord(NamedTuple):
    """A record as its bytes stand in the document, not yet parsed."""

    position: int
    data: bytes
    length: int
    """Bytes in the document."""
    oversize: bool = False
    """Whether it is over the cap, and `data` only its beginning."""


def end_of_first_value(text: str) -> int | None:
    """Where the JSON value ends that a text begins with; None where it begins with none, or does not end."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return None
