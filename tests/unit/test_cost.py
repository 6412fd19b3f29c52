"""The arithmetic of costs: units, sums, exactness; and the file of prices."""

import json
import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.pricing import prices
from functions.common.pricing.costs import (
    DAYS_A_MONTH,
    GB,
    CostLine,
    Size,
    Work,
    gb_months,
    gb_seconds,
    lines,
    rounded,
    text,
    total,
)
from functions.common.pricing.prices import FALLBACK, Prices, prices_for, regions
from pipeline.deploy import variables

FILE = json.loads(Path(prices.__file__).with_name("prices.json").read_text("utf-8"))
ARCHITECTURES = ("arm64", "x86_64")
ROUND = Prices("2026-01-01", "here", dict.fromkeys(FILE["regions"][FALLBACK], Decimal("0.5")))
"""Half a dollar for a unit of anything."""


# --- prices.json ------------------------------------------------------------------------------------------------------


def test_every_price_has_one_dated_source() -> None:
    sourced = [name for source in FILE["sources"] for name in source["prices"]]
    assert sorted(sourced) == sorted(FILE["regions"][FALLBACK]), "each price has one source"
    for source in FILE["sources"]:
        assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9-]+/pricing/", source["page"])
        assert date.fromisoformat(source["as_of"]) <= date.fromisoformat(FILE["dated"])
        assert source["note"]


@pytest.mark.parametrize("region", FILE["regions"])
def test_every_region_has_every_price_as_an_exact_string(region: str) -> None:
    of_region: dict[str, Any] = FILE["regions"][region]
    assert of_region.keys() == FILE["regions"][FALLBACK].keys()
    assert of_region["lambda_gb_second"].keys() == set(ARCHITECTURES)
    for architecture in ARCHITECTURES:
        found = prices_for(region, architecture)
        assert (found.region, found.dated) == (region, FILE["dated"])
        assert all(isinstance(price, Decimal) and 0 < price <= 3 for price in found.usd.values())
    price_strings = [t for t in of_region.values() if isinstance(t, str)] + [*of_region["lambda_gb_second"].values()]
    assert len(price_strings) == len(of_region) + 1, "a price is a string, because a JSON number is binary and inexact"


@pytest.mark.parametrize("region", FILE["regions"])
def test_prices_are_in_proportion(region: str) -> None:
    """A wrong digit or unit would change these proportions."""
    usd = prices_for(region, "arm64").usd
    assert prices_for(region, "x86_64").usd["lambda_gb_second"] / usd["lambda_gb_second"] == pytest.approx(
        Decimal("1.25"), abs=Decimal("0.001")
    ), "arm64 costs 20% less"
    assert 10 < usd["s3_put"] / usd["s3_get"] < 15
    assert 100 < usd["state_transition"] / usd["lambda_request"] < 150
    for name, price in prices_for(FALLBACK, "arm64").usd.items():
        assert Decimal("0.8") < usd[name] / price < Decimal("1.6"), name


def test_an_unknown_region_uses_the_prices_of_another_and_names_it() -> None:
    assert prices_for("xx-nowhere-9", "arm64") == prices_for(FALLBACK, "arm64")
    assert prices_for("xx-nowhere-9", "arm64").region == FALLBACK


def test_the_default_region_of_terraform_is_known() -> None:
    assert variables.defaults()["region"] in regions()


# --- units ------------------------------------------------------------------------------------------------------------


def test_a_gigabyte_second_is_1024_mb_for_1000_ms() -> None:
    assert gb_seconds(1000, 1024) == 1
    assert gb_seconds(1, 1769) == Fraction(1769, 1_024_000)


def test_a_gigabyte_month_is_a_gib_for_30_days() -> None:
    assert gb_months(GB) == 1
    assert gb_months(GB, days=8) == Fraction(8, DAYS_A_MONTH)


def test_quantities_become_lines() -> None:
    work = [Work("Validate", Size(2048, 512 + 1024), calls=3, billed_ms=2000), Work("starter", Size(512, 512), 1, 1000)]
    found = lines(work, {"state_transition": 7, "s3_put": 0, "log_gb": Fraction(1, 4)}, ROUND)
    assert [(line.item, line.quantity) for line in found] == [
        ("Validate", 4),
        ("Validate, /tmp", 2),
        ("starter", Decimal("0.5")),
        ("function calls", 4),
        ("state transitions", 7),
        ("logs", Decimal("0.25")),
    ], "512 MB of /tmp are free, and what there is none of has no line"
    assert [line.usd for line in found] == [line.quantity / 2 for line in found]
    assert total(found) == Decimal("8.875")


@given(st.fractions(min_value=0, max_value=10**12))
def test_a_quantity_is_rounded_to_15_places(quantity: Fraction) -> None:
    found = rounded(quantity)
    assert abs(Fraction(found) - quantity) <= Fraction(1, 2 * 10**15)
    assert Fraction(found) * 10**15 == int(Fraction(found) * 10**15)


@given(
    st.lists(
        st.tuples(
            st.fractions(min_value=0, max_value=10**12),
            st.decimals(min_value=0, max_value=1000, places=12, allow_nan=False),
        ),
        max_size=50,
    )
)
def test_money_is_exact(some: list[tuple[Fraction, Decimal]]) -> None:
    found = [CostLine("x", rounded(quantity), "x", price) for quantity, price in some]
    exact = sum((Fraction(line.quantity) * Fraction(line.price) for line in found), Fraction(0))
    assert Fraction(total(found)) == exact
    assert Fraction(Decimal(text(total(found)))) == exact, "and so is its text"


@pytest.mark.parametrize(
    ("number", "written"),
    [("0.00001250", "0.0000125"), ("1E+3", "1000"), ("0", "0"), ("0E-9", "0"), ("0.3", "0.3")],
)
def test_a_decimal_is_written_in_plain_digits(number: str, written: str) -> None:
    assert text(Decimal(number)) == written
