"""The computed totals of the orders contract have the types of their columns, for any amounts."""

from pathlib import Path

import orjson
import pytest

from functions.common import sql
from functions.common.sql import make_macros
from functions.validate.contract_sql.table_checks import table_checks
from functions.validate.validation import REJECTED
from tests.unit.orders import CONTRACT, item, lines, order
from tests.unit.steps import validate

NEARLY_TOO_LARGE = {"quantity": 100, "unit_price": 999_999_999_999}
"""An item whose total, just below 10^14, fits both columns."""


def test_the_values_of_orders_always_fit_their_columns(tmp_path: Path) -> None:
    columns = {**CONTRACT.current.columns, "_position": "BIGINT"}
    nulls = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())
    derived = ", ".join(f"{one.sql} AS {one.name}" for one in CONTRACT.derived)
    with sql.connect(tmp_path, 256) as connection:
        make_macros(connection, CONTRACT)
        connection.execute(f"CREATE VIEW records AS SELECT *, {derived} FROM (SELECT {nulls})")
        assert table_checks(connection, CONTRACT) == []


@pytest.mark.parametrize(
    "items",
    [
        [NEARLY_TOO_LARGE, {"quantity": 1, "unit_price": 100}],
        [{"quantity": 999_999_999, "unit_price": 999_999_999_999}],
        [{"quantity": 1, "unit_price": 1}, {"quantity": 999_999_999, "unit_price": 999_999_999_999}],
    ],
    ids=["the sum is too large", "an item's total is too large", "one of two is too large"],
)
def test_an_order_with_a_total_that_is_too_large_breaks_the_rule(items: list[dict[str, int]], tmp_path: Path) -> None:
    described = [item(line_number=n, discount=0, **one) for n, one in enumerate(items, 1)]
    good = order(order_id="good")
    bad = order(order_id="bad", items=described, shipping_cost=0, total_amount=1)
    counts = validate(lines([good, bad]), tmp_path)
    (reject,) = map(orjson.loads, (tmp_path / REJECTED).read_bytes().splitlines())
    assert (counts["valid"], counts["rejected_by_reason"]) == (1, {"total_mismatch": 1}), reject["errors"]
