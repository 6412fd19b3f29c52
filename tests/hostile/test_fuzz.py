"""Random bytes: they are read as json reads them, or rejected with one of our errors.

The seeds in tests/data/corpus are replayed unchanged, then corrupted. `make test-long` runs fifty times as many
examples, `FUZZ=1000` in the environment a thousand times as many.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.batch import DATASET_NAME, Batch, Source, batch_id_for
from functions.common.config import CONTRACTS
from functions.common.contract import Contract, load_contract
from functions.common.errors import ContractError, PipelineError, ReconciliationError
from functions.common.planning import UNKNOWN_DATASET, dataset_of
from functions.common.source.compression import decompress
from functions.common.source.documents import Document
from functions.starter.events import objects_created
from functions.validate.stream_pass import _FAILS_A_DOCUMENT
from functions.validate.unreadable import unparsable
from tests.hostile.corpus import json_checker, json_test_suite, seeds
from tests.hostile.mutations import corrupted, fuzz, with_changed_part
from tests.unit.orders import CONTRACT, lines, order
from tests.unit.reading import checked, cut, read_document, read_lines, records_of
from tests.unit.steps import MAX_NESTING, publish

pytestmark = pytest.mark.slow

CAP = 1_000_000
FIELDS = ("order_id", "x")
SEEDS = seeds()
ZIPPED = {name: data for name, data in SEEDS.items() if name.endswith(".gz")}
PLAIN = {name: data for name, data in SEEDS.items() if name not in ZIPPED}
SMALL = [data for data in (*json_test_suite().values(), *json_checker().values()) if len(data) < 2_000]

block_sizes = st.lists(st.integers(1, 60), min_size=1, max_size=4)


# --- documents --------------------------------------------------------------------------------------------------------

Read = tuple[str, list[tuple[int, bytes]]]
NOT_READ, TOO_DEEP = object(), object()


def read(data: bytes, sizes: list[int], cap: int = CAP) -> Read | str:
    """The records of a document with the type of their positions, or the error as a string."""
    try:
        document: Document = read_document(cut(checked([data]), sizes), "orders", FIELDS, cap)
        return document.position_kind, [(record.position, record.data) for record in records_of(document)]
    except PipelineError as error:
        return f"{type(error).__name__}: {error}"


def as_json(data: bytes) -> Any:
    """The value that json reads, NOT_READ, or TOO_DEEP if it gives up. Bytes must be UTF-8."""
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        return TOO_DEEP
    except ValueError:
        return NOT_READ


def check_document(data: bytes, sizes: list[int]) -> None:
    """The invariant of reading a document."""
    found = read(data, [max(1, len(data))])
    assert read(data, sizes) == found, "the size of the blocks must make no difference"
    value = as_json(data)
    if value is TOO_DEEP:
        return
    if isinstance(found, str):
        alone = isinstance(value, dict) and data.count(b"orders") == 1
        assert not isinstance(value, list), "an array that json reads must be read"
        assert not (alone and isinstance(value.get("orders"), list)), "an envelope that json reads must be read"
        return
    kind, records = found
    parts = [as_json(part) for _, part in records]
    assert all(part.strip(b" \t\r\n") for _, part in records), "a record must not be empty"
    if kind == "byte":
        check_positions(data, records)
    elif isinstance(value, list):
        assert same(parts, value)
    elif value is not NOT_READ:
        assert same(parts, value["orders"])
    elif data.strip(b" \t\r\n"):
        assert NOT_READ in parts or is_sequence(data), "the parts of a broken document can't all be valid"
    for _, part in records:
        check_reason(part)


def check_positions(data: bytes, records: list[tuple[int, bytes]]) -> None:
    """Positions lead back to the bytes, and between the records nothing is left out that could be one."""
    at = 0
    for position, part in records:
        text = part.strip(b" \t\r\n")
        start = position + len(data[position:]) - len(data[position:].lstrip(b" \t\r\n"))
        assert data[start:].startswith(text)
        assert b"orders" in data or not data[at:start].strip(b" \t\r\n,[]"), "bytes between two records are lost"
        at = start + len(text)
    assert b"orders" in data or not data[at:].strip(b" \t\r\n,[]\x1a"), "the last bytes are lost"


def is_sequence(data: bytes) -> bool:
    """Whether some bytes are JSON values, with commas or nothing between them."""
    text = data.decode("latin-1").removesuffix("\x1a")
    while text := text.lstrip(" \t\r\n,"):
        try:
            text = text[json.JSONDecoder().raw_decode(text)[1] :]
        except (ValueError, RecursionError):
            return False
    return True


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to itself and 1 different from 1.0."""
    return repr(one) == repr(other)


