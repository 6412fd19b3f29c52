"""The published output is the same, byte by byte, for any number of chunks."""

from pathlib import Path

import pytest

from tests.unit.orders import NORTHWIND, lines, order
from tests.unit.steps import publish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> bytes:
    """Northwind with rejects of all kinds, repeated orders, and an amount that is read twice."""
    northwind = NORTHWIND.read_bytes().splitlines(keepends=True)
    large = order(order_id="large", items=order()["items"][:1], shipping_cost=500_000_000_000)
    large["total_amount"] = 500_000_000_000 + 168
    bad = lines([{}, order(total_amount=1), order(order_date="yesterday"), large]) + b"not JSON\n"
    return b"".join([*northwind[:40], bad, *northwind[40:80], *northwind[20:30]])


# With 100 chunks some have no record, and with 500 most have none.
@pytest.mark.parametrize("chunks", [7, 100, pytest.param(500, marks=pytest.mark.long)])
def test_one_chunk_and_many_publish_the_same_bytes(chunks: int, data: bytes, tmp_path: Path) -> None:
    whole = publish(data, tmp_path / "whole")
    cut = publish(data, tmp_path / "cut", chunk_bytes=-(-len(data) // chunks))
    assert cut.staged.batch.chunk_count == chunks
    assert whole.totals == cut.totals
    assert (whole.totals.rejected, whole.merged.superseded) == (4, 10)
    assert whole.files().keys() == cut.files().keys()
    differ = [name for name, content in whole.files().items() if content != cut.files()[name]]
    assert not differ, f"these files differ with {chunks} chunks: {differ}"
