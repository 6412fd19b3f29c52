"""Opens one chunk: checks the limits, decompresses the bytes, and finds the records according to the batch's plan."""

from collections.abc import Callable, Iterator
from itertools import chain

from functions.common.batch import Batch
from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.diagnoses.table import check_beginning, unsupported_compression
from functions.common.errors import ObjectTooLargeError, UnsupportedFormatError
from functions.common.source.compression import (
    FORMAT_BYTES,
    READ,
    compression_of,
    decompress,
    format_of,
    without_suffix,
)
from functions.common.source.content import LINES
from functions.common.source.documents import Document, read_as_lines, read_sequence
from functions.common.source.layout import HEAD_BYTES, layout_by_name, layout_of


def open_chunk(
    batch: Batch, chunk: int, contract: Contract, limits: Settings, read: Callable[[int], Iterator[bytes]]
) -> Document:
    """Return the records of one chunk. `read(offset)` returns the blocks of the stored object, starting at that offset.

    Raises UnsupportedFormatError or ObjectTooLargeError immediately. Raises the errors of documents.py and `decompress`
    either immediately or while the records are read.
    """
    by_name = layout_by_name(batch.source.key, contract.input)
    size, is_cut = batch.source.size, batch.last_chunk > 0
    if size > limits.max_object_bytes:
        raise ObjectTooLargeError(f"The file has {size} bytes; max_object_bytes allows {limits.max_object_bytes}.")
    if size == 0:
        _check_format(b"", batch.source.key, by_name)
        return Document("byte", iter(()))
    start = chunk * batch.chunk_bytes
    end = start + batch.chunk_bytes if is_cut else None
    path = contract.input.record_path
    blocks = read(max(0, start - 1))
    head, compression = b"", ""
    if chunk == 0:
        head, blocks = _head(blocks, FORMAT_BYTES)
        compression = batch.compression or compression_of(head)
        _check_format(head, batch.source.key, by_name)
        if compression and is_cut:
            raise UnsupportedFormatError(f"The file is compressed with {compression}, but was planned as uncompressed.")
        if compression:
            blocks = _decompressed(blocks, compression, size, limits)
        head, blocks = _head(blocks, HEAD_BYTES)
        check_beginning(head, compression)
    layout = LINES if is_cut else batch.layout
    if not layout:  # the content is compressed, or an earlier release planned the batch
        layout = layout_of(head, is_all=len(head) < HEAD_BYTES, by_name=by_name, envelope=path[0] if path else "")
    if layout == LINES:
        document = read_as_lines(blocks, path, limits.max_record_bytes, start, end)
        document.beginning = head
        return document
    if not compression and size > limits.max_inflated_bytes:
        raise ObjectTooLargeError(
            f"The file has {size} bytes and can't be split into chunks; "
            f"max_inflated_bytes allows {limits.max_inflated_bytes} bytes in one chunk."
        )
    fields = {name for version in contract.versions for name in version.fields}
    document = read_sequence(blocks, path, fields, limits.max_record_bytes)
    document.beginning = head
    return document


def _check_format(head: bytes, key: str, by_name: str) -> None:
    """Raise UnsupportedFormatError if the compression is unsupported, or if the file's name doesn't show its format."""
    found = format_of(head)
    _, named = without_suffix(key)
    if head and not found and named and named not in READ and head.lstrip()[:1] not in (b"{", b"["):
        raise unsupported_compression(named)  # its files have no typical first bytes
    if found and found not in READ:
        check_beginning(head)
    if not by_name:
        raise UnsupportedFormatError(
            "The file's name does not end in .json, .jsonl or .ndjson, with or without the suffix of a compression, "
            "and the contract does not specify the format of such files. Set input.format in its contract.json."
        )


def _decompressed(blocks: Iterator[bytes], compression: str, size: int, limits: Settings) -> Iterator[bytes]:
    by_ratio = limits.max_inflation_ratio * size
    setting = "max_inflated_bytes" if limits.max_inflated_bytes <= by_ratio else "max_inflation_ratio"
    return decompress(blocks, compression, min(limits.max_inflated_bytes, by_ratio), setting=setting)


def _head(blocks: Iterator[bytes], n_bytes: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `n_bytes` bytes, or all bytes if there are fewer, and an iterator over all blocks."""
    held, length = [], 0
    for block in blocks:
        held.append(block)
        length += len(block)
        if length >= n_bytes:
            break
    return b"".join(held)[:n_bytes], chain(held, blocks)
