"""Why a record is rejected that can't be read at all: it is not JSON, not UTF-8, too deep or too large."""

import json
import math
from typing import NoReturn

from functions.common.reject_codes import Reason
from functions.validate.nesting import nests_deeper

TOO_DEEP = "nested_too_deeply"

_ORJSON_LEVELS = 1024


def unparsable(data: bytes, max_nesting: int) -> Reason:
    """Why orjson did not take these bytes, found by asking the standard library's slower, laxer parser.

    What that one takes all the same is nested deeper than orjson goes, or has half of a surrogate pair.
    """
    try:
        read = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_finite)
    except UnicodeDecodeError as exc:
        return _of_the_record(
            "not_utf8", "encoding", f"is not UTF-8 from its byte {exc.start} on", "write the file as UTF-8"
        )
    except _NonFiniteError:
        found = "has NaN, infinity, or a number that is too large for a 64-bit float"
        return _of_the_record("non_finite_number", "number", found, "write null for a number that is not known")
    except RecursionError:
        return nested_too_deeply(max_nesting)
    except json.JSONDecodeError as exc:
        found = f"is not JSON from its character {exc.pos} on"
        return _of_the_record("not_json", "json", found, 'write one whole object, for example {"id": "1"}')
    if nests_deeper(read, data, _ORJSON_LEVELS):
        return nested_too_deeply(max_nesting)
    found = "has half of a surrogate pair (\\ud800 to \\udfff)"
    return _of_the_record("lone_surrogate", "text", found, "write both halves, for example \\ud83d\\ude00")


def nested_too_deeply(max_nesting: int) -> Reason:
    """The reason of a record whose arrays and objects nest deeper than the cap."""
    found = f"is nested more than {max_nesting} levels deep"
    return _of_the_record(TOO_DEEP, "max_nesting", found, "take levels out")


def too_large(max_record_bytes: int) -> Reason:
    """The reason of a record that was not looked at because of its size."""
    found = f"has more than {max_record_bytes} bytes of JSON"
    return _of_the_record("record_too_large", "max_record_bytes", found, "send it as several records")


def _of_the_record(code: str, rule: str, found: str, advice: str) -> Reason:
    return Reason(code, "", rule, f"the record {found}; {advice}")


class _NonFiniteError(ValueError):
    """The document has NaN, Infinity, or a number that overflows to it."""


def _refuse_constant(_: str) -> NoReturn:
    raise _NonFiniteError


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NonFiniteError
    return number