def check_reason(record: bytes) -> None:
    """A record that orjson refuses has a reason, and the correct one if that is obvious."""
    try:
        orjson.loads(record)
    except orjson.JSONDecodeError:
        reason = unparsable(record, MAX_NESTING)
        brackets = record.count(b"[") + record.count(b"{")
        assert reason.code != "nested_too_deeply" or brackets > 900, record
        assert reason.code != "lone_surrogate" or b"\\ud" in record.lower()
        assert reason.code not in _FAILS_A_DOCUMENT or as_json(record) is NOT_READ


@pytest.mark.parametrize("name", PLAIN)
def test_a_seed_document_is_read_as_json_reads_it(name: str) -> None:
    for sizes in ([1], [7, 2], [1 << 20]):
        check_document(PLAIN[name], sizes)


@fuzz(2500)
@given(corrupted([*PLAIN.values(), *SMALL]), block_sizes)
def test_a_corrupted_document_is_read_as_json_reads_it(data: bytes, sizes: list[int]) -> None:
    check_document(data, sizes)


@fuzz(200)
@given(corrupted(list(PLAIN.values())), block_sizes, st.integers(1, 40))
def test_no_record_is_longer_than_a_small_cap(data: bytes, sizes: list[int], cap: int) -> None:
    found = read(data, [max(1, len(data))], cap)
    if isinstance(found, tuple):
        assert read(data, sizes, cap) == found
        _, records = found
        assert all(len(part) <= max(cap, 1024) for _, part in records)


@fuzz(200)
@given(corrupted(list(PLAIN.values())), st.integers(1, 200), block_sizes)
def test_each_line_belongs_to_one_chunk(data: bytes, chunk_bytes: int, sizes: list[int]) -> None:
    whole = [(line.position, line.data) for line in read_lines([data], CAP)]
    found = []
    for start in range(0, len(data), chunk_bytes):
        blocks = cut(data[max(0, start - 1) :], sizes)
        found += [(line.position, line.data) for line in read_lines(blocks, CAP, start, start + chunk_bytes)]
    assert found == whole


# --- gzip -------------------------------------------------------------------------------------------------------------


_GZIP_FLAGS = re.compile(rb"\x1f\x8b\x08(.)", re.DOTALL)
_CHECKED_FLAGS = 0xE2
"""The reserved flags of a gzip header, and the one that says that it has a checksum."""


def check_gzip(stored: bytes, sizes: list[int]) -> None:
    """The inflated bytes equal those of gzip, up to the cap. Anything else is one of our errors.

    Two cases differ. Python's gzip reads an empty stream as empty, but a compressed file has at least a header. And it
    ignores reserved flags and the checksum of a header, which must be refused if they are wrong (RFC 1952, 2.3.1.2).
    """
    try:
        inflated: bytes | None = b"".join(decompress(cut(stored, sizes), "gzip", CAP))
    except PipelineError:
        inflated = None
    try:
        expected: bytes | None = gzip.decompress(stored) if stored else None
    except (OSError, EOFError, zlib.error):
        expected = None
    if inflated is None and any(flags[0] & _CHECKED_FLAGS for flags in _GZIP_FLAGS.findall(stored)):
        return
    assert inflated == (expected if expected is None or len(expected) <= CAP else None)


@pytest.mark.parametrize("name", ZIPPED)
def test_a_gzipped_seed_inflates(name: str) -> None:
    for sizes in ([1], [7, 2], [1 << 20]):
        check_gzip(ZIPPED[name], sizes)


@fuzz(1000)
@given(corrupted(list(ZIPPED.values())), block_sizes)
def test_a_corrupted_gzip_stream_is_inflated_as_gzip_inflates_it(stored: bytes, sizes: list[int]) -> None:
    check_gzip(stored, sizes)


# --- keys -------------------------------------------------------------------------------------------------------------

ODD_KEYS = ["../", "/", "//", "%2F", "%2e%2e/", "+", "%", "%zz", "\0", "\n", "é", "\u202e", "incoming/", "orders/", "*"]
key_strings = st.lists(st.sampled_from(ODD_KEYS) | st.text(max_size=8), max_size=6).map("".join)
EVENT = json.loads((Path(__file__).parents[1] / "integration" / "events" / "s3_put.json").read_text("utf-8"))


def decoded(encoded: str) -> str:
    event = deepcopy(EVENT)
    event["Records"][0]["s3"]["object"]["key"] = encoded
    (created,) = objects_created(event)
    return created.key


@fuzz(300)
@given(key_strings)
def test_a_key_in_an_event_is_decoded_exactly(key: str) -> None:
    assert decoded(quote_plus(key, safe="/")) == key
    assert decoded(key) == unquote_plus(key), "a string that S3 did not encode is decoded once, too"


