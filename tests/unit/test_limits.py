"""Memory does not grow with the file, and where a limit is met the error says which."""

import errno
import tracemalloc
from pathlib import Path

import duckdb
import orjson
import pytest

from functions.common import sql
from functions.common.errors import ContractError, ResourceLimitError
from functions.common.workdir import workdir
from tests.unit.orders import order
from tests.unit.steps import MAX_RECORD_BYTES, validate

MARKER = "marker-of-a-customer"


def peak_bytes(data: bytes, folder: Path) -> int:
    """The most memory that Python held while the chunk was validated, the chunk itself apart."""
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


def test_a_large_record_of_nonsense_is_explained_by_its_first_error(tmp_path: Path) -> None:
    nonsense = orjson.dumps({"items": [0] * (MAX_RECORD_BYTES // 2 - 100)})
    assert peak_bytes(nonsense, tmp_path) < 60 * len(nonsense)
    [reject] = [orjson.loads(line) for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert len(reject["errors"]) == 1


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
def test_what_duckdb_says_of_an_error_stays_inside(tmp_path: Path, statement: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised, sql.connect(tmp_path, 512) as connection:
        connection.execute(statement)
    assert MARKER not in str(raised.value)
    assert raised.value.__cause__ is None, "a cause would be logged with its message"


def test_memory_that_runs_out_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResourceLimitError, match="ran out of memory or disk"), sql.connect(tmp_path, 512):
        raise duckdb.OutOfMemoryException("of " + MARKER)


def test_a_full_disk_says_so() -> None:
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
