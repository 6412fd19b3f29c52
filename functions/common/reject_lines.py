"""The lines in which rejected records stand, and what is told of unknown fields."""

import base64
import re
from typing import Any

import orjson

MOST_FIELDS = 100
"""How many unknown fields are told apart, in a chunk and in a file; producers make names up."""

OTHERS = ""
"""Stands for the fields beyond those, and for what does not look like a name: it may be a value that slipped."""

MAX_NAME = 64
"""How many characters of a member's name are shown."""

_NAME = re.compile(rf"[A-Za-z_$][A-Za-z0-9_$-]{{0,{MAX_NAME - 1}}}")


def is_name(name: str) -> bool:
    """Whether a member's name looks like a name, and can be shown: a value may have slipped into its place."""
    return _NAME.fullmatch(name) is not None


def escaped(name: str) -> str:
    """A member's name as a part of a JSON Pointer (RFC 6901), cut if it is long."""
    return name[:MAX_NAME].replace("~", "~0").replace("/", "~1")


def reject_line(
    *,
    batch_id: str,
    contract_version: int,
    position: int,
    position_kind: str,
    reason: str,
    errors: list[dict[str, Any]],
    record: bytes,
    readable: bool,
    truncated_from: int | None = None,
) -> bytes:
    """One line: where the record stood, why it was not published, and the record itself.

    A `readable` record, JSON that whoever reads the line can read inside it, stands in `record` as it came; of
    any other the text is `raw`, or the bytes are `raw_base64`. Of a record that was too large to look at, only
    the beginning is kept, and `truncated_from` says its bytes.
    """
    cut = {} if truncated_from is None else {"truncated_from": truncated_from}
    line = {
        "batch_id": batch_id,
        "contract_version": contract_version,
        "position": position,
        "position_kind": position_kind,
        "reason": reason,
        "errors": errors,
        **cut,
        **_kept(record, readable),
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _kept(record: bytes, readable: bool) -> dict[str, Any]:
    if readable:  # as it came, digits and duplicate keys included; a line break in JSON is only ever white space
        return {"record": orjson.Fragment(record.replace(b"\r", b" ").replace(b"\n", b" "))}
    try:
        return {"raw": record.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(record).decode("ascii")}