SAFE_KEY = re.compile(r"(staging|rejected|processed|tables|manifests|failures)(/[a-z0-9_=.-]+)+", re.IGNORECASE)


@fuzz(300)
@given(key_strings, st.text(max_size=20), st.integers(1, 99))
def test_no_key_changes_the_prefix_of_its_outputs(key: str, version_id: str, revision: int) -> None:
    """Outputs are named by dataset and hash. Only the name of a folder comes from the key."""
    for source_key in (key, f"incoming/{key}", f"incoming/orders/{key}"):
        dataset = dataset_of(source_key)
        assert dataset == UNKNOWN_DATASET or (DATASET_NAME.fullmatch(dataset) and dataset in source_key)
        batch_id = batch_id_for(dataset, "bucket", source_key, version_id, revision)
        source = Source("bucket", source_key, version_id, 1, "etag", "")
        batch = Batch(dataset, batch_id, revision, source, "2026-01-02T03:04:05Z", 1, 0)
        made = {
            f"staging/{dataset}/": batch.staging_key(0, "records.parquet"),
            f"rejected/{dataset}/": batch.rejected_key,
            f"processed/{dataset}/": batch.csv_key("orders"),
            f"tables/{dataset}/orders/": batch.parquet_key("orders"),
            f"manifests/{dataset}/": batch.manifest_key,
            f"failures/{dataset}/": batch.failure_key(batch_id),
        }
        for prefix, output in made.items():
            assert output.startswith(prefix)
            assert batch_id in output
            assert SAFE_KEY.fullmatch(output), output
            assert ".." not in output


# --- contracts --------------------------------------------------------------------------------------------------------

FILES = {path.name: path.read_bytes() for path in (CONTRACTS / "orders").glob("*.*")}
PARSED = {name: json.loads(data) for name, data in FILES.items() if name.endswith(".json")}
PLAIN_ORDERS = lines([order(order_id=str(number)) for number in range(3)])


def loaded(folder: Path, changed: dict[str, bytes | None]) -> Contract | None:
    """The contract of orders with some files changed or removed, or None if it is refused with the file's name."""
    shutil.copytree(CONTRACTS / "orders", folder / "orders")
    for name, data in changed.items():
        path = folder / "orders" / name
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    try:
        contract = load_contract("orders", folder)
    except ContractError as error:
        check_names_its_file(error)
        return None
    finally:
        load_contract.cache_clear()
    return contract


def check_names_its_file(error: ContractError) -> None:
    assert re.match(r"contracts/orders/[a-z0-9_.]+(: [a-z_]+)? cannot be used: ", str(error)), error
    assert tempfile.gettempdir() not in str(error), "the message must not contain an absolute path"


@st.composite
def broken_files(draw: st.DrawFn) -> dict[str, bytes | None]:
    name = draw(st.sampled_from(sorted(FILES)))
    how = draw(st.sampled_from(["value", "value", "value", "value", "bytes", "gone"]))
    if how == "gone" and name != "contract.json":
        return {name: None}
    if name in PARSED and how == "value":
        return {name: json.dumps(draw(with_changed_part(PARSED[name]))).encode()}
    return {name: draw(corrupted([FILES[name]]))}


@fuzz(400)
@given(broken_files())
def test_a_changed_contract_is_loaded_or_refused_with_the_name_of_its_file(changed: dict[str, bytes | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded(Path(folder), changed)


@fuzz(40)
@given(broken_files())
def test_a_loaded_contract_runs_or_is_refused_with_the_name_of_its_file(changed: dict[str, bytes | None]) -> None:
    """Run three plain orders through all steps. Unusable SQL or schemas are found before any record is read."""
    with tempfile.TemporaryDirectory() as folder:
        contract = loaded(Path(folder), changed)
        if contract is None:
            return
        try:
            publish(PLAIN_ORDERS, Path(folder) / "run", contract=contract)
        except ContractError as error:
            if not str(error).startswith("The contract's SQL failed on these records ("):  # it does not quote the name
                check_names_its_file(error)
        except ReconciliationError:
            pass  # a SELECT or a key that loses rows is found by reconciliation


def test_the_unchanged_contract_loads() -> None:
    assert loaded(Path(tempfile.mkdtemp()), {}) is not None
    assert CONTRACT.dataset == "orders"


# --- more examples ---------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("what", ["corrupted", "cap or chunk", "key", "contract"])
def test_fifty_times_as_many_examples_pass(what: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", what, __file__]
    environment = {"FUZZ": "50", **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
