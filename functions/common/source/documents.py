"""Finds the records in a document: JSON Lines, an array, the contract's envelope, or one single record.

What comes out is bytes: each record is parsed once, by the validation. Nothing here holds more than one record
and one block of the file.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count, repeat
from operator import add
from typing import Literal

import orjson

from functions.common.errors import (
    EncodingError,
    MalformedDocumentError,
    ReconciliationError,
    RecordTooLargeError,
    UnsupportedFormatError,
    WrongEnvelopeError,
)
from functions.common.source.arrays import ArrayCutter
from functions.common.source.raw import BLANK, KEPT_OF_OVERSIZE, RawRecord, end_of_first_value

PositionKind = Literal["byte", "index"]

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BINARY = (
    ("gzip", rb"\x1f\x8b"),
    ("bzip2", rb"BZh[1-9]1"),
    ("zstd", rb"\x28\xb5\x2f\xfd"),
    ("xz", rb"\xfd7zXZ"),
    ("lz4", rb"\x04\x22\x4d\x18"),
    ("Snappy", rb"\xff\x06\0\0s"),
    ("zip", rb"PK\x03\x04"),
    ("Parquet", rb"PAR1\x15"),
    ("Avro", rb"Obj\x01"),
)
"""How files in formats begin that are often sent under the name of another; no JSON begins so."""

_LONGEST_MARK = 5

_SCALARS = {str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}

_SNIFFED = 4096
"""How much of a document is looked at, at least, before its shape is settled, in bytes."""


@dataclass(frozen=True, slots=True)
class Document:
    """The records of a document, and what their positions count: bytes (JSON Lines) or records (the rest)."""

    position_kind: PositionKind
    records: Iterator[RawRecord]


def record_at(position: int, records: Iterator[RawRecord]) -> RawRecord:
    """The record at a position, from those that are still to come. Raises ReconciliationError where none is there."""
    for raw in records:
        if raw.position == position:
            return raw
    raise ReconciliationError(f"The record at {position} does not stand there when the file is read again.")


def check_encoding(blocks: Iterable[bytes], *, inflated: bool = False) -> Iterator[bytes]:
    """Hand the blocks on, having seen that they begin as text in UTF-8 does, without a byte order mark.

    `inflated` says that they were gzipped. Raises EncodingError for another encoding, and UnsupportedFormatError for
    what is compressed, or compressed again.
    """
    iterator = iter(blocks)
    first = next(iterator, b"")
    while len(first) < _LONGEST_MARK and (block := next(iterator, b"")):
        first += block
    if name := next((name for name, beginning in _BINARY if re.match(beginning, first)), ""):
        raise UnsupportedFormatError(_binary(name, inflated=inflated))
    if first.startswith(_BYTE_ORDER_MARKS):
        raise EncodingError(
            "The file begins with a byte order mark; JSON is UTF-8 without one (RFC 8259, section 8.1)."
        )
    if b"\0" in first[:2]:  # no JSON text begins with NUL, or has it behind its first character
        raise EncodingError("The file is not UTF-8: its first characters take more than a byte each, as in UTF-16.")
    return chain([first], iterator)


def _binary(name: str, *, inflated: bool) -> str:
    if inflated:
        return f"The file is compressed twice: what was gzipped is {name}, not text."
    if name == "gzip":
        return "The file is compressed with gzip, but its name does not end in .gz."
    return f"The content of the file is {name}, which is not read."


def read_lines(
    blocks: Iterable[bytes], max_record_bytes: int, start: int = 0, end: int | None = None
) -> Iterator[RawRecord]:
    """The lines that begin in [start, end) of a JSON Lines file, without blank ones; positions are byte offsets.

    For `start` > 0 the blocks must begin one byte early: what stands before the first newline belongs to the
    chunk before. The last line is read to its end, wherever that is.
    """
    offset = start - 1 if start else 0
    skipping = start > 0
    line, length = b"", 0  # of the line that has not ended yet: what is kept of it, and its bytes so far
    for block in blocks:
        first, *others = block.split(b"\n")
        line, length = line + first, length + len(first)
        if others:
            rest = others.pop()
            lines, lengths = [line, *others], [length, *map(len, others)]
            *offsets, offset = map(add, accumulate(lengths, initial=offset), count())
            within = slice(int(skipping), None if end is None else bisect_left(offsets, end))
            yield from _records(offsets[within], lines[within], lengths[within], max_record_bytes)
            line, length, skipping = rest, len(rest), False
            if end is not None and offset >= end:
                return
        if skipping:
            line = b""
            if end is not None and offset + length >= end:
                return  # no line begins in this chunk: one from before it goes on behind it
        elif length > max_record_bytes:
            line = line.lstrip(BLANK)[:KEPT_OF_OVERSIZE]
    if not skipping:
        yield from _records([offset], [line], [length], max_record_bytes)


def _records(
    offsets: Sequence[int], lines: Sequence[bytes], lengths: Sequence[int], max_record_bytes: int
) -> Iterator[RawRecord]:
    """The lines that are not blank. Nearly always that is all of them, so that is asked of all at once."""
    if all(map(bytes.strip, lines, repeat(BLANK))) and max(lengths, default=0) <= max_record_bytes:
        fields = zip(offsets, lines, lengths, [False] * len(lines), strict=True)
        made: Iterator[RawRecord] = map(tuple.__new__, repeat(RawRecord), fields)  # _make is slower
        return made
    return filter(None, map(_line, offsets, lines, lengths, repeat(max_record_bytes)))


def _line(offset: int, data: bytes, length: int, max_record_bytes: int) -> RawRecord | None:
    if not data.strip(BLANK):
        return None
    if length > max_record_bytes:
        return RawRecord(offset, data.lstrip(BLANK)[:KEPT_OF_OVERSIZE], length, oversize=True)
    return RawRecord(offset, data, length)


def read_document(blocks: Iterable[bytes], envelope: str, fields: Iterable[str], max_record_bytes: int) -> Document:
    """The records of a `.json` document, whose shape is seen from its first bytes.

    An array, an object whose only member `envelope` is an array, JSON Lines after all, or one record: an object
    with at least one of the record's `fields`. A blank document has no records. Raises MalformedDocumentError,
    WrongEnvelopeError and RecordTooLargeError; the first two also while the records are being read.
    """
    blocks = iter(blocks)
    blank, head = _behind_blanks(blocks)
    if not head:
        return Document("index", iter(()))
    if head.startswith(b"["):
        return Document("index", _array(chain([head], blocks), max_record_bytes, closing=b""))
    if not head.startswith(b"{"):
        raise _neither_object_nor_array(head, blocks, max_record_bytes)
    while not _shows_its_shape(head, max_record_bytes) and (block := next(blocks, b"")):
        head += block
    seen = head[: max_record_bytes + 1]  # however large the blocks are
    if _is_json_lines(seen):
        lines = read_lines(chain([head], blocks), max_record_bytes)
        return Document("byte", (line._replace(position=line.position + blank) for line in lines) if blank else lines)
    if opening := _opening(envelope).match(seen):
        if opening[1] != b"[":
            raise WrongEnvelopeError(f'The member "{envelope}" must be an array of records.')
        return Document("index", _array(chain([head], blocks), max_record_bytes, closing=b"}", skip=opening.end() - 1))
    return Document("index", iter([_single(head, blocks, envelope, frozenset(fields), max_record_bytes)]))


def _neither_object_nor_array(head: bytes, blocks: Iterator[bytes], max_bytes: int) -> MalformedDocumentError:
    while len(head) <= max_bytes and (block := next(blocks, b"")):
        head += block
    try:
        kind = _SCALARS[type(orjson.loads(head))]
    except orjson.JSONDecodeError:
        return MalformedDocumentError("The document is not JSON: it must begin with { or [.")
    return MalformedDocumentError(f"The document is {kind}, not an object or an array: it must begin with {{ or [.")


def _behind_blanks(blocks: Iterator[bytes]) -> tuple[int, bytes]:
    """How many bytes of white space come first, of which a file may have any number, and what is behind them."""
    n_blank = 0
    for block in blocks:
        head = block.lstrip(BLANK)
        n_blank += len(block) - len(head)
        if head:
            return n_blank, head
    return n_blank, b""


def _opening(envelope: str) -> re.Pattern[bytes]:
    """How a document begins that is the envelope, up to the first sign of the value that it holds."""
    name = re.escape(json.dumps(envelope).encode())
    return re.compile(rb"\{[ \t\r\n]*" + name + rb'[ \t\r\n]*:[ \t\r\n]*([\[{"tfn0-9-])')


def _shows_its_shape(head: bytes, max_record_bytes: int) -> bool:
    return len(head) > max_record_bytes or (len(head) >= _SNIFFED and _has_two_lines(head))


def _has_two_lines(head: bytes) -> bool:
    _, newline, rest = head.partition(b"\n")
    return bool(newline and rest.strip(BLANK))


def _is_json_lines(head: bytes) -> bool:
    """Whether the first line is a whole JSON value and another line follows it."""
    if not _has_two_lines(head):
        return False
    try:
        orjson.loads(head.partition(b"\n")[0])
    except orjson.JSONDecodeError:
        return False
    return True


def _single(head: bytes, blocks: Iterator[bytes], envelope: str, fields: frozenset[str], max_bytes: int) -> RawRecord:
    while len(head) <= max_bytes and (block := next(blocks, b"")):
        head += block
    if len(head) > max_bytes:
        text = head.decode("utf-8", "ignore")  # its last character may be cut
        if (end := end_of_first_value(text)) is not None and text[end:].strip():
            raise MalformedDocumentError(_goes_on(end))
        raise RecordTooLargeError(f"The document begins with one object of more than {max_bytes} bytes.")
    try:
        members = json.loads(head).keys()
    except UnicodeDecodeError as exc:
        raise EncodingError(f"The document is not UTF-8 at byte {exc.start}.") from exc
    except json.JSONDecodeError as exc:
        raise MalformedDocumentError(_why_not_json(head.decode("utf-8", "surrogatepass"), exc.pos)) from exc
    except (RecursionError, ValueError):
        members = dict.fromkeys(fields).keys()  # JSON that is nested too deep or has an endless integer: a reject
    if envelope in members:
        raise WrongEnvelopeError(
            f'Beside "{envelope}" the document must have no other member, and that must be an array.'
        )
    if not fields & members:
        raise WrongEnvelopeError(
            f'The document is an object that is neither a record of this dataset nor {{"{envelope}": [...]}}.'
        )
    return RawRecord(0, head, len(head))


def _why_not_json(text: str, at: int) -> str:
    """What is wrong with a document that begins as an object does; a parser noticed it at a character of it."""
    if end_of_first_value(text) is not None:
        return _goes_on(at)
    found = f"The document is not JSON from character {at} on."
    first, _, rest = text.partition("\n")
    if at <= len(first) and rest.startswith("{"):
        found += " If it is JSON Lines, name it .jsonl: then only the lines that are broken are rejected."
    return found


def _goes_on(at: int) -> str:
    return (
        f"The document is not JSON from character {at} on, where something follows its first value: write the records "
        "as an array, or one per line in a file named .jsonl."
    )


def _array(blocks: Iterable[bytes], max_record_bytes: int, closing: bytes, skip: int = 0) -> Iterator[RawRecord]:
    """Cut the elements out of an array whose `[` is the first byte, blanks apart, after `skip` bytes.

    Behind its `]` only `closing` may stand.
    """
    cutter = ArrayCutter(max_record_bytes, skip)
    for block in blocks:
        yield from cutter.feed(block)
    cutter.finish(closing)
