"""Whether bytes are JSON, found by parsers that keep nothing of it."""

import json

import msgspec

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def count_of_values(data: bytes) -> int:
    """How many JSON values follow each other in these bytes; -1 if they are anything else."""
    try:
        return len(_raw_decoder.decode_lines(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return -1


def count_of_objects(data: bytes) -> int:
    """How many JSON objects follow each other in these bytes; -1 if they are anything else."""
    try:
        values = _raw_decoder.decode_lines(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return -1
    return len(values) if all(bytes(value)[:1] == b"{" for value in values) else -1


def is_json(data: bytes) -> bool:
    """Whether bytes are one JSON value, up to its encoding, and to what Python also reads, such as NaN."""
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
