"""docs/guides/query.md: it lists the saved queries, and its Python runs over the output of real runs."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT
from tests import harness
from tests.analytics.bucket_history import BucketHistory, File, current
from tests.analytics.catalog import Catalog
from tests.analytics.test_current_views import make

PAGE = (ROOT / "docs" / "guides" / "query.md").read_text("utf-8")
PYTHON = re.findall(r"^### ([\w ]+)$|^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

FILES = [
    File([make(1, lines=2), make(2)], broken=1),
    File([make(1, lines=1, status="shipped")], after=60),
    File([make(3)], after=120, committed=False),
]


def snippets() -> list[tuple[str, str]]:
    """Each block of Python with its heading."""
    found, heading = [], ""
    for title, code in PYTHON:
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


def joined(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same blocks, with each block that has no import appended to the previous one."""
    result: list[tuple[str, str]] = []
    for heading, code in found:
        if code.startswith("import "):
            result.append((heading, code))
        else:
            result[-1] = (heading, result[-1][1] + code)
    return result


def test_the_page_lists_the_saved_queries(catalog: Catalog) -> None:
    linked = {Path(link) for link in re.findall(r"\]\(\.\./\.\./([\w/]+\.sql)\)", PAGE)}
    assert linked == {
        path.relative_to(ROOT)
        for path in [*ROOT.glob("contracts/orders/queries/*.sql"), *ROOT.glob("infra/queries/*.sql")]
    }
    assert {path.stem for path in linked} == set(catalog.queries["orders"])


@pytest.mark.parametrize(("heading", "code"), joined(snippets()))
def test_a_snippet_runs(heading: str, code: str, lake: tuple[Path, BucketHistory]) -> None:
    bucket, history = lake
    batch, records = history.runs[0]
    said: dict[str, Any] = {"bucket": str(bucket), "batch_id": batch.batch_id}
    exec(code, said)
    match heading:
        case "One batch":
            assert sorted(rows(said["orders"], "order_id")) == [(record["order_id"],) for record in records]
            assert all(isinstance(total, Decimal) for (total,) in rows(said["orders"], "total_amount"))
        case "All batches":
            assert len(rows(said["orders"], "order_id")) == sum(len(records) for _, records in history.runs)
            expected = [(row["order_id"], row["status"]) for row in current(history.runs)["orders"]]
            assert sorted(rows(said["current"], "order_id", "status")) == expected
        case "Rejects":
            assert len(rows(said["rejects"], "reason")) == 1
        case _:
            pytest.fail(f"Add the expected result of the Python block under {heading}")


def test_five_lines_are_enough() -> None:
    assert [code for _, code in snippets() if len([line for line in code.splitlines() if line]) > 5] == []


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BucketHistory]:
    with pytest.MonkeyPatch.context() as monkeypatch, harness.buckets(monkeypatch, MAX_REJECT_RATIO="0.5"):
        history = BucketHistory(tmp_path_factory.mktemp("lake"), monkeypatch)
        history.add(FILES)
        return history.download(), history


def rows(table: Any, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of a DuckDB relation or of a pandas frame."""
    if hasattr(table, "fetchall"):
        found: list[tuple[Any, ...]] = table.project(", ".join(names)).fetchall()
        return found
    return [tuple(row) for row in table[list(names)].to_numpy().tolist()]
