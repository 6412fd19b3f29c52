"""Why a record is rejected: the codes, which are the pipeline's API, and a reason, which has one of them.

A contract's rules have codes of their own beside these.
"""

from dataclasses import dataclass

MISSING_FIELD = "missing_field"
UNKNOWN_FIELD = "unknown_field"
UNKNOWN_VERSION = "unknown_version"
WRONG_TYPE = "wrong_type"
NOT_AN_ALLOWED_VALUE = "not_an_allowed_value"
BAD_FORMAT = "bad_format"
BAD_LENGTH = "bad_length"
OUT_OF_RANGE = "out_of_range"
NOT_AN_EXACT_DECIMAL = "not_an_exact_decimal"
NOT_UNIQUE = "not_unique"
BREAKS_SCHEMA = "breaks_schema"
DOES_NOT_FIT = "does_not_fit"
NULL_KEY = "null_key"
NOT_JSON = "not_json"
NOT_UTF8 = "not_utf8"
NON_FINITE_NUMBER = "non_finite_number"
LONE_SURROGATE = "lone_surrogate"
NESTED_TOO_DEEPLY = "nested_too_deeply"
RECORD_TOO_LARGE = "record_too_large"
SUPERSEDED = "superseded"

CODES = {
    MISSING_FIELD: "a field that must be there is not",
    UNKNOWN_FIELD: "a field is there that this version of the contract does not have",
    UNKNOWN_VERSION: "the record names a version that the contract does not have",
    WRONG_TYPE: "a value is of another type",
    NOT_AN_ALLOWED_VALUE: "a value is none of those that may stand there",
    BAD_FORMAT: "a text is not written as it must be: a date, an id, a text without control characters",
    BAD_LENGTH: "a text or an array is too short or too long",
    OUT_OF_RANGE: "a number is too small or too large",
    NOT_AN_EXACT_DECIMAL: "a number has too many digits, before its point or behind it, to be kept exactly",
    NOT_UNIQUE: "an array has the same element twice",
    BREAKS_SCHEMA: "the record breaks the schema in a way that has no code of its own",
    DOES_NOT_FIT: "the record keeps its schema, but a column of the tables cannot hold a value as it is",
    NULL_KEY: "the record keeps its schema, but gives a table a row without a value in its key",
    NOT_JSON: "the record is not JSON",
    NOT_UTF8: "the record is not UTF-8",
    NON_FINITE_NUMBER: "a number is NaN, infinite, or too large for 64 bits",
    LONE_SURROGATE: "a text has half of a character that takes two escapes",
    NESTED_TOO_DEEPLY: "arrays and objects nest deeper than max_nesting",
    RECORD_TOO_LARGE: "the record has more bytes than max_record_bytes",
    SUPERSEDED: "the record is valid, but its key occurs again later in the file, and that one was published",
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
