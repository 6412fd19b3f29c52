"""The rules and columns of contracts/orders. Copy a test from here when you add one."""

from decimal import Decimal

import pytest

from tests.unit.orders import Order, item, order, order_2
from tests.unit.steps import RunOrders


def test_an_order_that_keeps_every_rule_is_published(run_orders: RunOrders) -> None:
    result = run_orders(order())
    assert result.rejects() == []
    assert len(result.rows("orders")) == 1


@pytest.mark.parametrize(
    ("code", "pointer", "broken"),
    [
        ("total_mismatch", "/total_amount", order(order_id="broken", total_amount=1)),
        ("duplicate_line_number", "/items", order(order_id="broken", items=[item(), item()])),
    ],
)
def test_an_order_that_breaks_a_rule_is_rejected(code: str, pointer: str, broken: Order, run_orders: RunOrders) -> None:
    result = run_orders(order(), broken)
    [reject] = result.rejects()
    assert (reject["reason"], reject["errors"][0]["pointer"]) == (code, pointer)
    assert [row["order_id"] for row in result.rows("orders")] == [order()["order_id"]]


def test_an_order_that_breaks_two_rules_gets_both_reasons(run_orders: RunOrders) -> None:
    [reject] = run_orders(order(items=[item(), item()], total_amount=0)).rejects()
    assert [error["code"] for error in reject["errors"]] == ["total_mismatch", "duplicate_line_number"]


@pytest.mark.parametrize(
    ("column", "value", "sent"),
    [
        ("currency", "EUR", order_2(currency="eur")),
        ("item_count", 2, order()),
        ("items_total", Decimal("14.10"), order(items=[item(quantity=3, unit_price=4.7, discount=0)])),
        ("tax_amount", Decimal("8.5"), order_2(tax_amount=8.5)),
        ("tax_amount", Decimal(0), order()),
    ],
)
def test_a_column_of_orders_has_the_expected_value(
    column: str, value: object, sent: Order, run_orders: RunOrders
) -> None:
    [row] = run_orders(sent).rows("orders")
    assert row[column] == value
