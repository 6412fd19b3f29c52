"""Decides whether casts to a column's type keep every value, and writes SQL tests for casts that may not."""

import re
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_INTEGERS = {
    **{name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for name, bits in _BITS.items()},
    **{f"U{name}": (0, 2**bits - 1) for name, bits in _BITS.items()},
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_EXACT_IN_A_DOUBLE = 2**53
_ALWAYS = frozenset({("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"), ("FLOAT", "DOUBLE")})
"""Casts that keep every value. The session's time zone is UTC."""


def widens(given: DuckDBPyType, wanted: DuckDBPyType, bounds: tuple[int, int] | None = None) -> bool:
    """Return whether a cast keeps every value of a type unchanged. `bounds` limit a whole number."""
    if {given.id, wanted.id} == {"struct"}:
        members, wanted_members = dict[str, Any](given.children), dict[str, Any](wanted.children)
        return all(name in wanted_members and widens(kind, wanted_members[name]) for name, kind in members.items())
    if {given.id, wanted.id} == {"list"}:
        element, wanted_element = (dict[str, Any](kind.children)["child"] for kind in (given, wanted))
        return widens(element, wanted_element)
    have_name, want_name = str(given), str(wanted)
    if have_name in (want_name, '"NULL"') or want_name == "VARCHAR" or (have_name, want_name) in _ALWAYS:
        return True
    have, want = _DECIMAL.fullmatch(have_name), _DECIMAL.fullmatch(want_name)
    if have_name in _INTEGERS or (have and int(have[2]) == 0):
        least, most = bounds or _range_of(have_name)
        lower, upper = _range_of(want_name)
        return lower <= least and most <= upper
    if have and want:
        precision, scale, wider, finer = map(int, (*have.groups(), *want.groups()))
        return scale <= finer and precision - scale <= wider - finer
    return False


def _range_of(name: str) -> tuple[int, int]:
    """Return the bounds within which a type holds every whole number exactly. Other types have an empty range."""
    if name in _INTEGERS:
        return _INTEGERS[name]
    most = _EXACT_IN_A_DOUBLE if name == "DOUBLE" else -1
    if decimal := _DECIMAL.fullmatch(name):
        most = 10 ** (int(decimal[1]) - int(decimal[2])) - 1
    return (-most, most) if most >= 0 else (1, 0)


def is_kept(given: DuckDBPyType, wanted: str, place: str) -> str:
    """Return an SQL expression that is true if a value is null or unchanged by the cast, otherwise false or null.

    A string is compared by its meaning, not its spelling: the cast must not round or truncate it.
    """
    cast = f"TRY_CAST({place} AS {wanted})"
    if _rounds_nothing(str(given), wanted):
        kept = f"{cast} IS NOT NULL"
    elif str(given) in ("DOUBLE", "FLOAT"):
        kept = _float_is_kept(str(given), wanted, place, cast)
    elif str(given) != "VARCHAR":
        kept = f"TRY_CAST({cast} AS {given}) IS NOT DISTINCT FROM {place}"
    elif wanted == "DATE":
        kept = f"{cast} = TRY_CAST({place} AS TIMESTAMP) AND isfinite({cast})"
    elif wanted == "TIMESTAMP":
        kept = f"isfinite({cast}) AND NOT regexp_matches({place}, '[.][0-9]{{6}}0*[1-9]')"
    elif wanted in ("DOUBLE", "BOOLEAN"):
        kept = f"{cast} IS NOT NULL" + (f" AND isfinite({cast})" if wanted == "DOUBLE" else "")
    else:
        decimal = _DECIMAL.fullmatch(wanted)
        scale = int(decimal[2]) if decimal else 0
        kept = f"{cast} IS NOT NULL AND regexp_full_match({place}, '[+-]?[0-9]+([.][0-9]{{0,{scale}}}0*)?')"
    return f"({place} IS NULL OR ({kept}))"


def _float_is_kept(given: str, wanted: str, place: str, cast: str) -> str:
    """Return the expression of `is_kept` for a float.

    Casting back isn't enough, because several decimals can have the same nearest float. DuckDB multiplies a float to
    convert it to a decimal, which can be inexact: 17592186044417 becomes 17592186044416.9984.
    """
    is_whole = f"({place} = trunc({place}) AND {cast} = TRY_CAST(TRY_CAST({place} AS HUGEINT) AS {wanted}))"
    if wanted in _INTEGERS:
        return is_whole
    same_again = f"TRY_CAST({cast} AS {given}) IS NOT DISTINCT FROM {place}"
    if _DECIMAL.fullmatch(wanted):
        as_printed = f"{cast} = TRY_CAST(CAST({place} AS VARCHAR) AS {wanted})"
        return f"({is_whole} OR ({same_again} AND {as_printed}))"
    return same_again


def _rounds_nothing(given: str, wanted: str) -> bool:
    """Return whether a cast between two exact numeric types either keeps the value or fails."""
    have, want = (_DECIMAL.fullmatch(name) for name in (given, wanted))
    is_exact = (have or given in _INTEGERS) and (want or wanted in _INTEGERS)
    return bool(is_exact) and (int(have[2]) if have else 0) <= (int(want[2]) if want else 0)


def type_named(connection: duckdb.DuckDBPyConnection, name: str) -> DuckDBPyType:
    """Return a DuckDB type by its SQL name."""
    return connection.sql(f"SELECT CAST(NULL AS {name})").types[0]
