"""Reads documents as `validate` does, from their bytes alone."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, cycle
from typing import Any

from hypothesis import strategies as st

from functions.common.diagnoses.table import check_beginning
from functions.common.source.content import LINES, SEQUENCE
from functions.common.source.documents import Document, read_as_lines, read_sequence
from functions.common.source.layout import HEAD_BYTES, layout_of
from functions.common.source.raw import RawRecord


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """`data` in blocks of these sizes, over and over."""
    start = 0
    for size in cycle(sizes):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


def checked(blocks: Iterable[bytes], compression: str = "") -> bytes:
    """The bytes of these blocks. Raises the errors of a file that can't be JSON by its beginning."""
    data = b"".join(blocks)
    check_beginning(data[:HEAD_BYTES], compression)
    return data


def read_document(
    blocks: Iterable[bytes], envelope: str, fields: Iterable[str], cap: int, by_name: str = SEQUENCE
) -> Document:
    """A document, laid out as its first bytes say, or else as its name does: by default as a sequence."""
    blocks, held, length = iter(blocks), list[bytes](), 0
    for block in blocks:
        held.append(block)
        length += len(block)
        if length > HEAD_BYTES:
            break
    head = b"".join(held)
    layout = layout_of(head, is_all=length <= HEAD_BYTES, by_name=by_name, envelope=envelope)
    if layout == LINES:
        return read_as_lines(chain(held, blocks), (envelope,), cap)
    return read_sequence(chain(held, blocks), (envelope,), fields, cap)


def read_lines(blocks: Iterable[bytes], cap: int, start: int = 0, end: int | None = None) -> Iterator[RawRecord]:
    """The lines that begin in [start, end) of a file; those that surely have several values are split."""
    return read_as_lines(blocks, (), cap, start, end).records


def records_of(document: Document) -> list[RawRecord]:
    """All records of a document, also those that share a line."""
    return [part for raw in document.records for part in document.split(raw)]


def json_values(strings: st.SearchStrategy[str], size: int, leaves: int) -> st.SearchStrategy[Any]:
    """JSON values with these strings, arrays and objects of at most `size`, and about `leaves` scalars."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | strings,
        lambda inner: st.lists(inner, max_size=size) | st.dictionaries(strings, inner, max_size=size),
        max_leaves=leaves,
    )
