"""Open a chunk: suffixes, size limits, and complete or broken gzip data."""

import gzip
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.batch import Batch, Source
from functions.common.contract import load_contract
from functions.common.errors import (
    CorruptGzipError,
    EncodingError,
    InflatedTooLargeError,
    ObjectTooLargeError,
    UnsupportedFormatError,
)
from functions.common.source.chunk import open_chunk
from functions.common.source.compression import decompress
from functions.common.source.documents import Document

LIMITS = SimpleNamespace(
    max_object_bytes=100_000, max_inflated_bytes=50_000, max_inflation_ratio=100, max_record_bytes=10_000
)
BATCH = Batch("orders", "orders-1", 1, Source("b", "k", "v", 0, "e", ""), "2026-01-01T00:00:00Z", 1_000_000, 0)
LINES = b'{"a":1}\n{"a":2}\n{"a":3}\n'


def blocks_of(data: bytes, size: int = 7) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def opened(data: bytes, key: str, chunk: int = 0, **batch: Any) -> Document:
    source = replace(BATCH.source, key=key, size=len(data))
    return open_chunk(
        replace(BATCH, source=source, **batch),
        chunk,
        load_contract("orders"),
        LIMITS,  # type: ignore[arg-type]
        lambda offset: blocks_of(data[offset:]),
    )


def records(data: bytes, key: str, **batch: Any) -> list[bytes]:
    return [record.data for record in opened(data, key, **batch).records]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a.jsonl", "byte"),
        ("a.ndjson", "byte"),
        ("a.JSONL", "byte"),
        ("a.json", "index"),
        ("a.Json", "index"),
        ("a.json.jsonl", "byte"),
        ("a.jsonl.bz2", "byte"),
        ("a.json.zst", "index"),
        ("a.csv.json", "index"),
        ("a b+c%20d/../é.json", "index"),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_file_is_read_by_its_content_under_each_name(key: str, kind: str, gzipped: bool) -> None:
    data = LINES if kind == "byte" else b"[" + LINES.strip().replace(b"\n", b",") + b"]"
    if gzipped:
        data, key = gzip.compress(data, mtime=0), key if key.endswith(("2", "t")) else f"{key}.GZ"
    assert opened(data, key).position_kind == kind
    assert records(data, key) == LINES.split()


@pytest.mark.parametrize(
    "key", ["a.csv", "a", "json", "a.zip", "a.gz", "a.jsonl.bak", "a.parquet", "a.json.gz.gz", "a/"]
)
@pytest.mark.parametrize("data", [LINES, b""])
def test_any_other_suffix_is_refused(key: str, data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"does not end in \.json, \.jsonl or \.ndjson.*Set input\.format"):
        opened(data, key)


@pytest.mark.parametrize("key", ["a.json", "a.jsonl", "a.json.gz", "a.jsonl.gz"])
def test_an_empty_file_has_no_record(key: str) -> None:
    assert records(b"", key) == []
    if key.endswith(".gz"):
        assert records(gzip.compress(b"", mtime=0), key) == []


@pytest.mark.parametrize(
    ("key", "data", "padding"),
    [("a.jsonl", LINES, b"\n"), ("a.jsonl.gz", gzip.compress(LINES, mtime=0), b"\0")],
)
def test_the_error_about_stored_bytes_has_size_and_cap(key: str, data: bytes, padding: bytes) -> None:
    assert records(data.ljust(100_000, padding), key) == records(data, key)
    with pytest.raises(ObjectTooLargeError, match=r"has 100001 bytes; max_object_bytes allows 100000"):
        opened(data.ljust(100_001, padding), key)


def test_a_document_has_one_chunk_and_its_own_cap() -> None:
    assert records(b"[]".ljust(50_000), "a.json") == []
    with pytest.raises(
        ObjectTooLargeError, match=r"has 50001 bytes and can't be split into chunks; max_inflated_bytes allows 50000"
    ):
        opened(b"[]".ljust(50_001), "a.json")


