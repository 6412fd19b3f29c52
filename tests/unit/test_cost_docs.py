"""docs/reference/cost.md, calculated again: the worked example, a month without files; and the comparison with Glue."""

import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from functions.common.pricing.costs import GB, CostLine, Size, Work, gb_months, lines, total
from functions.common.pricing.prices import prices_for
from pipeline import ROOT
from pipeline.cost import estimate
from pipeline.cost.estimate import Question

TEXT = (ROOT / "docs" / "reference" / "cost.md").read_text("utf-8")
GLUE = (ROOT / "docs" / "adr" / "0082-lambda-costs-less-than-glue-for-single-files.md").read_text("utf-8")
PRICES = prices_for("eu-central-1", "arm64")
LARGE, SMALL = Size(1769, 10240), Size(256, 512)
WORK = [
    Work("Validate", LARGE, 2, 6733),
    Work("Transform", LARGE, 2, 1004),
    Work("Write", LARGE, 1, 1672),
    Work("starter", SMALL, 1, 500),
    Work("record_run", SMALL, 1, 800),
]
QUANTITIES: dict[str, int | Fraction] = {
    "state_transition": 9,
    "s3_put": 21,
    "s3_get": 15,
    "s3_gb_month": gb_months(27_323_200, 7 + 1),
    "log_gb": Fraction(30_400, GB),
    "trace": 3,
}
ASKED = Question(1, 1, estimate.BYTES_AN_ORDER, "eu-central-1", "arm64")
LEAST_SECONDS = Fraction(60)
"""What Glue bills of a job at least."""


def table(heading: str, page: str = TEXT) -> list[list[str]]:
    """The rows of the table whose first column is called so."""
    rows = page.partition(f"\n| {heading} ")[2].partition("\n\n")[0].splitlines()[2:]
    assert rows, f"the page has no table of {heading}"
    return [[cell.strip().strip("*") for cell in row.split("|")[1:-1]] for row in rows]


def row(line: CostLine) -> list[str]:
    return [line.item, f"{line.quantity:.6f}", f"{line.price:f}", f"{line.usd:.6f}"]


def test_the_worked_example_adds_up() -> None:
    expected = lines(WORK, QUANTITIES, PRICES)
    *rows, last = table("item")
    shown = [[item, quantity.rpartition("= ")[2], price, usd] for item, quantity, _, price, usd in rows]
    assert shown == [row(line) for line in expected], "the rows of docs/reference/cost.md should be these"
    assert last[-1] == f"{total(expected):.6f}"
    for work in WORK[:3]:
        assert re.search(rf"`{work.name}` \| {work.calls} calls?, {work.billed_ms:,} ms", TEXT)


def test_the_example_is_about_what_is_estimated_for_such_a_file() -> None:
    """The functions change, the example need not, as long as it is of the right size."""
    found = estimate.estimate(replace(ASKED, orders=200_000))
    assert float(total(found.runs)) == pytest.approx(float(total(lines(WORK, QUANTITIES, PRICES))), rel=0.5)


@pytest.mark.parametrize(
    ("number", "orders", "files"), [(0, 1000, 1), (1, 200_000, 1), (2, 1_500_000, 1), (3, 10**6, 1000)]
)
def test_the_comparison_with_glue_is_right(number: int, orders: int, files: int) -> None:
    asked = replace(ASKED, orders=orders, files=files)
    seconds = Fraction(asked.file_bytes, 10**9) * Fraction(sum(estimate.cpu_seconds_a_gb().values()))
    shell_seconds = max(LEAST_SECONDS, seconds / Fraction(1, 4))  # 1/16 DPU is a quarter of a processor
    dpu_hour = Fraction(PRICES.usd["glue_dpu_hour"])
    expected = [
        float(total(estimate.estimate(asked).runs)),
        float(files * shell_seconds / 3600 / 16 * dpu_hour),
        float(files * 2 * LEAST_SECONDS / 3600 * dpu_hour),
    ]
    shown = [float(cell) for cell in table("files", GLUE)[number][1:]]
    assert shown[0] == pytest.approx(expected[0], rel=0.3), f"decision 82 should say {expected}"
    assert shown[1] == pytest.approx(expected[1], rel=0.3), f"decision 82 should say {expected}"
    assert shown[2] == pytest.approx(expected[2], rel=0.01), f"decision 82 should say {expected}"


def test_a_month_without_files_costs_that() -> None:
    standing = {line.item: line.usd for line in estimate.standing(replace(ASKED, files=0))}
    reconciler = sum((usd for item, usd in standing.items() if "reconciler" in item), Decimal(0))
    in_all = sum(standing.values(), Decimal(0))
    expected = [standing["alarms"], standing["metrics"], standing["the dashboard"], reconciler, in_all]
    rows = table("a month, eu-central-1")
    assert [cells[1] for cells in rows] == [f"{usd:.2f}" for usd in expected]
    assert f"{estimate.ALARM_METRICS} metrics that" in rows[0][0]
    assert f"${in_all:.2f}" in TEXT
    free = PRICES.usd["alarm_month"] * 10 + PRICES.usd["metric_month"] * 2 + standing["the dashboard"]
    assert f"{(in_all - free) * 100:.0f} cents" in TEXT, "what the free tier leaves"
    looks = next(
        line.usd for line in estimate.standing(replace(ASKED, files=1000)) if line.item == "the reconciler's looks"
    )
    assert f"{looks * 100:.0f} cents a month" in " ".join(TEXT.split())
