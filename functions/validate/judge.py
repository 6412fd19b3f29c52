"""Judges one record exactly: parser, caps and jsonschema-rs have the last word on all but the contract's rules."""

from collections.abc import Sequence

import jsonschema_rs
import orjson

from functions.common.config import Settings
from functions.common.contract import Contract
from functions.validate.explain import TOO_DEEP, Reason, broken_schema, nested_too_deeply, too_large, unparsable
from functions.validate.nesting import nests_deeper
from functions.validate.predicates import predicate_of, surely_fits
from functions.validate.raw import RawRecord
from functions.validate.rejected import Rejects
from functions.validate.schema import schema_validator
from functions.validate.screen import screen_of

_FULLY_EXPLAINED_BYTES = 128 << 10
"""Of a larger record only the first error is looked for: 8 MiB of nonsense has a million, and all would be held."""

_UNPARSED = object()
"""Stands for a record that was not parsed; None is what `null` says."""


class Judge:
    """Says of one record why it is rejected; the last word on it, but for the contract's rules."""

    def __init__(self, contract: Contract, limits: Settings) -> None:
        screen = screen_of(contract)
        self.screen = screen if screen and screen.levels <= limits.max_nesting else None
        self.predicate = self.screen.predicate if self.screen else predicate_of(contract.schema, surely_fits)
        self.limits = limits
        self.contract = contract

    def reasons(self, raw: RawRecord, record: object) -> tuple[list[Reason], bytes]:
        """Why a record is rejected, or no reason and the record as it is handed on."""
        limits = self.limits
        if raw.oversize:
            return [too_large(limits.max_record_bytes)], b""
        if record is _UNPARSED:
            return [unparsable(raw.data, limits.max_nesting)], b""
        if nests_deeper(record, raw.data, limits.max_nesting):
            return [nested_too_deeply(limits.max_nesting)], b""
        if not schema_validator(self.contract).is_valid(record):
            return self._breaks_schema(raw, record), b""
        written = orjson.dumps(record)
        if len(written) > limits.max_record_bytes:
            return [too_large(limits.max_record_bytes)], b""
        return [], written

    def _breaks_schema(self, raw: RawRecord, record: object) -> list[Reason]:
        validator = schema_validator(self.contract)
        if raw.length <= _FULLY_EXPLAINED_BYTES:
            return broken_schema(validator.iter_errors(record), self.contract.schema)
        try:
            validator.validate(record)
        except jsonschema_rs.ValidationError as first:
            return broken_schema([first], self.contract.schema)
        raise AssertionError("a record that is not valid breaks the schema somewhere")

    def broken_rules(self, verdicts: Sequence[bool]) -> list[Reason]:
        """Why a record is rejected that keeps the schema, by the verdict of each of the contract's rules."""
        return [
            Reason(rule.code, rule.pointer, rule.code, f"{rule.pointer} {rule.message}")
            for rule, is_kept in zip(self.contract.rules, verdicts, strict=True)
            if not is_kept
        ]


def parsed(raw: RawRecord) -> object:
    """The record as orjson reads it, or _UNPARSED."""
    if raw.oversize:
        return _UNPARSED
    try:
        return orjson.loads(raw.data)
    except orjson.JSONDecodeError:
        return _UNPARSED


def reject_line_of(rejects: Rejects, raw: RawRecord, record: object, reasons: list[Reason]) -> bytes:
    readable = record is not _UNPARSED and reasons[0].code != TOO_DEEP
    cut = raw.length if raw.oversize else None
    return rejects.line(raw.position, reasons, raw.data, readable=readable, truncated_from=cut)
