"""Finds the records in a document: JSON Lines, an array, the contract's envelope, or one single record.

What comes out is bytes: each record is parsed once, by the validation. Nothing here holds more than one record
and one block of the file.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import orjson

from functions.common.errors import EncodingError, MalformedDocumentError, RecordTooLargeError, WrongEnvelopeError

PositionKind = Literal["byte", "index"]

_BLANK = b" \t\r\n"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_STRUCTURE = re.compile(rb'["{}\[\],]')
_STRING = re.compile(rb'["\\]')
_KEPT_OF_OVERSIZE = 1024
"""How much is kept of a record that is too large to be looked at, in bytes."""

_SNIFFED = 4096
"""How much of a document is looked at, at least, before its shape is settled, in bytes."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as its bytes stand in the document, not yet parsed."""

    position: int
    data: bytes
    length: int
    """Bytes in the document."""
    oversize: bool = False
    """Whether it is over the cap, and `data` only its beginning."""


@dataclass(frozen=True, slots=True)
class Document:
    """The records of a document, and what their positions count: bytes (JSON Lines) or records (the rest)."""

    position_kind: PositionKind
    records: Iterator[RawRecord]


def check_encoding(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Hand the blocks on, having seen that the first is not UTF-16 and has no byte order mark (EncodingError)."""
    iterator = iter(blocks)
    first = next(iterator, b"")
    if first.startswith(_BYTE_ORDER_MARKS):
        raise EncodingError(
            "The file begins with a byte order mark; JSON is UTF-8 without one (RFC 8259, section 8.1)."
        )
    if b"\0" in first[:2]:  # no JSON text begins with NUL, or has it behind its first character
        raise EncodingError("The file is not UTF-8: its first characters take more than a byte each, as in UTF-16.")
    return chain([first], iterator)


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
        *complete, rest = block.split(b"\n")
        for part in complete:
            length += len(part)
            if not skipping and (record := _line(offset, line + part, length, max_record_bytes)):
                yield record
            offset += length + 1
            skipping, line, length = False, b"", 0
            if end is not None and offset >= end:
                return
        length += len(rest)
        line = (line + rest)[: _KEPT_OF_OVERSIZE if length > max_record_bytes else None]
    if not skipping and (record := _line(offset, line, length, max_record_bytes)):
        yield record


def _line(offset: int, data: bytes, length: int, max_record_bytes: int) -> RawRecord | None:
    if length > max_record_bytes:
        return RawRecord(offset, data[:_KEPT_OF_OVERSIZE], length, oversize=True)
    return RawRecord(offset, data, length) if data.strip(_BLANK) else None


def read_document(blocks: Iterable[bytes], envelope: str, fields: Iterable[str], max_record_bytes: int) -> Document:
    """The records of a `.json` document, whose shape is seen from its first bytes.

    An array, an object whose only member `envelope` is an array, JSON Lines after all, or one record: an object
    with at least one of the record's `fields`. A blank document has no records. Raises MalformedDocumentError,
    WrongEnvelopeError and RecordTooLargeError; the first two also while the records are being read.
    """
    blocks = iter(blocks)
    head = b""
    for block in blocks:
        head += block
        if head.strip(_BLANK):
            break
    body = head.lstrip(_BLANK)
    if not body:
        return Document("index", iter(()))
    if body.startswith(b"["):
        return Document("index", _array(chain([head], blocks), max_record_bytes, closing=b""))
    if not body.startswith(b"{"):
        raise MalformedDocumentError("The document is not JSON: it must begin with { or [.")
    while not _shows_its_shape(head, max_record_bytes) and (block := next(blocks, b"")):
        head += block
    if _is_json_lines(head):
        return Document("byte", read_lines(chain([head], blocks), max_record_bytes))
    if opening := re.match(rb"\s*\{\s*" + re.escape(json.dumps(envelope).encode()) + rb"\s*:\s*(\S)", head):
        if opening[1] != b"[":
            raise WrongEnvelopeError(f'The member "{envelope}" must be an array of records.')
        return Document("index", _array(chain([head], blocks), max_record_bytes, closing=b"}", skip=opening.end() - 1))
    return Document("index", iter([_single(head, blocks, envelope, frozenset(fields), max_record_bytes)]))


def _shows_its_shape(head: bytes, max_record_bytes: int) -> bool:
    return len(head) > max_record_bytes or (len(head) >= _SNIFFED and _has_two_lines(head))


def _has_two_lines(head: bytes) -> bool:
    _, newline, rest = head.lstrip(_BLANK).partition(b"\n")
    return bool(newline and rest.strip(_BLANK))


def _is_json_lines(head: bytes) -> bool:
    """Whether the first line is a whole JSON value and another line follows it."""
    if not _has_two_lines(head):
        return False
    try:
        orjson.loads(head.lstrip(_BLANK).partition(b"\n")[0])
    except orjson.JSONDecodeError:
        return False
    return True


def _single(head: bytes, blocks: Iterator[bytes], envelope: str, fields: frozenset[str], max_bytes: int) -> RawRecord:
    while len(head) <= max_bytes and (block := next(blocks, b"")):
        head += block
    if len(head) > max_bytes:
        raise RecordTooLargeError(f"The document is one object of more than {max_bytes} bytes.")
    try:
        members = json.loads(head).keys()
    except UnicodeDecodeError as exc:
        raise EncodingError(f"The document is not UTF-8 at byte {exc.start}.") from exc
    except json.JSONDecodeError as exc:
        raise MalformedDocumentError(
            f"The document is not JSON from character {exc.pos} on (JSON Lines should be named .jsonl)."
        ) from exc
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


def _array(blocks: Iterable[bytes], max_record_bytes: int, closing: bytes, skip: int = 0) -> Iterator[RawRecord]:
    """Cut the elements out of an array whose `[` is the first byte, blanks apart, after `skip` bytes.

    Behind its `]` only `closing` may stand.
    """
    cutter = _ArrayCutter(max_record_bytes, skip)
    for block in blocks:
        yield from cutter.feed(block)
    cutter.finish(closing)


class _ArrayCutter:
    """Follows brackets and strings through an array, block by block, and cuts at its own commas."""

    def __init__(self, max_record_bytes: int, skip: int) -> None:
        self._max = max_record_bytes
        self._buffer = b""
        self._scan = skip  # where to go on in the buffer
        self._start = skip  # where the current element begins in the buffer
        self._cut = 0  # bytes of the current element that were let go
        self._kept = b""  # the beginning of an element that is too large
        self._depth = 0
        self._in_string = False
        self._index = 0
        self._closed = False
        self._tail = b""

    def feed(self, block: bytes) -> Iterator[RawRecord]:
        """The elements that end in this block."""
        if self._closed:
            self._tail = (self._tail + block.strip(_BLANK))[:16]
            return
        self._buffer += block
        buffer, scan = self._buffer, self._scan
        while not self._closed:
            found = (_STRING if self._in_string else _STRUCTURE).search(buffer, scan)
            if found is None:
                scan = max(scan, len(buffer))
                break
            scan, sign = found.end(), found[0]
            if self._in_string:
                if sign == b'"':
                    self._in_string = False
                else:
                    scan += 1  # the character behind a backslash
            elif sign == b'"':
                self._in_string = True
            elif sign in b"{[":
                self._depth += 1
                if self._depth == 1:
                    self._start = scan
            elif sign == b"," and self._depth == 1:
                yield self._element(buffer[self._start : scan - 1])
                self._start = scan
            elif sign in b"}]":
                self._depth -= 1
                if self._depth == 0:
                    yield from self._close(buffer[self._start : scan - 1], sign)
                    self._tail = buffer[scan:].strip(_BLANK)[:16]
        self._let_go(scan)

    def finish(self, closing: bytes) -> None:
        """Raise MalformedDocumentError (WrongEnvelopeError) unless the document ended where it had to."""
        if not self._closed:
            raise MalformedDocumentError(f"The document ends inside its array, after {self._index} records.")
        if self._tail != closing:
            if not self._tail:
                raise MalformedDocumentError(f"The document ends inside its envelope, after {self._index} records.")
            if closing and self._tail.startswith(b","):
                raise WrongEnvelopeError("The envelope must have no other member behind its array of records.")
            raise MalformedDocumentError(f"Something stands behind the end of the array, after {self._index} records.")

    def _element(self, data: bytes) -> RawRecord:
        length = self._cut + len(data)
        oversize = length > self._max
        if oversize:
            data = (self._kept + data)[:_KEPT_OF_OVERSIZE]
        elif not (data := data.strip(_BLANK)):
            raise MalformedDocumentError(f"The array has a comma without a record, at record {self._index}.")
        self._cut, self._kept = 0, b""
        self._index += 1
        return RawRecord(self._index - 1, data, length, oversize)

    def _close(self, data: bytes, sign: bytes) -> Iterator[RawRecord]:
        if sign != b"]":
            raise MalformedDocumentError(f"A bracket is closed by the wrong sign after record {self._index}.")
        self._closed = True
        if self._index or data.strip(_BLANK) or self._cut:
            yield self._element(data)

    def _let_go(self, scan: int) -> None:
        """Keep of the buffer only what belongs to the current element, and of that no more than the cap."""
        start = min(self._start, len(self._buffer))
        rest = self._buffer[start:]
        self._scan = scan - start
        if self._depth and (self._cut or len(rest) > self._max):
            self._kept = (self._kept + rest)[:_KEPT_OF_OVERSIZE]
            self._cut += len(rest)
            self._scan -= len(rest)
            rest = b""
        self._buffer, self._start = rest, 0
