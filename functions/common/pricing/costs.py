"""Calculates cost lines from quantities and prices, for the run record and `pipeline estimate`.

Amounts and quantities are decimals. Each quantity is rounded once, half up to 15 decimal places. All other arithmetic
is exact.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from functools import reduce

from functions.common.pricing.prices import Prices

EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, Clamped])
"""A decimal context that raises an error instead of rounding."""

FREE_DISK_MB = 512
"""The size of /tmp that Lambda includes at no charge, in MiB."""

GB = 1 << 30
DAYS_A_MONTH = 30
_PLACES = Decimal(1).scaleb(-15)


@dataclass(frozen=True, slots=True)
class Size:
    """The configured memory and /tmp size of a function, in MiB."""

    memory_mb: int
    disk_mb: int


@dataclass(frozen=True, slots=True)
class Work:
    """The invocations of one function."""

    name: str
    size: Size
    calls: int
    billed_ms: int
    """The billed milliseconds of all invocations together."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """The cost of one billed item."""

    item: str
    quantity: Decimal
    price_of: str
    """The unit's name in prices.json."""
    price: Decimal

    @property
    def usd(self) -> Decimal:
        return EXACT.multiply(self.quantity, self.price)


def lines(work: Iterable[Work], quantities: Mapping[str, int | Fraction], prices: Prices) -> list[CostLine]:
    """Return the cost lines for the memory and disk of each function, for all invocations, and for `quantities`.

    The keys of `quantities` are names in prices.json, such as `state_transition`, `s3_put` or `log_gb`. A quantity of 0
    has no line.
    """
    done = list(work)
    found: list[tuple[str, str, int | Fraction]] = []
    for one in done:
        found.append((one.name, "lambda_gb_second", gb_seconds(one.billed_ms, one.size.memory_mb)))
        disk_mb = max(0, one.size.disk_mb - FREE_DISK_MB)
        found.append((f"{one.name}, /tmp", "lambda_disk_gb_second", gb_seconds(one.billed_ms, disk_mb)))
    found.append(("function calls", "lambda_request", sum(one.calls for one in done)))
    found += [(_ITEMS.get(price, price), price, quantity) for price, quantity in quantities.items()]
    return [CostLine(item, rounded(quantity), price, prices.usd[price]) for item, price, quantity in found if quantity]


_ITEMS = {
    "state_transition": "state transitions",
    "s3_put": "S3 PUT and LIST",
    "s3_get": "S3 GET and HEAD",
    "s3_gb_month": "staging, until it expires",
    "sns_publish": "notifications",
    "log_gb": "logs",
    "trace": "traces",
}


def gb_seconds(milliseconds: int, mb: int) -> Fraction:
    """Return GB-seconds as Lambda bills them, with 1,024 MB per GB."""
    return Fraction(milliseconds * mb, 1000 * 1024)


def gb_months(n_bytes: int, days: int = DAYS_A_MONTH) -> Fraction:
    """Return GB-months as S3 bills them, with 30 days per month."""
    return Fraction(n_bytes * days, GB * DAYS_A_MONTH)


def rounded(quantity: int | Fraction) -> Decimal:
    """Return a quantity as a decimal, rounded half up to 15 decimal places."""
    exact = Fraction(quantity)
    units = (exact / Fraction(_PLACES) + Fraction(1, 2)).__floor__()
    return EXACT.normalize(EXACT.multiply(Decimal(units), _PLACES))


def total(some: Iterable[CostLine]) -> Decimal:
    """Return the exact sum of the lines in USD."""
    return reduce(EXACT.add, (line.usd for line in some), Decimal(0))


def text(number: Decimal) -> str:
    """Format a decimal without an exponent or trailing zeros, for example `0.0000125`."""
    return format(EXACT.normalize(number), "f")
