"""The arithmetic: quantities and prices in, lines out. The run record and `pipeline estimate` both use it.

Money and quantities are decimals. A quantity is rounded once, to 15 places, which milliseconds by MiB do not need; from
there on everything is exact.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from functools import reduce

from functions.common.pricing.prices import Prices

EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, Clamped])
"""A result that would have to be rounded is an error."""

FREE_DISK_MB = 512
"""Of a function's /tmp, that much costs nothing."""

GB = 1 << 30
DAYS_A_MONTH = 30
_PLACES = Decimal(1).scaleb(-15)


@dataclass(frozen=True, slots=True)
class Size:
    """What a function is given."""

    memory_mb: int
    disk_mb: int


@dataclass(frozen=True, slots=True)
class Work:
    """Calls of one function."""

    name: str
    size: Size
    calls: int
    billed_ms: int
    """Of all calls together."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """So much of one thing, and what it costs."""

    item: str
    quantity: Decimal
    price_of: str
    """What a unit is, by its name in prices.json."""
    price: Decimal

    @property
    def usd(self) -> Decimal:
        return EXACT.multiply(self.quantity, self.price)


def lines(work: Iterable[Work], quantities: Mapping[str, int | Fraction], prices: Prices) -> list[CostLine]:
    """What all this costs: memory and disk of each function, all calls, and each of `quantities`.

    These are by their names in prices.json: `state_transition`, `s3_put`, `log_gb` … What there is none of has no line.
    """
    done = list(work)
    found: list[tuple[str, str, int | Fraction]] = []
    for one in done:
        found.append((one.name, "lambda_gb_second", gb_seconds(one.billed_ms, one.size.memory_mb)))
        disk_mb = max(0, one.size.disk_mb - FREE_DISK_MB)
        found.append((f"{one.name}, /tmp", "lambda_disk_gb_second", gb_seconds(one.billed_ms, disk_mb)))
    found.append(("calls of functions", "lambda_request", sum(one.calls for one in done)))
    found += [(_ITEMS.get(price, price), price, quantity) for price, quantity in quantities.items()]
    return [CostLine(item, rounded(quantity), price, prices.usd[price]) for item, price, quantity in found if quantity]


_ITEMS = {
    "state_transition": "state transitions",
    "s3_put": "S3 PUT and LIST",
    "s3_get": "S3 GET and HEAD",
    "s3_gb_month": "staging, until it expires",
    "sns_publish": "notices",
    "log_gb": "logs",
    "trace": "traces",
}


def gb_seconds(milliseconds: int, mb: int) -> Fraction:
    """Memory or disk for a time, as Lambda reckons it: 1,024 MB are a GB."""
    return Fraction(milliseconds * mb, 1000 * 1024)


def gb_months(n_bytes: int, days: int = DAYS_A_MONTH) -> Fraction:
    """Bytes kept for some days, as S3 reckons it, in months of 30 days."""
    return Fraction(n_bytes * days, GB * DAYS_A_MONTH)


def rounded(quantity: int | Fraction) -> Decimal:
    """A quantity as a decimal, half up to 15 places."""
    exact = Fraction(quantity)
    units = (exact / Fraction(_PLACES) + Fraction(1, 2)).__floor__()
    return EXACT.normalize(EXACT.multiply(Decimal(units), _PLACES))


def total(some: Iterable[CostLine]) -> Decimal:
    """The sum of lines, exact."""
    return reduce(EXACT.add, (line.usd for line in some), Decimal(0))


def text(number: Decimal) -> str:
    """A decimal in plain digits, all of them and no more: 0.0000125."""
    return format(EXACT.normalize(number), "f")
