"""Validates one record exactly with the parser, the limits and jsonschema-rs, but without the contract's rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice
from typing import Any

import jsonschema_rs
import orjson

from functions.common.compiled_schema import schema_validator
from functions.common.config import REJECT, Settings
from functions.common.contract import Contract, Version
from functions.common.reject_codes import Reason
from functions.common.schema_shapes import shape_of
from functions.common.source.raw import RawRecord
from functions.validate.decoding_plan import is_field_name
from functions.validate.drift import UnknownField
from functions.validate.exact_numbers import loses_digits, parsed_exactly
from functions.validate.extra_fields import (
    MOST_LEARNED,
    Learned,
    can_learn,
    extra_text,
    unknown_fields,
)
from functions.validate.fast_decoder import FastDecoder, fast_decoder_of, plan_of_version
from functions.validate.json_values import converter_of, refusals, refusals_in
from functions.validate.messages import MAX_REASONS, broken_rule, broken_schema, unknown_version
from functions.validate.unreadable import is_one_value, nested_too_deeply, nests_deeper, too_large, unparsable
from functions.validate.wrapped import wrapper_of

_FULLY_EXPLAINED_BYTES = 128 << 10
"""The maximum size of a record whose errors are all reported. A record of 8 MiB can have a million errors."""

_MAX_NAME = 64

_UNPARSED = object()
"""Marks a record that was not parsed. None is the value of `null`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of validating one record."""

    reasons: list[Reason]
    """Why the record is rejected. Empty if it is valid."""
    version: Version | None = None
    """The record's version. None if it can't be determined, or if the contract has no such version."""
    written: bytes = b""
    """The JSON of a valid record, as later steps read it."""
    unknown: Sequence[UnknownField] = ()
    extra: str | None = None
    """The kept unknown fields of a valid record, as JSON. None if it has none."""
    is_unread: bool = False
    """Whether the bytes could not be read as a record: they may be one record or several."""
    is_parsed: bool = True
    """Whether the record is JSON that a reject can include unchanged."""


class RecordValidator:
    """Decides whether a record is valid, apart from the contract's rules."""

    def __init__(self, contract: Contract, limits: Settings) -> None:
        self.contract = contract
        self.limits = limits
        self._shapes = {version: shape_of(version.schema, version.schema) for version in contract.versions}
        self._converters = {version: converter_of(shape) for version, shape in self._shapes.items()}
        self._unknown_fields = contract.input.unknown_fields_under(limits)
        self.keeps_unknown = contract.keeps_unknown
        self._keeps_integers = any(self._converters.values()) or self.keeps_unknown
        self._learned: dict[Version, Learned] = {version: frozenset() for version in contract.versions}
        fast_decoders = {version: fast_decoder_of(version, limits.max_nesting) for version in contract.versions}
        self.fast_decoders: dict[Version, FastDecoder] = {
            version: fast_decoder
            for version, fast_decoder in fast_decoders.items()
            if fast_decoder and fast_decoder.levels <= limits.max_nesting
        }

    def keeps_digits(self, inputs: Sequence[bytes]) -> bool:
        """Return True only if no number in these inputs loses digits in a float."""
        return not loses_digits(b"\n".join(inputs))

    def verdict(self, raw: RawRecord) -> Verdict:
        """Validate a record against the limits and its schema."""
        limits = self.limits
        if raw.oversize:
            return Verdict([too_large(limits.max_record_bytes)], is_unread=True, is_parsed=False)
        record = _parsed(raw, keep_integers=self._keeps_integers)
        if record is _UNPARSED:
            reason = unparsable(raw.data, limits.max_nesting)
            return Verdict([reason], is_unread=not is_one_value(reason, raw.data), is_parsed=False)
        if nests_deeper(record, raw.data, limits.max_nesting):
            return Verdict([nested_too_deeply(limits.max_nesting)], is_parsed=False)
        version = self.contract.version_of(record)
        if version is None:
            return Verdict([unknown_version(record, self.contract)])
        validator, unknown = schema_validator(self.contract, version), list[UnknownField]()
        extras = dict[str, Any]()
        is_valid = validator.is_valid(record)
        if not is_valid:
            unknown = unknown_fields(record, self._shapes[version])
            if self._unknown_fields != REJECT:
                for one in self._droppable(record, unknown):
                    extras[one.pointer] = one.holder.pop(one.name)
                is_valid = validator.is_valid(record)
        if not is_valid:
            return Verdict(self._breaks_schema(raw, record, version), version, unknown=unknown)
        refused = refusals_in(record, self._shapes[version])
        if self.keeps_unknown:
            names = refusals(dict.fromkeys(extras))
            refused = chain(refused, names, *(refusals(value, pointer) for pointer, value in extras.items()))
        if reasons := list(islice(refused, MAX_REASONS)):
            return Verdict(reasons, version, unknown=unknown)
        convert = self._converters[version]
        written = orjson.dumps(convert(record) if convert else record, default=float)
        extra = extra_text(extras) if self.keeps_unknown else None
        if len(written) + len(extra or "") > limits.max_record_bytes:
            return Verdict([too_large(limits.max_record_bytes)], version, unknown=unknown)
        return Verdict([], version, written, unknown, extra)

    def learn(self, verdict: Verdict) -> None:
        """Make the fast decoder accept the unknown fields of a valid record from now on."""
        version = verdict.version
        if version not in self.fast_decoders or verdict.reasons or not verdict.unknown:
            return
        plan, learned = plan_of_version(version), self._learned[version]
        found = {
            (one.path, one.name) for one in verdict.unknown if is_field_name(one.name) and can_learn(plan, one.path)
        }
        if found <= learned or len(learned | found) > MOST_LEARNED:
            return
        self._learned[version] = learned | found
        fast_decoder = fast_decoder_of(
            version, self.limits.max_nesting, self._learned[version], keeps=self.keeps_unknown
        )
        if fast_decoder:
            self.fast_decoders[version] = fast_decoder

    def _droppable(self, record: object, unknown: Sequence[UnknownField]) -> list[UnknownField]:
        """Return the unknown fields that can be dropped without losing meaning.

        A field of another version can't be dropped. Neither can a field whose name may be a misspelt version field.
        """
        of_versions = [
            {(id(one.holder), one.name) for one in unknown_fields(record, self._shapes[version])}
            for version in self.contract.versions
        ]
        first = self.contract.version_path[:1]
        return [
            one
            for one in unknown
            if all((id(one.holder), one.name) in found for found in of_versions)
            and not (one.holder is record and get_close_matches(one.name[:_MAX_NAME], first))
        ]

    def _breaks_schema(self, raw: RawRecord, record: object, version: Version) -> list[Reason]:
        if wrapper := wrapper_of(record, version):
            return [wrapper]
        validator = schema_validator(self.contract, version)
        if raw.length <= _FULLY_EXPLAINED_BYTES:
            return broken_schema(validator.iter_errors(record), self.contract, version)
        try:
            validator.validate(record)
        except jsonschema_rs.ValidationError as first:
            return broken_schema([first], self.contract, version)
        raise AssertionError("an invalid record must break its schema")

    def rules_verdict(self, raw: RawRecord, kept: Sequence[bool]) -> Verdict:
        """Return the verdict on a schema-valid record that breaks rules. `kept` says for each rule whether it holds."""
        record = _parsed(raw)
        broken = [rule for rule, is_kept in zip(self.contract.rules, kept, strict=True) if not is_kept]
        return Verdict([broken_rule(rule, record) for rule in broken], self.contract.version_of(record))

    def unfit_verdict(self, raw: RawRecord, reason: Reason) -> Verdict:
        """Return the verdict on a schema-valid record whose values the contract's SQL or tables can't hold."""
        return Verdict([reason], self.contract.version_of(_parsed(raw)))


def _parsed(raw: RawRecord, *, keep_integers: bool = False) -> object:
    """Return the record parsed by orjson, with every digit of its numbers (see `parsed_exactly`), or _UNPARSED."""
    try:
        record = orjson.loads(raw.data)
        return parsed_exactly(raw.data, record, keep_integers=keep_integers)
    except orjson.JSONDecodeError:
        return _UNPARSED
    except RecursionError:
        return record  # it nests deeper than the limit
