"""The ends of row groups in Parquet, and the disk that sorting needs, for a table that is larger than a row group."""

from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import duckdb
import pytest

from functions.common import sql
from functions.common.errors import ResourceLimitError
from functions.write.merge import merge
from functions.write.reconciliation import Totals
from tests.unit.orders import CONTRACT
from tests.unit.steps import MEMORY_MB, batch_of
from tests.unit.test_merge import READINGS

pytestmark = pytest.mark.slow

N_READINGS = 300_000
"""More than fill two row groups of Parquet."""


def merged_readings(folder: Path, sizes: list[int], order: str, memory_mb: int = MEMORY_MB) -> bytes:
    """The table of readings, in Parquet, merged from parts with these numbers of rows, in this order.

    The merge has no disk for sorting.
    """
    folder.mkdir()
    contract = replace(CONTRACT, record_table=READINGS, tables=(READINGS,), control_totals=())
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            CREATE TABLE readings AS
            SELECT
                _position,
                _position // 2 AS number,
                CAST(_position % 2 AS VARCHAR) AS half,
                md5(CAST(_position AS VARCHAR)) AS range
            FROM range({N_READINGS}) AS rows(_position)
            ORDER BY {order}
            """
        )
        for chunk, (start, end) in enumerate(pairwise(accumulate(sizes, initial=0))):
            path = sql.literal(folder / f"{chunk:05d}.readings.part")
            part = f"SELECT * FROM readings WHERE rowid >= {start} AND rowid < {end}"
            connection.execute(f"COPY ({part}) TO {path} ({sql.STAGED})")
    with sql.connect(folder, memory_mb) as connection:
        connection.execute("SET max_temp_directory_size = '0 KiB'")
        totals = Totals(N_READINGS, N_READINGS, 0, {}, {}, (), {}, 0, 0)
        assert merge(batch_of(b""), contract, totals, folder, connection).rows == {"readings": N_READINGS}
    return (folder / "readings.parquet").read_bytes()


@pytest.mark.parametrize("order", ["number, half", "range", "number, half DESC"])
def test_row_groups_end_at_the_same_rows_in_any_order_and_cut(order: str, tmp_path: Path) -> None:
    """Sorted input is not sorted again, which must not change the output."""
    whole = merged_readings(tmp_path / "whole", [N_READINGS], "number, half")
    pieces = [1, 100, 120_000, 3, *[777] * 50, 0]
    assert merged_readings(tmp_path / "cut", [*pieces, N_READINGS - sum(pieces)], order) == whole


def test_rows_that_are_sorted_by_key_need_no_disk_for_sorting(tmp_path: Path) -> None:
    little_mb = 85
    merged_readings(tmp_path / "sorted", [N_READINGS], "number, half", little_mb)
    with pytest.raises(ResourceLimitError):
        merged_readings(tmp_path / "not", [N_READINGS], "range", little_mb)
