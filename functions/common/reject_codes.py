"""Why a record is rejected: the codes, which are the pipeline's API, and a reason, which has one of them.

A contract's rules have codes of their own beside these.
"""

from dataclasses import dataclass

CODES = {
    "missing_field": "a field that must be there is not",
    "unknown_field": "a field is there that this version of the contract does not have",
    "unknown_version": "the record names a version that the contract does not have",
    "wrong_type": "a value is of another type",
    "not_an_allowed_value": "a value is none of those that may stand there",
    "bad_format": "a text is not written as it must be: a date, an id, a text without control characters",
    "bad_length": "a text or an array is too short or too long",
    "out_of_range": "a number is too small or too large",
    "not_an_exact_decimal": "a number has too many digits, before its point or behind it, to be kept exactly",
    "not_unique": "an array has the same element twice",
    "breaks_schema": "the record breaks the schema in a way that has no code of its own",
    "does_not_fit": "the record keeps its schema, but a column of the tables cannot hold a value as it is",
    "null_key": "the record keeps its schema, but gives a table a row without a value in its key",
    "not_json": "the record is not JSON",
    "not_utf8": "the record is not UTF-8",
    "non_finite_number": "a number is NaN, infinite, or too large for 64 bits",
    "lone_surrogate": "a text has half of a character that takes two escapes",
    "nested_too_deeply": "arrays and objects nest deeper than max_nesting",
    "record_too_large": "the record has more bytes than max_record_bytes",
    "superseded": "the record is valid, but its key occurs again later in the file, and that one was published",
}
"""Every code, and what it says. One that stands here is never renamed, nor given another meaning."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One way in which a record breaks the contract."""

    code: str
    pointer: str
    """RFC 6901; empty for the whole record."""
    rule: str
    message: str
