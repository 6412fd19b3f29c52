"""The costs in the documents, calculated again: a month without files, and the comparison with Glue."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from functions.common.pricing.costs import total
from functions.common.pricing.prices import prices_for
from pipeline import ROOT
from pipeline.cost import estimate
from pipeline.cost.estimate import Question

TEXT = (ROOT / "docs" / "reference" / "cost.md").read_text("utf-8")
GLUE = (ROOT / "docs" / "adr" / "0092-lambda-costs-less-than-glue-for-single-files.md").read_text("utf-8")
PRICES = prices_for("eu-central-1", "arm64")
ASKED = Question(1, 1, estimate.BYTES_AN_ORDER, "eu-central-1", "arm64")
LEAST_SECONDS = Fraction(60)
"""The minimum that Glue bills for a job."""


def table(heading: str, page: str = TEXT) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    rows = page.partition(f"\n| {heading} ")[2].partition("\n\n")[0].splitlines()[2:]
    assert rows, f"the page has no table of {heading}"
    return [[cell.strip().strip("*") for cell in row.split("|")[1:-1]] for row in rows]


@pytest.mark.parametrize(
    ("number", "orders", "files"), [(0, 1000, 1), (1, 200_000, 1), (2, 1_500_000, 1), (3, 10**6, 1000)]
)
def test_the_comparison_with_glue_is_right(number: int, orders: int, files: int) -> None:
    question = replace(ASKED, orders=orders, files=files)
    seconds = Fraction(question.file_bytes, 10**9) * Fraction(sum(estimate.cpu_seconds_a_gb().values()))
    shell_seconds = max(LEAST_SECONDS, seconds / Fraction(1, 4))  # 1/16 DPU is a quarter of a processor
    dpu_hour = Fraction(PRICES.usd["glue_dpu_hour"])
    expected = [
        float(total(estimate.estimate(question).runs)),
        float(files * shell_seconds / 3600 / 16 * dpu_hour),
        float(files * 2 * LEAST_SECONDS / 3600 * dpu_hour),
    ]
    shown = [float(cell) for cell in table("files", GLUE)[number][1:]]
    assert shown[0] == pytest.approx(expected[0], rel=0.3), f"decision 92 should say {expected}"
    assert shown[1] == pytest.approx(expected[1], rel=0.3), f"decision 92 should say {expected}"
    assert shown[2] == pytest.approx(expected[2], rel=0.01), f"decision 92 should say {expected}"


def test_the_documented_cost_of_a_month_without_files_is_the_estimate() -> None:
    fixed = {line.item: line.usd for line in estimate.monthly(replace(ASKED, files=0))}
    reconciler = sum((usd for item, usd in fixed.items() if "reconciler" in item), Decimal(0))
    in_all = sum(fixed.values(), Decimal(0))
    expected = [fixed["alarms"], fixed["metrics"], fixed["the dashboard"], reconciler, in_all]
    rows = table("item, in eu-central-1")
    assert [cells[1] for cells in rows] == [f"{usd:.2f}" for usd in expected]
    assert f"{estimate.ALARM_METRICS} metrics of" in rows[0][0]
    assert f"${in_all:.2f}" in TEXT
    free = PRICES.usd["alarm_month"] * 10 + PRICES.usd["metric_month"] * 2 + fixed["the dashboard"]
    assert f"{(in_all - free) * 100:.0f} cents" in TEXT, "what the free tier leaves"
    looks = next(
        line.usd for line in estimate.monthly(replace(ASKED, files=1000)) if line.item == "the reconciler's looks"
    )
    assert f"{looks * 100:.0f} cents per month" in " ".join(TEXT.split())
