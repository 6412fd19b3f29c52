"""The tests of the diagnoses. Each returns what its sentences mention, or None if the diagnosis doesn't apply."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from functions.common.diagnoses import misplaced, other_formats
from functions.common.diagnoses.sample import Expected, FileSample, complete_part_of, has_whole_value, value_of
from functions.common.json_pointer import pointer_of
from functions.common.source.compression import READ, format_of, is_compression

Found: TypeAlias = Mapping[str, str] | None
Detector: TypeAlias = Callable[[FileSample, Expected], Found]

_MARKS = (
    (b"\xef\xbb\xbf", "UTF-8"),
    (b"\xff\xfe\0\0", "UTF-32LE"),
    (b"\0\0\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16LE"),
    (b"\xfe\xff", "UTF-16BE"),
)


def compressed_twice(sample: FileSample, _: Expected) -> Found:
    """Find a compression inside another."""
    found = format_of(sample.text)
    is_twice = sample.compression and is_compression(found)
    return {"compression": sample.compression, "format": found} if is_twice else None


def unsupported_compression(sample: FileSample, _: Expected) -> Found:
    """Find a compression that is not read."""
    found = format_of(sample.text)
    return {"format": found} if is_compression(found) and found not in READ else None


def binary(names: Sequence[str]) -> Detector:
    """Find one of these binary formats."""

    def find(sample: FileSample, _: Expected) -> Found:
        found = format_of(sample.text)
        inside = f" after decompression with {sample.compression}" if sample.compression else ""
        return {"format": found, "inside": inside} if found in names else None

    return find


def byte_order_mark(sample: FileSample, _: Expected) -> Found:
    """Find a byte order mark, and the encoding that it shows."""
    encoding = next((name for mark, name in _MARKS if sample.text.startswith(mark)), "")
    return {"encoding": encoding} if encoding else None


def wide_encoding(sample: FileSample, _: Expected) -> Found:
    """Find UTF-16 or UTF-32 without a byte order mark. No JSON begins with NUL, or has it after its first character."""
    first = sample.text[:4]
    if b"\0" not in first[:2]:
        return None
    order = "BE" if first.startswith(b"\0") else "LE"
    return {"encoding": f"UTF-{32 if first.count(0) == 3 else 16}{order}"}


def if_(test: Callable[[FileSample], bool]) -> Detector:
    """Find what a test finds, without details."""
    return lambda sample, _: {} if test(sample) else None


def csv(sample: FileSample, _: Expected) -> Found:
    """Find CSV, and what separates its fields."""
    name = other_formats.delimiter_of(sample)
    return {"delimiter": name} if name else None


def notation(*names: str) -> Detector:
    """Find one of these notations where the file stops being JSON."""

    def find(sample: FileSample, _: Expected) -> Found:
        name, at = other_formats.notation_of(sample)
        return {"at": str(at)} if name in names else None

    return find


def incomplete(sample: FileSample, _: Expected) -> Found:
    """Find a document that ends inside its first value, without another fault."""
    text = sample.strings[0] if sample.is_document and not sample.is_cut else ""
    is_incomplete = text.startswith(("{", "[")) and value_of(text) is None and complete_part_of(text) is not None
    return {} if is_incomplete and not has_whole_value(text) else None


def error_response(sample: FileSample, expected: Expected) -> Found:
    """Find an error response of an API, and the member that says so."""
    name = other_formats.error_member_of(sample, expected)
    return {"member": name} if name else None


def _first_at(path: misplaced.Path, sample: FileSample, expected: Expected) -> Any:
    """Return the first record at a path to which most of the values lead."""
    value = next(value for value in sample.values if misplaced.path_to_records_in(value, expected) == path)
    return misplaced.value_at(value, path)


def records_inside(is_kind: Callable[[misplaced.Path, FileSample, Expected], bool]) -> Detector:
    """Find records that are inside other values, if the path to them is of a kind."""

    def find(sample: FileSample, expected: Expected) -> Found:
        path = misplaced.path_to_records(sample, expected)
        if sample.has_valid or not path or not is_kind(path, sample, expected):
            return None
        return {
            "jq": misplaced.jq_filter(path, sample, expected),
            "pointer": misplaced.pointer_to_array(path),
            "member": pointer_of([path[0].name]),
        }

    return find


def has_dynamodb_types(path: misplaced.Path, sample: FileSample, expected: Expected) -> bool:
    """Return whether the records at a path have the types of Amazon DynamoDB instead of plain values."""
    return misplaced.has_types_of_dynamodb(_first_at(path, sample, expected))


def is_envelope(path: misplaced.Path, sample: FileSample, expected: Expected) -> bool:
    """Return whether a path is one that `input.records` can have."""
    is_top_level = not (sample.is_array or sample.is_in_envelope)
    return is_top_level and bool(misplaced.pointer_to_array(path)) and path[0].name not in expected.fields


def is_envelope_like_a_record(path: misplaced.Path, _: FileSample, expected: Expected) -> bool:
    """Return whether a path is that of an envelope, but begins with a field of the records."""
    return bool(misplaced.pointer_to_array(path)) and path[0].name in expected.fields


def is_wrapper(path: misplaced.Path, *_: object) -> bool:
    """Return whether a path leads to one object inside a member."""
    return len(path) == 1 and path[0].kind == "member"


def columns(sample: FileSample, expected: Expected) -> Found:
    """Find objects that have an array or an object of values for each field, as tables have columns."""
    for value in sample.values:
        inner: Sequence[Any] = list(value.values()) if isinstance(value, dict) else ()
        if len(inner) < 2 or not expected.is_record(value):
            return None
        keys = [list(one) if isinstance(one, dict) else len(one) if isinstance(one, list) else None for one in inner]
        if not keys[0] or any(one != keys[0] for one in keys):
            return None
    return {} if sample.values else None
