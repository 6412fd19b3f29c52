"""How the page writes numbers, times and texts from outside."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from markupsafe import Markup

from functions.common.batch import printable
from pipeline.console import many as many


def shown(value: Any) -> Any:
    """What a template puts out, without signs that could steer what stands around them: controls, overrides of the
    direction of text. Line breaks stay; what is Markup was made by a template, of what went through here."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(printable(line) for line in value.expandtabs(4).split("\n"))


def number(value: int | str) -> str:
    """A whole number, or a decimal as text, with commas between thousands and all its digits."""
    try:
        return f"{Decimal(value):,f}"
    except InvalidOperation:
        return str(value)


def cents(usd: str) -> str:
    """A small amount of money, to three significant digits, at least to the cent: 0.000123, 1.25."""
    amount = Decimal(usd)
    places = 2 if amount == 0 else max(2, 2 - amount.adjusted())
    return f"{amount:,.{places}f}"


def rounded(quantity: str) -> str:
    """A quantity to four significant digits."""
    amount = Decimal(quantity)
    if amount == amount.to_integral_value():
        return f"{amount:,.0f}"
    return f"{amount:,.{max(0, 3 - amount.adjusted())}f}"


def size(n_bytes: int) -> str:
    """Bytes in the largest unit of which there are two, to three digits at most."""
    amount = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 2000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """A stretch of time: 0.034 s, 2.5 s, 4 min 10 s, 2 h 3 min; empty where it is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 9.95 else f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def utc(when: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(when: datetime) -> str:
    """The time of a day in UTC, to the millisecond."""
    return f"{when.astimezone(UTC):%H:%M:%S.%f}"[:-3]
