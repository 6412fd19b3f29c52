"""Detects how a file is compressed from its first bytes, and decompresses it."""

import bz2
import re
import zlib
from collections.abc import Iterator
from typing import Protocol

from functions.common.errors import CorruptGzipError, InflatedTooLargeError

GZIP, BZIP2, ZSTD = "gzip", "bzip2", "zstd"
READ = (GZIP, BZIP2, ZSTD)
"""The supported compressions."""

ARCHIVES = ("zip", "tar", "7-Zip", "RAR")
TABLES_AND_DOCUMENTS = ("Avro", "ORC", "Arrow", "SQLite", "Excel (xlsx)", "Microsoft Office (xls)", "PDF")
"""Formats of whole files that hold other files, or tables and documents."""

_BEGINNINGS = (
    (GZIP, rb"\x1f\x8b"),
    (BZIP2, rb"BZh[1-9](1AY&SY|\x17rE8P\x90|\Z)"),
    (ZSTD, rb"\x28\xb5\x2f\xfd"),
    ("zlib (deflate)", rb"x[\x01\x5e\x9c\xda]"),
    ("xz", rb"\xfd7zXZ"),
    ("LZ4", rb"\x04\x22\x4d\x18"),
    ("Snappy", rb"\xff\x06\0\0s"),
    ("Excel (xlsx)", rb"(?s)PK\x03\x04.{26}(\[Content_Types\]\.xml|_rels/|xl/|docProps/)"),
    ("zip", rb"PK\x03\x04"),
    ("tar", rb"(?s).{257}ustar"),
    ("7-Zip", rb"7z\xbc\xaf\x27\x1c"),
    ("RAR", rb"Rar!\x1a\x07"),
    ("Parquet", rb"PAR1\x15"),
    ("Avro", rb"Obj\x01"),
    ("ORC", rb"ORC"),
    ("Arrow", rb"ARROW1\0\0|\xff{4}"),
    ("SQLite", rb"SQLite format 3\0"),
    ("Microsoft Office (xls)", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("PDF", rb"%PDF-"),
)
"""Formats that are often sent under another format's name, each with a pattern of its first bytes.

JSON never begins with these bytes. Earlier patterns outrank later ones.
"""

FORMAT_BYTES = 512
"""How many bytes `format_of` needs."""


_SUFFIXES = {
    ".gz": GZIP,
    ".bz2": BZIP2,
    ".zst": ZSTD,
    ".zstd": ZSTD,
    ".deflate": "zlib (deflate)",
    ".zlib": "zlib (deflate)",
    ".z": "compress",
    ".xz": "xz",
    ".lz4": "LZ4",
    ".lzo": "LZO",
    ".lzma": "LZMA",
    ".snappy": "Snappy",
    ".sz": "Snappy",
    ".br": "Brotli",
    ".zip": "zip",
}
"""The compression that each suffix of a file's name stands for."""


def format_of(beginning: bytes) -> str:
    """Return the compression or binary format that a file's first bytes indicate, or an empty string."""
    return next((name for name, pattern in _BEGINNINGS if re.match(pattern, beginning)), "")


def is_compression(name: str) -> bool:
    """Return whether a format that `format_of` returned is a compression of a single file."""
    return bool(name) and name not in (*ARCHIVES, *TABLES_AND_DOCUMENTS, "Parquet")


def compression_of(beginning: bytes) -> str:
    """Return the supported compression that a file's first bytes indicate: one of READ, or an empty string."""
    found = format_of(beginning)
    return found if found in READ else ""


def without_suffix(key: str) -> tuple[str, str]:
    """Return a key in lower case without its compression suffix, and the compression that the suffix stands for."""
    name = key.lower()
    suffix = next((one for one in _SUFFIXES if name.endswith(one)), "")
    return name.removesuffix(suffix), _SUFFIXES.get(suffix, "")


class _Decompressor(Protocol):
    """The common interface of the libraries' decompressors."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """Adapts zlib's decompressor to the interface that the bzip2 and zstd decompressors share."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)  # RFC 1952, with its checksums
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        content = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self.needs_input = not self._inflate.unconsumed_tail and len(content) < max_length
        return content


def _decompressor(compression: str) -> tuple[_Decompressor, type[Exception]]:
    """Return a decompressor, and the exception that it raises for corrupt data."""
    if compression == ZSTD:
        from backports import zstd  # few files need it

        return zstd.ZstdDecompressor(), zstd.ZstdError
    return (bz2.BZ2Decompressor(), OSError) if compression == BZIP2 else (_Gzip(), zlib.error)


def decompress(
    blocks: Iterator[bytes],
    compression: str,
    max_bytes: int,
    block_bytes: int = 1 << 18,
    setting: str = "max_inflated_bytes",
) -> Iterator[bytes]:
    """Yield the decompressed content of a file, which may consist of several streams.

    Raises CorruptGzipError for corrupt data. Raises InflatedTooLargeError, which names `setting`, if the content has
    more than `max_bytes`.
    """
    total = 0
    stream, error = _decompressor(compression)
    for block in blocks:
        data = block
        while data or not stream.needs_input:
            if stream.eof:
                data = data.lstrip(b"\0")  # padding
                if not data:
                    break
                stream, error = _decompressor(compression)
            try:
                content = stream.decompress(data, block_bytes)
            except error as exc:
                raise CorruptGzipError(_broken(compression, total)) from exc
            data = stream.unused_data if stream.eof else b""
            total += len(content)
            if total > max_bytes:
                raise InflatedTooLargeError(
                    f"The file inflates to more than {max_bytes} bytes, the limit for its size ({setting})."
                )
            if content:
                yield content
    if not stream.eof:
        raise CorruptGzipError(_broken(compression, total))


def _broken(compression: str, total: int) -> str:
    return f"The {compression} stream is corrupt after {total} decompressed bytes."
