"""The saved queries over the output of real runs: the result of each is recalculated in plain Python."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests import harness
from tests.analytics.bucket_history import BucketHistory, File, current
from tests.analytics.catalog import Catalog, transpiled
from tests.unit.orders import Order, customer, item, order

Row = tuple[Any, ...]


def an_order(number: int, day: str, by: str, price: float = 10.0, **changes: Any) -> Order:
    items = [item(line_number=1, unit_price=price, quantity=3), item(line_number=2, product_id="2", quantity=1)]
    return order(
        **{"order_id": str(number), "order_date": f"{day}T10:00:00Z", "customer": customer(customer_id=by, name=by)},
        **{"items": items, "shipping_cost": 1.25, **changes},
    )


FILES = [
    File([an_order(1, "2026-10-31", "A"), an_order(2, "2026-11-01", "B", 0.01)], key="berlin/1.jsonl", broken=1),
    File([an_order(3, "2026-11-01", "A", currency="USD"), an_order(4, "2026-10-01", "C")], after=3600, key="x.jsonl"),
    File([an_order(1, "2026-10-31", "A", 99.99)], after=7200, key="berlin/2.jsonl"),  # a correction
    File([an_order(5, "2026-11-01", "B", status="cancelled")], after=7300, key="berlin/3.jsonl"),
    File([an_order(6, "2026-11-01", "B")], after=7400, key="rome/1.jsonl", broken=3),  # fails as a whole
    File([an_order(7, "2026-11-01", "B")], after=7500, key="rome/2.jsonl", committed=False),
]


@dataclass
class QueryResults:
    """A bucket with a history, and the results of the saved queries."""

    lake: BucketHistory
    connection: duckdb.DuckDBPyConnection
    queries: dict[str, str]

    def to(self, query: str) -> list[Row]:
        return self.connection.execute(transpiled(self.queries[query])).fetchall()

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The orders that are current and not cancelled."""
        return [row for row in current(self.lake.runs)["orders"] if row["status"] != "cancelled"]


@pytest.fixture(scope="module")
def results(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> QueryResults:
    with pytest.MonkeyPatch.context() as monkeypatch, harness.buckets(monkeypatch, MAX_REJECT_RATIO="0.5"):
        lake = BucketHistory(tmp_path_factory.mktemp("lake"), monkeypatch)
        lake.add(FILES)
        return QueryResults(lake, catalog.open(lake.download()), catalog.queries["orders"])


def test_revenue_by_day(results: QueryResults) -> None:
    sums: dict[tuple[Any, str], list[Decimal | int]] = {}
    for row in results.orders:
        found = sums.setdefault((row["order_date"].date(), row["currency"]), [0, Decimal(0), Decimal(0), Decimal(0)])
        for at, value in enumerate((1, row["items_total"], row["shipping_cost"], row["total_amount"])):
            found[at] += value
    assert results.to("revenue_by_day") == [(*key, *sums[key]) for key in sorted(sums)]
    assert all(isinstance(row[-1], Decimal) for row in results.to("revenue_by_day"))


def test_top_customers(results: QueryResults) -> None:
    spent: Counter[tuple[str, str]] = Counter()
    for row in results.orders:
        spent[row["currency"], row["customer_id"]] += row["total_amount"]
    found = results.to("top_customers")
    assert {(row[0], row[2]): row[6] for row in found} == spent
    euros = [row for row in found if row[0] == "EUR"]
    assert [row[1] for row in euros] == [1, 2, 3]
    assert [row[6] for row in euros] == sorted((row[6] for row in euros), reverse=True)


def test_best_selling_products(results: QueryResults) -> None:
    counted = {row["order_id"]: row["currency"] for row in results.orders}
    units: Counter[tuple[str, str]] = Counter()
    for row in current(results.lake.runs)["items"]:
        if row["order_id"] in counted:
            units[row["product_id"], counted[row["order_id"]]] += row["quantity"]
    assert {(row[0], row[2]): row[3] for row in results.to("best_selling_products")} == units


def test_late_orders(results: QueryResults) -> None:
    """Order 1 is late in its first file. The later correction does not make it late again."""
    assert [(row[0], row[3]) for row in results.to("late_orders")] == [("4", 32), ("1", 1)]


def test_reject_reasons_by_producer(results: QueryResults) -> None:
    found = [(row[0], row[1], row[3]) for row in results.to("reject_reasons_by_producer")]
    assert found == [("rome", "failed", 3), ("berlin", "published", 1)]


def test_files_by_day(results: QueryResults) -> None:
    counted: dict[str, list[int]] = {}
    for batch, records in results.lake.runs:
        of_day = counted.setdefault(batch.ingest_date, [0, 0])
        of_day[0] += 1
        of_day[1] += len(records)
    assert [(row[0], row[1], row[5]) for row in results.to("files_by_day")] == [
        (day, *counted[day]) for day in sorted(counted)
    ]


def test_failed_files(results: QueryResults) -> None:
    [row] = results.to("failed_files")
    assert row[1:3] == ("incoming/orders/rome/1.jsonl", "TooManyRejectsError")


def test_books_balance(results: QueryResults) -> None:
    assert results.to("books_balance") == []
    assert results.connection.execute(
        transpiled(results.queries["books_balance"].replace("HAVING sum(orders.total_amount) <>", "HAVING 0 <>"))
    ).fetchall(), "the query finds nothing because there is nothing to check"


def test_every_query_has_a_test_and_states_its_question(catalog: Catalog) -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(catalog.queries["orders"]) <= tests, "each query needs a test with its name here"
    for queries in catalog.queries.values():
        for sql in queries.values():
            assert sql.startswith("-- "), "the first line of a query must state its question"
