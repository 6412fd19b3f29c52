"""Runs the first pass over a chunk, in which the fast decoder or the exact validator checks each record."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import IO, Any

import msgspec

from functions.common.contract import Version
from functions.common.errors import EncodingError, MalformedDocumentError
from functions.common.reject_codes import NOT_JSON, NOT_UTF8
from functions.common.source.raw import BLANK, RawRecord, stretches
from functions.validate.drift import Drift
from functions.validate.record_validator import RecordValidator, Verdict
from functions.validate.unreadable import found_of
from functions.validate.version_reader import version_reader

_FAILS_A_DOCUMENT = {NOT_JSON: MalformedDocumentError, NOT_UTF8: EncodingError}
"""On a line, these codes reject one record. Inside an array, they mean that the document's structure is broken."""

_MOST_GROWTH = 8
"""The maximum factor by which a record grows when it is written again: 1e15 becomes 1000000000000000.0."""

_ENCODER = msgspec.json.Encoder()
_POSITION, _DATA, _LENGTH = attrgetter("position"), attrgetter("data"), attrgetter("length")

_HELD_BYTES = 1 << 16
"""The approximate size in bytes of the records that are decoded together. A larger size costs less per record, but
repeats more work if a record is refused."""

_PIECES = 12
"""The number of parts into which refused records are divided. Each part is divided again, down to single records."""


class DecodedRecord(msgspec.Struct, gc=False):
    """An accepted record and its position, as a line for DuckDB."""

    position: int = msgspec.field(name="_position")
    record: Any
    """The fast decoder's value, or an already serialised record as `msgspec.Raw`."""


class RecordWithExtra(DecodedRecord, gc=False):
    """An accepted record with its unknown fields."""

    extra: str | None = msgspec.field(name="_extra")


@dataclass(frozen=True, slots=True)
class DecodedRecords:
    """Records of one version that are valid, apart from what SQL tests."""

    version: Version
    raws: Sequence[RawRecord]
    records: Sequence[Any]
    extras: Sequence[str | None] | None
    """The JSON of each record's kept unknown fields. None if no unknown fields are kept."""
    counts: Counter[str]
    """The number of records that have each unknown field that the fast decoder has learned."""
    n_bytes: int
    """The size in bytes of the records that the fast decoder read."""


