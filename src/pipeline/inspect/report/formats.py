"""Formats numbers, times and untrusted strings for the page."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from markupsafe import Markup

from functions.common.batch import printable

FILTERS = ("number", "cents", "rounded", "duration", "utc", "clock")
"""The functions of this module that templates use as filters."""


def shown(value: Any) -> Any:
    """Return a value without control characters and direction overrides, but with line breaks, for a template.

    Markup is returned unchanged, because a template created it from strings that this function returned.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(printable(line) for line in value.expandtabs(4).split("\n"))


def number(value: int | str) -> str:
    """Format a whole number or a decimal string with thousands separators and all its digits."""
    try:
        return f"{Decimal(value):,f}"
    except InvalidOperation:
        return str(value)


def cents(usd: str) -> str:
    """Format a small amount with three significant digits, and at least two decimals, such as 0.000123 or 1.25."""
    amount = Decimal(usd)
    places = 2 if amount == 0 else max(2, 2 - amount.adjusted())
    return f"{amount:,.{places}f}"


def rounded(quantity: str) -> str:
    """Format a quantity with four significant digits, but all digits of its integer part."""
    amount = Decimal(quantity)
    places = 0 if amount == amount.to_integral_value() else max(0, 3 - amount.adjusted())
    return f"{amount:,.{places}f}"


def duration(seconds: float | None) -> str:
    """Format a duration, such as 0.034 s, 2.5 s, 4 min 10 s or 2 h 3 min. Returns an empty string for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.{1 if seconds >= 9.95 else 2 if seconds >= 0.1 else 3}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def utc(when: datetime) -> str:
    """Format a time in UTC with seconds."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(when: datetime) -> str:
    """Format the time of day in UTC with milliseconds."""
    return f"{when.astimezone(UTC):%H:%M:%S.%f}"[:-3]
