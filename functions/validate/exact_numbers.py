"""Finds numbers with more digits than a 64-bit float holds, and parses records with such numbers exactly.

Fast JSON parsers read a number with a point or an exponent as a float, so they can't distinguish 900000000000.00005
from 900000000000. A float keeps up to 15 significant digits, so only two kinds of numbers need an exact parser: longer
numbers, and numbers too close to zero for a float, such as 1e-400.
"""

import json
import re
from decimal import Decimal, InvalidOperation

from functions.common.record_types import INT64, SIGNIFICANT_DIGITS

_LONGEST_EXACT = SIGNIFICANT_DIGITS + 1
"""The maximum length of a number whose digits a float always keeps, in characters including the point."""

_DIGITS_AS_ZEROS = bytes(0x30 if character in b"0123456789." else 0x20 for character in range(256))
_STRIDE = 4
_SAMPLED = b"0" * (_LONGEST_EXACT // _STRIDE)
"""Every fourth character of a number of _LONGEST_EXACT characters, with zeros for its digits."""

_SPANNED = _STRIDE * (len(_SAMPLED) - 1) + 1
"""The number of characters from the first to the last sampled character, inclusive."""

_LONG = re.compile(rb"[0-9.]{%d,}" % _LONGEST_EXACT)
_NUMBER = re.compile(rb"[0-9.]+(?:[eE][+-]?[0-9]+)?")
_BEFORE_A_NUMBER = frozenset(b"-:,[ \t\r\n")
_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]")
_TINY = r"-0*(?:29[0-9]|[3-9][0-9]{2}|[1-9][0-9]{3,})[,}\]\s]"
_TINY_NUMBERS = [re.compile(f"{exponent}{_TINY}".encode()) for exponent in "eE"]
"""Find the exponents of numbers too close to zero for a float. Other numbers of at most _LONGEST_EXACT characters fit.

Two patterns that begin with a literal are much faster than one that begins with a set.
"""

_LONG_INTEGER = re.compile(rb"[0-9]{19}")
_FLOATS_SKIP_INTEGERS = 2**53
_UINT64_END = 2**64
"""Parsers keep whole numbers below this number exactly."""


def loses_digits(data: bytes) -> bool:
    """Return whether JSON may have a number that loses digits in a float. Also returns True for some strings."""
    sampled = data[::_STRIDE].translate(_DIGITS_AS_ZEROS)  # scanning every character takes twice as long
    at = sampled.find(_SAMPLED)
    while at >= 0:
        start, following = _STRIDE * at, at + 1
        if data[start : start + _SPANNED].replace(b".", b"0").isdigit():  # false for a time: it has colons
            long = _LONG.search(data, max(0, start - _STRIDE + 1), start + 2 * _LONGEST_EXACT)
            if long and (whole := _LONG.match(data, long.start())):  # the window may end within the number
                if _is_lossy(data, whole.start()):
                    return True
                following = max(following, whole.end() // _STRIDE)
        at = sampled.find(_SAMPLED, following)
    return False


def loses_tiny_numbers(data: bytes) -> bool:
    """Return whether JSON may have a number near zero that is another number as a float, such as 1e-400."""
    return any(_has_lossy(pattern, data) for pattern in _TINY_NUMBERS)


def _has_lossy(tiny: re.Pattern[bytes], data: bytes) -> bool:
    for exponent in tiny.finditer(data):
        before = data[max(0, exponent.start() - _LONGEST_EXACT) : exponent.start()]
        mantissa = len(before) - len(before.rstrip(b"0123456789."))
        if mantissa and _is_lossy(data, exponent.start() - mantissa):
            return True
    return False


def _is_lossy(data: bytes, start: int) -> bool:
    if start and data[start - 1] not in _BEFORE_A_NUMBER:
        return False
    match = _NUMBER.match(data, start)
    return match is not None and _loses_digits(match[0].decode())


def _loses_digits(text: str) -> bool:
    try:
        if text.isdigit() and int(text) < _UINT64_END:
            return False
        number = float(text)
        return repr(number) != text and _value_of(number) != Decimal(text)
    except (ValueError, InvalidOperation):  # not a number, or one that no parser accepts
        return False


def _value_of(number: float) -> Decimal:
    """Return the float's shortest decimal, or the exact value of a large float, as integer columns store it."""
    return Decimal(repr(number)) if number < _FLOATS_SKIP_INTEGERS else Decimal(number)


def parsed_exactly(data: bytes, record: object, *, keep_integers: bool = False) -> object:
    """Return the value of `data`, which was already parsed as `record`, with every digit of its numbers.

    Numbers that a float may not hold are int if they are whole, otherwise Decimal. With `keep_integers`, each whole
    number without a point or an exponent is an int, even if a float could hold it. Raises RecursionError if the value
    nests too deeply for the standard library.
    """
    is_exact = not loses_digits(data) and not _EXPONENT.search(data)
    if is_exact and not (keep_integers and _LONG_INTEGER.search(data)):
        return record
    return json.loads(data, parse_float=_number, parse_int=_number)


def _number(text: str) -> int | float | Decimal:
    is_int = text.removeprefix("-").isdigit()
    if len(text) <= _LONGEST_EXACT and not {*text} & {*"eE"}:
        return int(text) if is_int else float(text)
    try:
        number = Decimal(text)
    except InvalidOperation:  # the exponent is too large for Decimal
        return float(text)
    if not INT64[0] <= number < _UINT64_END or number != number.to_integral_value():
        return number
    return int(number) if is_int or abs(number) >= _FLOATS_SKIP_INTEGERS else float(text)
