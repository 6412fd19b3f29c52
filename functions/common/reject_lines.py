"""Writes the lines of a rejects file, and defines limits for the names of unknown fields."""

import base64
import re
from typing import Any

import orjson

from functions.common.json_pointer import escaped

MOST_FIELDS = 100
"""The maximum number of unknown fields that are counted by name, per chunk and per file."""

OTHERS = ""
"""The name under which all other fields are counted, and also fields whose names may be data values."""

MAX_NAME = 64
"""The maximum number of characters of a member's name that are shown."""

_NAME = re.compile(rf"[A-Za-z_$][A-Za-z0-9_$-]{{0,{MAX_NAME - 1}}}")


def is_name(name: str) -> bool:
    """Return whether a member's name looks like a name and can be shown, because it may also be a data value."""
    return _NAME.fullmatch(name) is not None


def shown_step(name: str) -> str:
    """Return a member's name as a step of a JSON Pointer that people read, cut to MAX_NAME characters."""
    return escaped(name[:MAX_NAME])


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
    """Return one line with the record's position, the reasons why it was not published, and the record itself.

    A `readable` record is valid JSON and is stored unchanged in `record`. Any other record is stored in `raw` if it is
    UTF-8, and otherwise in `raw_base64`. Only the beginning of a record above the size limit is kept, and
    `truncated_from` is its full size in bytes.
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
    if readable:  # keeps digits and duplicate keys; a line break in JSON is always white space
        return {"record": orjson.Fragment(record.replace(b"\r", b" ").replace(b"\n", b" "))}
    try:
        return {"raw": record.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(record).decode("ascii")}
