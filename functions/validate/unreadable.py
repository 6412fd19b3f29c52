"""Explains why a record can't be parsed: it isn't JSON or UTF-8, is nested too deeply, or is too large."""

import json
import math
import re
from typing import Any

from functions.common.reject_codes import (
    LONE_SURROGATE,
    NESTED_TOO_DEEPLY,
    NON_FINITE_NUMBER,
    NOT_JSON,
    NOT_UTF8,
    RECORD_TOO_LARGE,
    Reason,
)
from functions.common.source.raw import BLANK, end_of_first_value

COUNTED_BY_BYTES = frozenset({NOT_JSON, NOT_UTF8})
"""The codes of `unparsable` for bytes that may contain one record or many."""

_ORJSON_LEVELS = 1024
_NO_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[^][{}"]++', re.DOTALL)
_CTRL_Z, _BYTE_ORDER_MARK = "\x1a", "\ufeff"


def unparsable(data: bytes, max_nesting: int) -> Reason:
    """Return the reason why orjson rejected these bytes.

    The standard library's slower, more lenient parser finds the reason. If that parser accepts the bytes, they contain
    a number that is not finite, half of a surrogate pair, or more levels than orjson allows.
    """
    non_finite = list[str]()

    def number(text: str) -> float:
        read = float(text)
        if not math.isfinite(read):
            non_finite.append(text)
        return read

    try:
        text = data.strip(BLANK).decode("utf-8")
        read = json.loads(text, parse_constant=number, parse_float=number, parse_int=number)
    except UnicodeDecodeError as exc:
        at = exc.start + len(data) - len(data.lstrip(BLANK))
        return _of_the_record(NOT_UTF8, "encoding", f"is not UTF-8 from its byte {at} on", "write the file as UTF-8")
    except RecursionError:
        return nested_too_deeply(max_nesting)
    except json.JSONDecodeError as exc:
        return _of_the_record(NOT_JSON, "json", *_not_json(text, exc.pos))
    if non_finite:
        found = "has NaN, infinity, or a number that is too large for a 64-bit float"
        advice = "write a finite number, or null where the contract allows null"
        return _of_the_record(NON_FINITE_NUMBER, "number", found, advice)
    if nests_deeper(read, data, _ORJSON_LEVELS):
        return nested_too_deeply(max_nesting)
    found = "has half of a surrogate pair (\\ud800 to \\udfff)"
    return _of_the_record(LONE_SURROGATE, "text", found, "write both halves, for example \\ud83d\\ude00")


def is_one_value(reason: Reason, data: bytes) -> bool:
    """Return whether rejected bytes are a single value, for a `reason` that `unparsable` returned.

    Numbers that are not finite and halves of surrogate pairs are found only in complete values. Bytes that are nested
    too deeply are one value if their first bracket is closed and nothing follows.
    """
    if reason.code != NESTED_TOO_DEEPLY:
        return reason.code not in COUNTED_BY_BYTES
    text = data.strip(BLANK)
    brackets = _NO_BRACKET.sub(b"", text)
    depth = 0
    for number, bracket in enumerate(brackets, start=1):
        depth += 1 if bracket in b"[{" else -1
        if depth == 0:
            return number == len(brackets) and text.endswith((b"]", b"}"))
    return False


def _not_json(text: str, at: int) -> tuple[str, str]:
    """Return why a string is not JSON, and advice on fixing it. `at` is the index at which the parser stopped."""
    if text == _CTRL_Z:
        return "is only a Ctrl-Z (byte 1A), which some programs write at the end of a file", "remove it"
    if text.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark", "remove it"
    end = end_of_first_value(text)
    found = f"is not JSON from its character {at} on"
    if end is None and text.startswith("["):
        return found, "write one object per line, without brackets and commas around it, or name the file .json"
    if end is None or not text.startswith(("{", "[")):  # a line of a pretty-printed object, or of CSV
        return found, "write it as one complete JSON object on one line"
    if text[end:].lstrip().startswith(","):
        return f"{found}, where a comma follows a complete value", "replace the comma with a line break"
    if text[end:].startswith("\r"):
        return f"{found}, after a carriage return without a line feed", "end each line with a line feed (\\n)"
    return f"{found}, where more text follows a complete value", "write one value per line, and nothing after it"


def nests_deeper(record: object, data: bytes, max_nesting: int) -> bool:
    """Return whether the arrays and objects of `record`, parsed from `data`, are nested more than `max_nesting` deep.

    The number of opening brackets is an upper bound. If it exceeds the limit, the levels are counted without recursion.
    """
    if data.count(b"[") + data.count(b"{") <= max_nesting:
        return False
    level = [record] if isinstance(record, dict | list) else []
    for _ in range(max_nesting):
        level = [part for whole in level for part in _parts(whole) if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _parts(whole: Any) -> Any:
    return whole.values() if isinstance(whole, dict) else whole


def nested_too_deeply(max_nesting: int) -> Reason:
    """Return the reason for rejecting a record whose arrays and objects are nested deeper than `max_nesting`."""
    found = f"is nested more than {max_nesting} levels deep"
    return _of_the_record(NESTED_TOO_DEEPLY, "max_nesting", found, "remove levels")


def too_large(max_record_bytes: int) -> Reason:
    """Return the reason for rejecting a record that was not parsed because of its size."""
    advice = "send it as several records, each on a line of its own or as an element of an array"
    return _of_the_record(RECORD_TOO_LARGE, "max_record_bytes", f"has more than {max_record_bytes} bytes", advice)


def found_of(reason: Reason) -> str:
    """Return what is wrong, from a reason of this module. Omits the advice, which applies only to JSON Lines."""
    return reason.message.partition("; ")[0]


def _of_the_record(code: str, rule: str, found: str, advice: str) -> Reason:
    return Reason(code, "", rule, f"the record {found}; {advice}")
