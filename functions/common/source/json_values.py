"""Tests whether bytes are JSON, with parsers that check the syntax without building values."""

import json

import msgspec

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def count_of_values(data: bytes) -> int:
    """Return the number of JSON values in these bytes, or -1 if they contain anything else."""
    values = _values(data)
    return -1 if values is None else len(values)


def count_of_objects(data: bytes) -> int:
    """Return the number of JSON objects in these bytes, or -1 if they contain anything else."""
    values = _values(data)
    return -1 if values is None or any(bytes(value)[:1] != b"{" for value in values) else len(values)


def _values(data: bytes) -> list[msgspec.Raw] | None:
    try:
        return _raw_decoder.decode_lines(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def is_json(data: bytes) -> bool:
    """Return whether bytes are one JSON value. Accepts values that only Python reads, such as NaN, and any encoding."""
    try:
        _raw_decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        try:
            json.loads(data.decode("latin-1"))
        except RecursionError:
            return True
        except ValueError:
            return False
    return True
