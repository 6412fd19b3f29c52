"""Memory does not grow with the file, and an error names the limit that was reached."""

import errno
import tracemalloc
from pathlib import Path

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import sql
from functions.common.errors import ContractError, ResourceLimitError
from functions.common.workdir import workdir
from functions.validate.unreadable import nests_deeper
from tests.unit.orders import contract_of_records, order
from tests.unit.steps import MAX_RECORD_BYTES, validate

pytestmark = pytest.mark.slow

MARKER = "marker-of-a-customer"


def peak_bytes(data: bytes, folder: Path) -> int:
    """The peak of memory that Python allocated during validation, without the chunk itself."""
    tracemalloc.start()
    try:
        validate(data, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_records_that_break_a_rule_are_not_collected_in_memory(tmp_path: Path) -> None:
    line = orjson.dumps(order(total_amount=0)) + b"\n"
    few, many = peak_bytes(line * 200, tmp_path / "few"), peak_bytes(line * 4000, tmp_path / "many")
    grown = len(line) * (4000 - 200)
    assert many - few < grown / 2, f"{many - few} bytes more for a file that is {grown} bytes larger"


def test_a_large_invalid_record_is_explained_by_its_first_error(tmp_path: Path) -> None:
    nonsense = orjson.dumps({"items": [0] * (MAX_RECORD_BYTES // 2 - 100)})
    assert peak_bytes(nonsense, tmp_path) < 60 * len(nonsense)
    [reject] = [orjson.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert len(reject["errors"]) == 1


def depth(value: object) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(depth, parts), default=0)


nested = st.recursive(
    st.sampled_from([1, "[[[[[[", None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab["), inner, max_size=3),
    max_leaves=30,
)


@given(nested, st.integers(1, 8))
def test_nesting_is_counted_like_a_recursive_walk(value: object, most: int) -> None:
    assert nests_deeper(value, orjson.dumps(value), most) is (depth(value) > most)


@pytest.mark.parametrize(("levels", "valid"), [(3, 1), (2, 0)])
def test_a_valid_record_is_rejected_only_above_the_nesting_limit(levels: int, valid: int, tmp_path: Path) -> None:
    """An order has an address in its customer: three levels."""
    counts = validate(orjson.dumps(order()), tmp_path, max_nesting=levels)
    assert (counts["valid"], counts["rejected_by_reason"]) == (valid, {} if valid else {"nested_too_deeply": 1})


@pytest.mark.parametrize("levels", [65, 255, 256, 1_023, 1_024, 1_025, 5_000])
def test_a_deeply_nested_reject_is_a_string_that_any_parser_reads(levels: int, tmp_path: Path) -> None:
    """In the line of a reject the record would be one level deeper, which orjson refuses."""
    record = b"[" * levels + b"]" * levels
    counts = validate(record + b"\n" + orjson.dumps(order(total_amount=0)), tmp_path)  # a rule's reject is merged in
    assert counts["rejected_by_reason"] == {"nested_too_deeply": 1, "total_mismatch": 1}
    first, _ = [orjson.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert first["raw"] == record.decode()
    assert first["errors"][0]["message"].startswith("the record is nested more than 64 levels deep")


def test_a_record_that_grows_past_the_cap_when_it_is_written_is_rejected(tmp_path: Path) -> None:
    """1e15 is written as 1000000000000000.0; DuckDB reads lines up to twice the cap, and fails on longer ones."""
    numbers = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "number"}}}}
    contract = contract_of_records(numbers)
    data = b"".join(b'{"n":[' + b",".join([b"1e15"] * times) + b"]}\n" for times in (1, 100, 200))
    counts = validate(data, tmp_path, contract=contract, max_record_bytes=1_990)
    assert (counts["valid"], counts["rejected_by_reason"]) == (2, {"record_too_large": 1})
    assert counts["received"] == 3


@pytest.mark.parametrize(("cap", "valid"), [(1_907, 1), (1_906, 0)])
def test_a_record_may_be_as_large_as_the_cap_when_it_is_written(cap: int, valid: int, tmp_path: Path) -> None:
    numbers = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "number"}}}}
    record = b'{"n":[' + b",".join([b"1e15"] * 100) + b"]}\n"
    assert len(orjson.dumps(orjson.loads(record))) == 1_907
    assert validate(record, tmp_path, contract=contract_of_records(numbers), max_record_bytes=cap)["valid"] == valid


def test_a_record_over_the_cap_says_how_much_of_it_is_missing(tmp_path: Path) -> None:
    line = b'{"order_id":"' + b"x" * MAX_RECORD_BYTES + b'"}'
    validate(line, tmp_path)
    [reject] = [orjson.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert reject["reason"] == "record_too_large"
    assert reject["truncated_from"] == len(line)
    assert line.decode().startswith(reject["raw"])


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (f"SELECT CAST('{MARKER}' AS INTEGER)", ContractError),
        (f"SELECT {MARKER.replace('-', '_')} FROM nowhere", ContractError),
        (f"SELECT * FROM read_csv('/nowhere/{MARKER}.csv')", ResourceLimitError),
    ],
)
def test_the_message_of_duckdb_is_not_part_of_an_error(tmp_path: Path, statement: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised, sql.connect(tmp_path, 512) as connection:
        connection.execute(statement)
    assert MARKER not in str(raised.value)
    assert raised.value.__cause__ is None, "a cause would be logged with its message"


def test_large_rows_get_all_the_available_memory(tmp_path: Path) -> None:
    """A row group of these takes 200 MB; others after them get no more than before."""
    rows = "SELECT repeat(md5(CAST(range AS VARCHAR)), 300) AS text FROM range(20480)"
    for _ in range(2):
        with sql.connect(tmp_path, 900) as connection:
            given = connection.execute("SELECT current_setting('memory_limit')").fetchone()
            assert given == ("140.0 MiB",)
            with pytest.raises(duckdb.OutOfMemoryException):
                connection.execute(f"COPY ({rows}) TO '{tmp_path}/rows.parquet' ({sql.STAGED})")
            assert sql.copy(connection, rows, tmp_path / "rows.parquet", sql.STAGED) == 20480


def test_the_error_says_that_memory_is_exhausted(tmp_path: Path) -> None:
    with pytest.raises(ResourceLimitError, match="ran out of memory"), sql.connect(tmp_path, 512):
        raise duckdb.OutOfMemoryException("of " + MARKER)


def test_the_error_says_that_the_disk_is_full() -> None:
    with pytest.raises(ResourceLimitError, match="is full"), workdir():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_folder_of_an_invocation_that_was_killed_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[1]abc")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "pipeline-abc-killed").mkdir()
    (tmp_path / "pipeline-other-alive").mkdir()
    with workdir() as folder:
        assert {path.name for path in tmp_path.iterdir()} == {folder.name, "pipeline-other-alive"}
    assert not folder.exists()
