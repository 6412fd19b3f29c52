"""The views *_current over the output of real runs, compared with a model in plain Python."""

from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import harness
from tests.analytics.bucket_history import LONG_STRING, BucketHistory, File, current
from tests.analytics.catalog import Catalog
from tests.unit.orders import Order, customer, item, order

KEYS = {"orders": "order_id", "items": "order_id, line_number", "customers": "customer_id"}


def make(number: int, *, by: str = "A", day: int = 1, lines: int = 2, name: str = "x", status: str = "paid") -> Order:
    """Order `number` of customer `by`, with `name`, placed on a day of October, with this many items."""
    return order(
        order_id=str(number),
        order_date=f"2026-10-{day:02}T12:00:00Z",
        status=status,
        customer=customer(customer_id=by, name=name),
        items=[item(line_number=line, quantity=line) for line in range(1, lines + 1)],
    )


LONG = "l" * LONG_STRING

CASES: dict[str, list[File]] = {
    "one file": [File([make(1), make(2, by="B")])],
    "the same file twice": [File([make(1)]), File([make(1)], after=60)],
    "a correction with fewer lines": [File([make(1, lines=3)]), File([make(1, lines=1)], after=60)],
    "a correction with more lines": [File([make(1, lines=1)]), File([make(1, lines=3)], after=60)],
    "an order twice in a file": [File([make(1, lines=3), make(2), make(1, lines=1)])],
    "an older file is published later": [
        File([make(1, day=9, lines=1, name="new")], after=60),
        File([make(1, day=2, lines=3, name="old"), make(2, day=3, name="old")], after=0),
    ],
    "a backfill brings an older order of a customer": [
        File([make(1, day=9, name="new")]),
        File([make(2, day=2, name="old")], after=60),
    ],
    "customer details of the same day come from the later file": [
        File([make(1, day=9, name="first")]),
        File([make(2, day=9, name="second")], after=60),
    ],
    "some records are rejected, an earlier version stays": [
        File([make(1), make(2)]),
        File([make(number, lines=1) for number in range(2, 12)], after=60, broken=1),
    ],
    "a file that failed as a whole": [File([make(1)]), File([make(1, lines=1)], after=60, broken=9)],
    "a batch that was never committed": [File([make(1)]), File([make(1, lines=1), make(2)], after=60, committed=False)],
    "only a batch that was never committed": [File([make(1)], committed=False)],
    "a republished file": [File([make(1), make(2, name=LONG)], republished=True)],
    "a file is republished with fewer orders than an older file has": [
        File([make(1, lines=1), make(2, lines=1)]),
        File([make(1), make(2, name=LONG)], after=60, republished=True),
    ],
    "an older file is republished": [
        File([make(1), make(2, name=LONG)], republished=True),
        File([make(1, lines=1)], after=60),
    ],
    "two versions of a key in one second": [
        File([make(1, lines=1)], sequencer="A1"),
        File([make(1, lines=3)], sequencer="9F"),
    ],
    "a version whose event was lost": [File([make(1, lines=1)], sequencer="A1"), File([make(1, lines=3)])],
    "two keys in one second": [File([make(1, lines=1)], key="b.jsonl"), File([make(1, lines=3)], key="a.jsonl")],
    "two versions of a key and another key in one second": [
        File([make(1, lines=1)], key="m.jsonl", sequencer="2"),
        File([make(1, lines=2)], key="a.jsonl"),
        File([make(1, lines=3)], key="m.jsonl", sequencer="1"),
        File([make(1, lines=4)], key="z.jsonl"),
    ],
}


def of_case(name: str, file: File) -> File:
    """The same file with orders, customers and keys that only this case has."""
    number = list(CASES).index(name)
    records = [
        {
            **record,
            "order_id": f"{number}/{record['order_id']}",
            "customer": {**record["customer"], "customer_id": f"{number}/{record['customer']['customer_id']}"},
        }
        for record in file.records
    ]
    return replace(file, records=records, key=f"{number}/{file.key}")


@dataclass
class BucketViews:
    """A bucket, and the database over it."""

    history: BucketHistory
    connection: duckdb.DuckDBPyConnection

    def check(self, table: str, prefix: str = "") -> None:
        """Compare a view with the model, for the rows whose key begins with `prefix`."""
        relation = self.connection.sql(f"SELECT * FROM {table}_current ORDER BY {KEYS[table]}")
        rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
        key = KEYS[table].split(",")[0]
        expected = [row for row in current(self.history.runs)[table] if row[key].startswith(prefix)]
        assert [row for row in rows if row[key].startswith(prefix)] == expected, (
            f"{table}_current differs from the model"
        )


@pytest.fixture(scope="module")
def shared(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> BucketViews:
    """All cases in one bucket, because files of others must not affect a case."""
    with pytest.MonkeyPatch.context() as monkeypatch, harness.buckets(monkeypatch, MAX_REJECT_RATIO="0.5"):
        history = BucketHistory(tmp_path_factory.mktemp("history"), monkeypatch)
        history.add(of_case(name, file) for name, files in CASES.items() for file in files)
        return BucketViews(history, catalog.open(history.download()))


@pytest.mark.parametrize("table", KEYS)
@pytest.mark.parametrize("case", CASES)
def test_the_views_show_the_current_rows(shared: BucketViews, case: str, table: str) -> None:
    shared.check(table, f"{list(CASES).index(case)}/")


def test_the_views_are_empty_before_the_first_file(catalog: Catalog, tmp_path: Path) -> None:
    connection = catalog.open(tmp_path)
    for view in catalog.views["orders"]:
        assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (0,), view


@st.composite
def histories(draw: st.DrawFn) -> list[File]:
    """Files in any order, of few orders, customers, keys and seconds, so that they collide."""
    few = st.integers(1, 3)

    def an_order() -> Order:
        return make(
            draw(few),
            by=draw(st.sampled_from("AB")),
            day=draw(few),
            lines=draw(few),
            name=draw(st.sampled_from(["x", "y", LONG])),
        )

    def a_file(number: int) -> File:
        return File(
            records=[make(9), *(an_order() for _ in range(draw(few)))],
            after=draw(st.sampled_from([0, 0, 1, 60])),
            key=draw(st.sampled_from(["a.jsonl", "b.jsonl"])),
            sequencer=f"{draw(st.permutations(range(4)))[0]}{number}",
            broken=draw(st.sampled_from([0, 0, 1])),
            committed=draw(st.sampled_from([True, True, True, False])),
            republished=draw(st.sampled_from([False, False, True])),
        )

    return [a_file(number) for number in range(draw(st.integers(1, 4)))]


@settings(max_examples=6)
@given(files=histories())
def test_the_views_show_the_current_rows_after_any_history(
    catalog: Catalog, tmp_path_factory: pytest.TempPathFactory, files: list[File]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, harness.buckets(monkeypatch, MAX_REJECT_RATIO="0.5"):
        history = BucketHistory(tmp_path_factory.mktemp("history"), monkeypatch)
        history.add(files)
        views = BucketViews(history, catalog.open(history.download()))
    for table in KEYS:
        views.check(table)