@pytest.mark.parametrize("key", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_encoding_is_checked_in_the_first_chunk_of_any_file(key: str, gzipped: bool) -> None:
    data = b"\xef\xbb\xbf" + LINES
    with pytest.raises(EncodingError):
        records(gzip.compress(data, mtime=0) if gzipped else data, f"{key}.gz" if gzipped else key)


@pytest.mark.parametrize("line", [b"\xff\xfe", b"\xef\xbb\xbf{}", b"\0\0"])
def test_a_later_chunk_may_begin_with_any_bytes(line: bytes) -> None:
    data = b'{"a":1}\n' + line + b"\n"
    assert [record.data for record in opened(data, "a.jsonl", 1, chunk_bytes=8, last_chunk=1).records] == [line]


@given(st.integers(1, 30))
def test_each_line_is_in_exactly_one_chunk(chunk_bytes: int) -> None:
    plan = {"chunk_bytes": chunk_bytes, "last_chunk": -(-len(LINES) // chunk_bytes) - 1}
    found = [list(opened(LINES, "a.jsonl", chunk, **plan).records) for chunk in range(plan["last_chunk"] + 1)]
    assert [record.data for part in found for record in part] == LINES.split()
    assert [record.position for part in found for record in part] == [0, 8, 16]


# --- gzip -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=4), st.integers(1, 500), st.integers(1, 2_000))
def test_gzip_members_are_inflated_for_any_block_size(parts: list[bytes], size: int, block_bytes: int) -> None:
    stored = b"".join(map(gzip.compress, parts))
    assert b"".join(decompress(blocks_of(stored, size), "gzip", 1 << 20, block_bytes)) == b"".join(parts)


STORED = gzip.compress(LINES * 50, mtime=0)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(STORED[:-1], id="cut off in its trailer"),
        pytest.param(STORED[:30], id="cut off in its data"),
        pytest.param(STORED[:5], id="cut off in its header"),
        pytest.param(STORED[:20] + b"\xff\xff\xff" + STORED[23:], id="damaged data"),
        pytest.param(STORED[:-8] + b"\0\0\0\0" + STORED[-4:], id="wrong checksum"),
        pytest.param(STORED[:-4] + b"\1\0\0\0", id="wrong length"),
        pytest.param(STORED + b"garbage", id="garbage after it"),
    ],
)
def test_a_broken_gzip_stream_is_reported_with_the_number_of_bytes_read(stored: bytes) -> None:
    with pytest.raises(CorruptGzipError, match=r"corrupt after \d+ decompressed bytes"):
        records(stored, "a.jsonl.gz")


@pytest.mark.parametrize(
    ("content", "cap"),
    [
        pytest.param(bytes(range(32, 127)) * 700, 50_000, id="more than max_inflated_bytes"),
        pytest.param(
            b"x" * 49_000, 100 * len(gzip.compress(b"x" * 49_000, mtime=0)), id="more than max_inflation_ratio"
        ),
    ],
)
def test_a_gzip_bomb_is_stopped_at_the_lower_cap(content: bytes, cap: int) -> None:
    stored = gzip.compress(content, mtime=0)
    with pytest.raises(InflatedTooLargeError, match=f"more than {min(cap, 100 * len(stored))} bytes"):
        records(stored, "a.jsonl.gz")


@pytest.mark.parametrize(("cap", "passes"), [(100, True), (99, False)])
def test_a_file_at_the_cap_on_inflated_bytes_is_allowed(cap: int, passes: bool) -> None:
    stream = decompress(blocks_of(gzip.compress(b"x" * 100, mtime=0)), "gzip", cap)
    if passes:
        assert b"".join(stream) == b"x" * 100
    else:
        with pytest.raises(InflatedTooLargeError):
            list(stream)


def test_a_gzip_bomb_is_not_inflated_into_memory() -> None:
    stored = gzip.compress(bytes(20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(InflatedTooLargeError):
            for _ in decompress(blocks_of(stored, 1_000), "gzip", 15_000_000, 100_000):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_an_error_of_the_reader_goes_through_gzip_unchanged() -> None:
    def failing() -> Iterator[bytes]:
        yield STORED[:20]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(decompress(failing(), "gzip", 1 << 20))
