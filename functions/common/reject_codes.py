"""Defines the codes of reasons for a reject, which are part of the pipeline's API.

The rules of a contract add their own codes.
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
    MISSING_FIELD: "a required field is missing",
    UNKNOWN_FIELD: "a field is not defined in this version of the contract",
    UNKNOWN_VERSION: "the record names a version that the contract does not have",
    WRONG_TYPE: "a value has the wrong type",
    NOT_AN_ALLOWED_VALUE: "a value is not one of the allowed values",
    BAD_FORMAT: "a string does not have the required format, for example of a date or an id",
    BAD_LENGTH: "a string or an array is too short or too long",
    OUT_OF_RANGE: "a number is too small or too large",
    NOT_AN_EXACT_DECIMAL: "a number has too many digits before or after the decimal point to be stored exactly",
    NOT_UNIQUE: "an array contains the same element twice",
    BREAKS_SCHEMA: "the record violates the schema in a way that has no other code",
    DOES_NOT_FIT: "the record matches its schema, but a table column cannot store a value unchanged",
    NULL_KEY: "the record matches its schema, but a row would have null in its key",
    NOT_JSON: "the record is not JSON",
    NOT_UTF8: "the record is not UTF-8",
    NON_FINITE_NUMBER: "a number is NaN, infinite, or too large for a 64-bit float",
    LONE_SURROGATE: "a string contains half of a surrogate pair",
    NESTED_TOO_DEEPLY: "arrays and objects are nested deeper than max_nesting",
    RECORD_TOO_LARGE: "the record has more bytes than max_record_bytes",
    SUPERSEDED: "the record is valid, but a later record in the same file has the same key and was published instead",
}
"""The meaning of each code. A code is never renamed, and its meaning never changes."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One violation of the contract by a record."""

    code: str
    pointer: str
    """The place as a JSON Pointer (RFC 6901). Empty for the whole record."""
    rule: str
    message: str
