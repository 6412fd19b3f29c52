"""Cuts a file of lines, or a chunk of it, into records."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, count, repeat
from operator import add

from functions.common.source.raw import BLANK, RawRecord

CTRL_Z = b"\x1a"
"""The character that some programs write at the end of a file."""

SplitLong = Callable[[int, Iterator[bytes]], Iterator[RawRecord]]
"""Takes the offset and the blocks of a line that is too long for one record, and returns the line's records."""


def read_lines(
    blocks: Iterable[bytes],
    max_record_bytes: int,
    split_long: SplitLong,
    start: int = 0,
    end: int | None = None,
) -> Iterator[RawRecord]:
    """Yield the records on the lines that begin in [start, end) of a file. Positions are byte offsets.

    Each line is treated as one record. `split_long` divides a line that is too long for one record. For `start` > 0,
    the blocks must begin one byte before `start`, because the bytes up to the first newline belong to the previous
    chunk. The last line is read to its end, even if that is after `end`.
    """
    offset = start - 1 if start else 0
    skipping = start > 0
    line, length = b"", 0  # the unfinished line: the bytes that are kept, and its length so far
    source = _Pushback(blocks)
    for block in source:
        first, *others = block.split(b"\n")
        line, length = line + first, length + len(first)
        if others:
            rest = others.pop()
            lines, lengths = [line, *others], [length, *map(len, others)]
            *offsets, offset = map(add, accumulate(lengths, initial=offset), count())
            within = slice(int(skipping), None if end is None else bisect_left(offsets, end))
            yield from _records(offsets[within], lines[within], lengths[within], max_record_bytes, split_long)
            line, length, skipping = rest, len(rest), False
            if end is not None and offset >= end:
                return
        if skipping:
            line = b""
            if end is not None and offset + length >= end:
                return  # no line begins in this chunk: an earlier line continues after it
        elif length > max_record_bytes:
            rest_of_line = _RestOfLine(line, source)
            yield from split_long(offset, rest_of_line)
            for _ in rest_of_line:
                pass
            offset += rest_of_line.length + 1
            line, length = b"", 0
            if rest_of_line.is_last or (end is not None and offset >= end):
                return
    if not skipping:
        if line.endswith(CTRL_Z):
            line, length = line[:-1], length - 1
        yield from _records([offset], [line], [length], max_record_bytes, split_long)


class _Pushback:
    """Iterates over blocks. After `give_back`, the next iteration returns the block again."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._given_back = b""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block, self._given_back = self._given_back, b""
        return block or next(self._blocks)

    def give_back(self, block: bytes) -> None:
        self._given_back = block


class _RestOfLine:
    """Yields the rest of a line in blocks, and returns the bytes after its newline to the source."""

    def __init__(self, beginning: bytes, source: _Pushback) -> None:
        self._beginning = beginning
        self._source = source
        self._has_ended = False
        self.length = 0
        self.is_last = False
        """Whether the file ends with the line."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._beginning:
            part, self._beginning = self._beginning, b""
        elif self._has_ended:
            raise StopIteration
        else:
            try:
                block = next(self._source)
            except StopIteration:
                self._has_ended = self.is_last = True
                raise
            part, newline, rest = block.partition(b"\n")
            self._has_ended = bool(newline)
            self._source.give_back(rest)
        self.length += len(part)
        return part


def _records(
    offsets: Sequence[int],
    lines: Sequence[bytes],
    lengths: Sequence[int],
    max_record_bytes: int,
    split_long: SplitLong,
) -> Iterator[RawRecord]:
    """Yield the records on lines. Nearly always, each line is one record, so all lines are tested together first."""
    if all(map(bytes.strip, lines, repeat(BLANK))) and max(lengths, default=0) <= max_record_bytes:
        fields = zip(offsets, lines, lengths, [False] * len(lines), strict=True)
        made: Iterator[RawRecord] = map(tuple.__new__, repeat(RawRecord), fields)  # _make is slower
        return made
    return _each(offsets, lines, lengths, max_record_bytes, split_long)


def _each(
    offsets: Sequence[int],
    lines: Sequence[bytes],
    lengths: Sequence[int],
    max_record_bytes: int,
    split_long: SplitLong,
) -> Iterator[RawRecord]:
    for offset, line, length in zip(offsets, lines, lengths, strict=True):
        if length > max_record_bytes:
            yield from split_long(offset, iter([line]))
        elif line.strip(BLANK):
            yield RawRecord(offset, line, length)
