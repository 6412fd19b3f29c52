"""Reads AWS's public prices by region and architecture from prices.json, which has the date and source of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

FALLBACK = "us-east-1"
"""The region whose prices are used for regions that prices.json does not have."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of one unit of each billed item in one region, in USD."""

    dated: str
    """The date on which prices.json was last checked."""
    region: str
    """The region of the prices, which is FALLBACK if the requested region is not in prices.json."""
    usd: Mapping[str, Decimal]
    """The prices by their names in prices.json; `lambda_gb_second` is the price for the architecture."""


def prices_for(region: str, architecture: str) -> Prices:
    """Return the prices of a region, or of FALLBACK if it is unknown. `architecture` is `arm64` or `x86_64`."""
    known = region if region in regions() else FALLBACK
    of_region = {**_content()["regions"][known]}
    of_region["lambda_gb_second"] = of_region["lambda_gb_second"][architecture]
    return Prices(_content()["dated"], known, {name: Decimal(price) for name, price in of_region.items()})


def regions() -> list[str]:
    """Return the regions in prices.json, sorted."""
    return sorted(_content()["regions"])


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text("utf-8"))
    return content
