"""Reads only the version that each record names, to group records by version before they are decoded."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from functions.common.contract import Contract
from functions.validate.decoding_plan import is_field_name


def version_reader(contract: Contract) -> Callable[[bytes], Sequence[int] | None] | None:
    """Return a function that reads the version of each record, one record per line, or None if records don't name it.

    The function returns None if a record's version isn't a whole number. It validates nothing else: the whole record
    is decoded afterwards.
    """
    if not contract.version_path or not all(map(is_field_name, contract.version_path)):
        return None
    made: Any = int
    for name in reversed(contract.version_path):
        made = msgspec.defstruct("Part", [("inner", made | msgspec.UnsetType, msgspec.UNSET)], rename={"inner": name})
    decode, default, depth = msgspec.json.Decoder(made).decode_lines, contract.default_version, contract.version_path

    def number_of(part: Any) -> int:
        for _ in depth:
            part = part.inner
            if part is msgspec.UNSET:
                return default
        return int(part)

    def versions(lines: bytes) -> Sequence[int] | None:
        try:
            return list(map(number_of, decode(lines)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    return versions
