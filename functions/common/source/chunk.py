"""Opens the bytes of one chunk: checks the caps, inflates gzip, and finds the records by the file's suffix."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from functions.common.batch import Batch
from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.errors import (
    CorruptGzipError,
    InflatedTooLargeError,
    ObjectTooLargeError,
    UnsupportedFormatError,
)
from functions.common.planning import JSON_LINES
from functions.common.source.documents import Document, check_encoding, read_document, read_lines

DOCUMENT = ".json"
GZIP = ".gz"
_GZIP_MAGIC = b"\x1f\x8b"


def open_chunk(
    batch: Batch, chunk: int, contract: Contract, limits: Settings, read: Callable[[int], Iterator[bytes]]
) -> Document:
    """The records of one chunk. `read(offset)` gives the blocks of the stored object from an offset on.

    Raises UnsupportedFormatError and ObjectTooLargeError at once; what documents.py and inflate raise may come
    while the records are being read.
    """
    name = batch.source.key.lower().removesuffix(GZIP)
    gzipped = batch.source.key.lower().endswith(GZIP)
    if not name.endswith((*JSON_LINES, DOCUMENT)):
        raise UnsupportedFormatError(
            "The file's name must end in .json, .jsonl or .ndjson, or in one of these and .gz."
        )
    if batch.source.size > limits.max_object_bytes:
        raise ObjectTooLargeError(
            f"The file has {batch.source.size} bytes; max_object_bytes allows {limits.max_object_bytes}."
        )
    if not gzipped and name.endswith(DOCUMENT) and batch.source.size > limits.max_inflated_bytes:
        raise ObjectTooLargeError(
            f"The file has {batch.source.size} bytes and can't be cut; "
            f"max_inflated_bytes allows {limits.max_inflated_bytes} at once."
        )
    if batch.source.size == 0:
        return Document("byte", iter(()))
    start = chunk * batch.chunk_bytes
    blocks = read(max(0, start - 1))
    if gzipped:
        by_ratio = limits.max_inflation_ratio * batch.source.size
        setting = "max_inflated_bytes" if limits.max_inflated_bytes <= by_ratio else "max_inflation_ratio"
        blocks = inflate(blocks, min(limits.max_inflated_bytes, by_ratio), setting=setting)
    if chunk == 0:
        blocks = check_encoding(blocks, inflated=gzipped)
    if name.endswith(DOCUMENT):
        fields = {name for version in contract.versions for name in version.schema["properties"]}
        return read_document(blocks, "".join(contract.input.record_path[:1]), fields, limits.max_record_bytes)
    end = start + batch.chunk_bytes if batch.last_chunk else None
    return Document("byte", read_lines(blocks, limits.max_record_bytes, start, end))


def inflate(
    blocks: Iterator[bytes], max_bytes: int, block_bytes: int = 1 << 18, setting: str = "max_inflated_bytes"
) -> Iterator[bytes]:
    """Inflate a gzip stream of one or more members (RFC 1952), up to the bytes that a `setting` allows.

    Raises CorruptGzipError and InflatedTooLargeError.
    """
    total, source = 0, _Blocks(blocks)
    with gzip.GzipFile(fileobj=io.BufferedReader(source), mode="rb") as stream:
        while True:
            try:
                block = stream.read(block_bytes)
            except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
                is_gzip = source.beginning.startswith(_GZIP_MAGIC)
                found = "The" if is_gzip else "The file is not gzip, though its name ends in .gz: the"
                raise CorruptGzipError(f"{found} gzip stream is broken after {total} inflated bytes.") from exc
            if not block:
                return
            total += len(block)
            if total > max_bytes:
                raise InflatedTooLargeError(
                    f"The file inflates to more than {max_bytes} bytes, the cap for its size ({setting})."
                )
            yield block


class _Blocks(io.RawIOBase):
    """An iterator of blocks as a readable file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""
        self.beginning = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
            self.beginning = (self.beginning + self._rest)[: len(_GZIP_MAGIC)]
        taken = self._rest[: len(target)]
        target[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
