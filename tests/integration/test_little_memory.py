"""A process with too little memory reports that, and its advice works. It neither crashes nor blames the disk."""

import resource
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from functions.common import sql
from functions.common.errors import ResourceLimitError
from pipeline import ROOT, system_errors
from tests.unit.orders import lines, order


def pipeline(megabytes: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process with limited address space, as after `ulimit -v`."""
    limit = megabytes << 20
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.jsonl"
    path.write_bytes(lines([order(order_id=str(number)) for number in range(200)]))
    return path


@pytest.mark.parametrize("megabytes", [60, 100, 150, 190, 220])
def test_too_little_memory_is_named(file: Path, megabytes: int) -> None:
    done = pipeline(megabytes, "validate", str(file))
    assert done.returncode == 1
    assert f"error: There is not enough memory for this command: its limit is {megabytes} MB." in done.stderr
    assert "Traceback" not in done.stderr
    assert "TMPDIR" not in done.stderr


def test_with_the_memory_that_the_advice_names_the_command_works(file: Path) -> None:
    done = pipeline(system_errors.NEEDED_MB, "validate", str(file))
    assert done.returncode == 0, done.stderr


def test_a_thread_without_memory_is_recognised() -> None:
    before = threading.stack_size(1 << 46)  # more than any machine has
    try:
        with pytest.raises(RuntimeError) as refused:
            threading.Thread(target=print).start()
    finally:
        threading.stack_size(before)
    assert system_errors.is_out_of_memory(refused.value)


def test_an_error_caused_by_a_lack_of_memory_is_recognised() -> None:
    def wrapped() -> None:
        try:
            bytearray(1 << 62)
        except MemoryError as exc:
            raise ValueError("the call failed") from exc

    with pytest.raises(ValueError, match="the call failed") as refused:
        wrapped()
    assert system_errors.is_out_of_memory(refused.value)
    assert not system_errors.is_out_of_memory(ValueError("no memory of it"))


@pytest.mark.parametrize(
    ("memory", "disk", "query", "message"),
    [
        ("1MiB", "100MiB", "SELECT list(range) FROM range(10000000)", "ran out of memory"),
        ("40MiB", "1MiB", "CREATE TABLE t AS SELECT range, uuid() FROM range(5000000)", "ran out of disk"),
    ],
)
def test_duckdb_without_memory_and_without_disk_have_different_errors(
    tmp_path: Path, memory: str, disk: str, query: str, message: str
) -> None:
    def run() -> None:
        with sql.connect(tmp_path, 512) as session:
            session.execute(f"SET GLOBAL memory_limit = '{memory}'; SET GLOBAL max_temp_directory_size = '{disk}'")
            session.execute(query).fetchall()

    with pytest.raises(ResourceLimitError, match=message) as refused:
        run()
    assert system_errors.is_out_of_memory(refused.value) == (message == "ran out of memory")


def test_duckdb_s_own_error_is_recognised() -> None:
    connection = duckdb.connect(config={"memory_limit": "1MiB"})
    with pytest.raises(duckdb.OutOfMemoryException) as refused:
        connection.execute("SELECT list(range) FROM range(10000000)").fetchall()
    assert system_errors.is_out_of_memory(refused.value)
