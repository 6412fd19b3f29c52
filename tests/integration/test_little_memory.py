"""An error says whether memory or disk ran out."""

from pathlib import Path

import pytest

from functions.common import sql
from functions.common.errors import ResourceLimitError
from pipeline import cli


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
    is_memory = message == "ran out of memory"
    assert refused.value.is_memory == is_memory
    assert ("not enough memory" in str(cli._explained(refused.value, "aws"))) == is_memory


def test_a_command_without_memory_says_so() -> None:
    explained = cli._explained(MemoryError(), "aws")
    assert explained is not None
    assert "split the input file" in explained.next_step