@dataclass(slots=True)
class StreamPass:
    """Writes accepted records to one file per version, and rejects the others.

    Most records are valid and have the previous record's version.
    """

    validator: RecordValidator
    position_kind: str
    lines: Mapping[Version, IO[bytes]]
    """The file for the accepted records of each version."""
    reject: Callable[[RawRecord, Verdict], None]
    split: Callable[[RawRecord], Sequence[RawRecord]]
    """Returns the records in one line or element of the source, which nearly always is one record."""
    drift: Drift = field(default_factory=Drift)
    passed_by_version: Counter[int] = field(default_factory=Counter)
    received_bytes: int = 0
    """The size of all records, without surrounding white space."""
    unreadable_bytes: int = 0
    """The size of the bytes that could not be read as records."""
    _n_rejected: int = 0
    _version: Version = field(init=False)
    """The version of the last accepted record."""
    _is_mixed: bool = False
    """Whether the last decoded records have several versions."""
    _versions: Mapping[int, Version] = field(init=False)
    _peek: Callable[[bytes], Sequence[int] | None] | None = field(init=False)

    def __post_init__(self) -> None:
        contract = self.validator.contract
        self._version = contract.current
        self._versions = {version.number: version for version in contract.versions}
        self._peek = version_reader(contract) if len(contract.versions) > 1 else None

    def read(self, records: Iterable[RawRecord]) -> int:
        """Write or reject each record, and return the number of records."""
        with _no_garbage_collection():
            for raws in stretches(records, _HELD_BYTES):
                self._read_together(raws)
        return self.passed_by_version.total() + self._n_rejected

    def _read_together(self, raws: list[RawRecord], *, keeps_digits: bool = False, is_split: bool = False) -> None:
        """Write or reject records.

        `keeps_digits` says that no number in the records loses digits. `is_split` says that each item is one record.
        """
        if not raws:
            return
        if (decoded := self._all_decoded(raws, keeps_digits)) is not None:
            for one in decoded:
                self._pass(one)
        elif not is_split and (parts := [part for raw in raws for part in self.split(raw)]) != raws:
            self._read_together(parts, is_split=True)
        elif len(raws) > 1:
            keeps_digits = keeps_digits or self.validator.keeps_digits(list(map(_DATA, raws)))
            size = -(-len(raws) // _PIECES)
            for start in range(0, len(raws), size):
                self._read_together(raws[start : start + size], keeps_digits=keeps_digits, is_split=True)
        else:
            self._pass_or_reject(raws[0])

    def _all_decoded(self, raws: Sequence[RawRecord], keeps_digits: bool) -> list[DecodedRecords] | None:
        """Return the decoded records by version, or None unless all are valid, apart from what SQL tests."""
        if not self._is_mixed or len(raws) == 1:
            decoded = self._decoded(self._version, raws, keeps_digits)
            if decoded or not self._peek:
                return [decoded] if decoded else None
        groups = self._by_version(raws)
        was_tried = not self._is_mixed or len(raws) == 1
        if groups is None or (was_tried and groups.keys() == {self._version}):
            return None
        self._is_mixed = len(groups) > 1 or len(raws) == 1
        found = [self._decoded(version, group, keeps_digits) for version, group in groups.items()]
        return [one for one in found if one] if all(found) else None

    def _by_version(self, raws: Sequence[RawRecord]) -> dict[Version, list[RawRecord]] | None:
        """Return the records by the version that each names, or None if a record doesn't name a known version."""
        assert self._peek
        numbers = self._peek(b"\n".join(map(_DATA, raws)))
        if numbers is None or len(numbers) != len(raws):
            return None
        groups: dict[Version, list[RawRecord]] = {}
        for number, raw in zip(numbers, raws, strict=True):
            version = self._versions.get(number)
            if version is None:
                return None
            groups.setdefault(version, []).append(raw)
        return groups

    def _decoded(self, version: Version, raws: Sequence[RawRecord], keeps_digits: bool) -> DecodedRecords | None:
        """Return the decoded records, or None unless all are valid for this version, apart from what SQL tests."""
        fast_decoder = self.validator.fast_decoders.get(version)
        if fast_decoder is None or max(map(_LENGTH, raws)) > self.validator.limits.max_record_bytes // _MOST_GROWTH:
            return None
        objects = fast_decoder.objects_of(list(map(_DATA, raws)))
        if objects is None:
            return None
        together = b"\n".join(objects)
        records = fast_decoder.read_objects(together, len(objects), keeps_digits=keeps_digits)
        if records is None:
            return None
        counts = Counter[str]()
        try:
            extras = fast_decoder.learned.take(records, counts) if fast_decoder.learned else None
        except ValueError:  # a value that can't be kept
            return None
        return DecodedRecords(version, raws, records, extras, counts, len(together) - len(objects) + 1)

    def _pass_or_reject(self, raw: RawRecord) -> None:
        verdict = self.validator.verdict(raw)
        n_unseen = raw.length - len(raw.data) if raw.oversize else 0  # only its first bytes are kept
        n_bytes = len(raw.data.strip(BLANK)) + n_unseen
        self.received_bytes += n_bytes
        if verdict.is_unread:
            self.unreadable_bytes += n_bytes
        if verdict.version:
            self.drift.add(verdict.version, verdict.unknown, dropped=not verdict.reasons)
        if verdict.reasons or verdict.version is None:
            self._reject(raw, verdict)
        else:
            self.validator.learn(verdict)
            written = [msgspec.Raw(verdict.written)]
            self._pass(DecodedRecords(verdict.version, [raw], written, [verdict.extra], Counter(), 0))

    def _pass(self, decoded: DecodedRecords) -> None:
        """Write records from their parsed values, so no second parser can read the source differently."""
        self._version = version = decoded.version
        positions = map(_POSITION, decoded.raws)
        passed: list[DecodedRecord]
        if self.validator.keeps_unknown:
            extras = decoded.extras or [None] * len(decoded.raws)
            passed = list(map(RecordWithExtra, positions, decoded.records, extras))
        else:
            passed = list(map(DecodedRecord, positions, decoded.records))
        self.lines[version].write(_ENCODER.encode_lines(passed))
        self.passed_by_version[version.number] += len(passed)
        self.received_bytes += decoded.n_bytes  # without the line breaks
        self.drift.add_dropped(version, decoded.counts)

    def _reject(self, raw: RawRecord, verdict: Verdict) -> None:
        reason = verdict.reasons[0]
        if self.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reason.code)):
            raise error(f"In record {raw.position} of the document {found_of(reason)}.")
        self.reject(raw, verdict)
        self._n_rejected += 1


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Turn off garbage collection, which searches millions of records for cycles that they never have."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
