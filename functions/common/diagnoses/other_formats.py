"""Recognises files that aren't JSON: other text formats, and notations that resemble JSON."""

import csv
import json
import re
from collections.abc import Sequence

from functions.common.diagnoses.sample import Expected, FileSample, value_of

_CARRIAGE_RETURN = re.compile(rb"[}\]][ \t]*\r[ \t\r]*[{\[]")
_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(rb"\s*<(?:\?xml\s|!--|[A-Za-z_][\w.:-]*[\s/>])")
_JAVASCRIPT = re.compile(
    rb"\s*(?:(?:(?:var|let|const)\s+)?[A-Za-z_$][\w$.]*\s*=|export\s+default|(?:/\*\*/\s*)?[A-Za-z_$][\w$.]*\s*\()\s*[\[{]"
)
_AGAINST_HIJACKING = re.compile(rb"\s*(?:\)\]\}',?|(?:for|while)\s*\((?:;;|1|true)\);?)\s*[\[{]")
_PREFIXED = re.compile(r"[^{\[ \t][^{\[]*(\{.*\})\s*")
_MOST_LINES = 20
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}

_ERROR_MEMBERS = ("error", "errors", "Error", "fault")
_MESSAGE_MEMBERS = ("message", "Message", "detail", "error_description", "errorMessage")
_WITH_A_MESSAGE = {"code", "status", "statusCode", "status_code", "type", "__type", "title", "errorType", "request_id"}

_AT_ERROR = (
    ("comment", re.compile(r"//|/\*|#")),
    ("trailing_comma", re.compile(r",\s*+[\]}]")),
    ("python", re.compile(r"(?:True|False|None|nan|inf)\b|'")),
    ("mongo_shell", re.compile(r"(?:ObjectId|ISODate|Date|Timestamp|Number(?:Long|Int|Decimal)|BinData|UUID)\(")),
    ("unquoted_name", re.compile(r"[A-Za-z_$][\w$.-]*\s*[:=]|undefined\b")),
)
"""Patterns that match at the first character that isn't JSON, by the name of what is there."""

_IN_STRINGS = {"Invalid control character at": "control_character", "Invalid \\escape": "escape"}


def has_only_carriage_returns(sample: FileSample) -> bool:
    """Return whether carriage returns alone are between values, as on old Macs."""
    return b"\n" not in sample.text and _CARRIAGE_RETURN.search(sample.text) is not None


def is_html(sample: FileSample) -> bool:
    """Return whether the file begins as an HTML page."""
    return _HTML.match(sample.text) is not None


def is_xml(sample: FileSample) -> bool:
    """Return whether the file begins as XML."""
    return _XML.match(sample.text) is not None


def is_javascript(sample: FileSample) -> bool:
    """Return whether the file assigns JSON to a variable, passes it to a function, or protects it from hijacking."""
    return bool(_JAVASCRIPT.match(sample.text) or _AGAINST_HIJACKING.match(sample.text))


def delimiter_of(sample: FileSample) -> str:
    """Return the name of the character that separates the fields of each line. Empty if the file isn't CSV."""
    lines = _lines(sample)
    if len(lines) < 2 or any(line.startswith(("{", "[", "<", '"{')) for line in lines):
        return ""
    for delimiter, name in _DELIMITERS.items():
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=delimiter, strict=True)}
        except csv.Error:
            continue
        if len(widths) == 1 and min(widths) > 1:
            return name
    return ""


def has_prefixes(sample: FileSample) -> bool:
    """Return whether each line has other characters before an object, as in a log."""
    found = [_PREFIXED.fullmatch(line) for line in _lines(sample)]
    return bool(found) and all(match and value_of(match[1]) is not None for match in found)


def error_member_of(sample: FileSample, expected: Expected) -> str:
    """Return the member that makes most of the values error responses of an API. Empty if they aren't."""
    found = [member for value in sample.values if (member := _error_member(value, expected))]
    return found[0] if len(found) * 2 > len(sample.strings) else ""


def notation_of(sample: FileSample) -> tuple[str, int]:
    """Return the notation that most of the strings have where JSON ends, and the index in the first such text.

    Returns an empty string if the strings are JSON or have something else there.
    """
    found = [one for text in sample.strings if (one := _notation(text))]
    if not found or len(found) * 2 <= len(sample.strings):
        return "", 0
    return found[0]


def _error_member(value: object, expected: Expected) -> str:
    if not isinstance(value, dict) or expected.is_record(value):
        return ""
    unknown = value.keys() - expected.fields
    for name in _ERROR_MEMBERS:
        if name in unknown and isinstance(value[name], str | dict | list) and value[name]:
            return name
    for name in _MESSAGE_MEMBERS:
        if name in unknown and isinstance(value[name], str) and (len(value) == 1 or _WITH_A_MESSAGE & value.keys()):
            return name
    return ""


def _notation(text: str) -> tuple[str, int] | None:
    if not text.startswith(("{", "[")):
        return None
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        if exc.msg in _IN_STRINGS:
            return _IN_STRINGS[exc.msg], exc.pos
        at = exc.pos
    except (ValueError, RecursionError):
        return None
    else:
        return None
    before = text[:at].rstrip()
    start = len(before) - 1 if before.endswith(",") and text[at : at + 1] in ("]", "}") else at
    return next(((name, at) for name, pattern in _AT_ERROR if pattern.match(text, start)), None)


def _lines(sample: FileSample) -> Sequence[str]:
    """Return the first complete lines that aren't blank."""
    lines = sample.text.decode("utf-8", "replace").split("\n")
    if sample.is_cut:
        lines = lines[:-1]
    return [line for line in lines if line.strip()][:_MOST_LINES]
