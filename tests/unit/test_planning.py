"""From an object version to a batch: its dataset, its name and its chunks."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.batch import Batch, Source, batch_id_for
from functions.common.input_settings import InputSettings
from functions.common.planning import (
    MAX_CHUNKS,
    dataset_of,
    ignored_by,
    padded_sequencer,
    plan_batch,
    plan_chunks,
    source_of,
)
from functions.common.source.content import LINES, SEQUENCE, UNKNOWN, Content

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def source(key: str, size: int = 10, version: str = "v1") -> Source:
    return Source("bucket", key, version, size, "etag", "")


@given(size=st.integers(0, 10**13), chunk_bytes=st.integers(1, 10**9))
def test_chunks_cover_the_file_once_and_their_number_is_limited(size: int, chunk_bytes: int) -> None:
    planned, last = plan_chunks(size, chunk_bytes)
    assert planned >= chunk_bytes
    assert last + 1 <= MAX_CHUNKS
    assert planned * last < max(size, 1) <= planned * (last + 1)


@pytest.mark.parametrize("content", [UNKNOWN, Content("", SEQUENCE), Content("gzip", "")])
def test_only_lines_are_cut(content: Content) -> None:
    batch = plan_batch(source("incoming/orders/x.jsonl", 1000), NOON, 10, content=content)
    assert (batch.chunk_bytes, batch.last_chunk) == (10, 0)


def test_lines_are_cut_regardless_of_the_name() -> None:
    batch = plan_batch(source("incoming/orders/x.json", 1000), NOON, 10, content=Content("", LINES))
    assert (batch.chunk_bytes, batch.last_chunk, batch.layout) == (10, 99, "lines")


def test_a_batch_that_an_earlier_release_planned_can_be_read() -> None:
    planned = plan_batch(source("incoming/orders/x.jsonl", 1000), NOON, 10, content=Content("", LINES)).to_input()
    del planned["layout"], planned["compression"]
    batch = Batch.from_input(planned)
    assert (batch.layout, batch.compression, batch.last_chunk) == ("", "", 99)


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("incoming/orders/x.json", None),
        ("incoming/orders/_SUCCESS", "_*"),
        ("incoming/orders/_temporary/0/part-0.json", "_*"),
        ("incoming/orders/2026/.hidden.json", ".*"),
        ("incoming/orders/2026/manifest-1.json", "manifest-*"),
        ("incoming/_SUCCESS", "_*"),
        ("incoming/_temporary/0/part-0.json", "_*"),
        ("elsewhere/_SUCCESS", None),
    ],
)
def test_keys_are_ignored_by_the_names_below_the_datasets_folder(key: str, pattern: str | None) -> None:
    assert ignored_by(key, InputSettings(ignore=("manifest-*",))) == pattern


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("incoming/orders/x.json", "orders"),
        ("incoming/orders/2026/03/x.json", "orders"),
        ("incoming/web_visits/x.json", "web_visits"),
        ("incoming/x.json", "unknown"),
        ("incoming//x.json", "unknown"),
        ("incoming/Orders/x.json", "unknown"),
        ("incoming/../x.json", "unknown"),
        ("incoming/o r/x.json", "unknown"),
        (f"incoming/{'o' * 31}/x.json", "unknown"),
    ],
)
def test_the_dataset_is_the_folder_under_incoming(key: str, dataset: str) -> None:
    assert dataset_of(key) == dataset


@given(key=st.text(min_size=1, max_size=1024), version=st.text(max_size=1024), revision=st.integers(1, 999_999))
def test_a_batch_id_can_name_an_execution(key: str, version: str, revision: int) -> None:
    batch_id = batch_id_for("o" * 30, "bucket", key, version, revision)
    assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", batch_id)


def test_versions_keys_buckets_and_revisions_have_different_batch_ids() -> None:
    places = [("b", "k", "v"), ("b", "k", "w"), ("b", "kv", ""), ("bk", "", "v")]
    ids = {batch_id_for("orders", *place, revision) for place in places for revision in (1, 2)}
    assert len(ids) == 8
    assert batch_id_for("orders", "b", "k", "v") == "orders-31b60cc0b81fcf4a6c39ce59fa6eed93"


def test_the_time_of_a_batch_is_that_of_the_version_in_utc() -> None:
    local = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    batch = plan_batch(source("incoming/orders/x.json"), local, 10)
    assert (batch.ingested_at, batch.ingest_date) == ("2026-02-28T22:30:00Z", "2026-02-28")


def test_a_batch_is_unchanged_after_it_is_passed_as_input_of_an_execution() -> None:
    batch = plan_batch(source("incoming/orders/ü €.jsonl", 10_000), NOON, 10)
    assert Batch.from_input(batch.to_input()) == batch


@pytest.mark.parametrize(("sequencer", "padded"), [("", ""), ("A1", "0" * 30 + "A1"), ("0" * 32, "0" * 32)])
def test_padded_sequencers_compare_as_strings(sequencer: str, padded: str) -> None:
    assert padded_sequencer(sequencer) == padded


@pytest.mark.parametrize(
    ("metadata", "corrects"),
    [
        ({}, ""),
        ({"corrects": "orders-" + "0" * 32}, "orders-" + "0" * 32),
        ({"corrects": "orders-" + "0" * 32 + "-r2"}, "orders-" + "0" * 32 + "-r2"),
        ({"corrects": "Jane Doe, 12 Main St"}, ""),
        ({"corrects": "orders-" + "0" * 32 + "\n"}, ""),
    ],
)
def test_only_a_valid_batch_id_is_read_from_the_metadata_of_an_object(metadata: dict[str, str], corrects: str) -> None:
    head = {"ContentLength": 1, "ETag": '"e"', "Metadata": metadata}
    assert source_of("bucket", "incoming/orders/x.json", "v1", head).corrects == corrects


@pytest.mark.parametrize("key", ["orders/x.json", "elsewhere/orders/x.json", "incoming/x.json", "incoming//x.json", ""])
def test_a_key_outside_of_dataset_folders_has_no_dataset(key: str) -> None:
    assert dataset_of(key) == "unknown"
