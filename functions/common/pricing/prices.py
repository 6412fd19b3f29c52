"""AWS's public prices, by region and architecture: prices.json, which says from when and from where each is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

FALLBACK = "us-east-1"
"""The region whose prices stand in for those of a region that prices.json does not have."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What one unit of each thing costs in one region, in USD."""

    dated: str
    """The day on which prices.json was last looked through."""
    region: str
    """The region that the prices are of: FALLBACK, where those asked for are not known."""
    usd: Mapping[str, Decimal]
    """By the names in prices.json; `lambda_gb_second` is that of the architecture."""


def prices_for(region: str, architecture: str) -> Prices:
    """The prices of a region, or FALLBACK's where it is not known; `architecture` is arm64 or x86_64."""
    known = region if region in regions() else FALLBACK
    of_region = {**_content()["regions"][known]}
    of_region["lambda_gb_second"] = of_region["lambda_gb_second"][architecture]
    return Prices(_content()["dated"], known, {name: Decimal(price) for name, price in of_region.items()})


def regions() -> list[str]:
    """The regions whose prices are known."""
    return sorted(_content()["regions"])


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text("utf-8"))
    return content
