"""The first pass over a chunk: the fast decoder reads its records, and the exact validator judges those it refuses."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import IO, Any

import msgspec

from functions.common.contract import Version
from functions.common.errors import EncodingError, MalformedDocumentError, PipelineError
from functions.common.reject_codes import NOT_JSON, NOT_UTF8
from functions.common.source.raw import BLANK, RawRecord
from functions.validate.drift import Drift
from functions.validate.record_validator import RecordValidator, Verdict
from functions.validate.unreadable import found_of
from functions.validate.version_reader import version_reader

_FAILS_A_DOCUMENT = {NOT_JSON: MalformedDocumentError, NOT_UTF8: EncodingError}
"""In a line these reject one record; inside an array they mean that the document's structure is broken."""

_MOST_GROWTH = 8
"""How many times its bytes a record may take when it is written anew: 1e15 becomes 1000000000000000.0."""

_ENCODER = msgspec.json.Encoder()
_POSITION, _DATA, _LENGTH = attrgetter("position"), attrgetter("data"), attrgetter("length")

_HELD_BYTES = 1 << 16
"""How much of the source is looked at together: the more, the less is done a record, and the more is done again where
one of them is not let pass."""

_PIECES = 12
"""Into how many parts that is divided then, and each of these again, down to single records."""


class DecodedRecord(msgspec.Struct, gc=False):
    """A record that passed and its position, as a line for DuckDB."""

    position: int = msgspec.field(name="_position")
    record: Any
    """What the fast decoder has read, or a record that is serialised already, as `msgspec.Raw`."""


class RecordWithExtra(DecodedRecord, gc=False):
    """The same with the unknown fields of the record."""

    extra: str | None = msgspec.field(name="_extra")


@dataclass(frozen=True, slots=True)
class DecodedRecords:
    """Records of one version that are valid, up to what SQL tests."""

    version: Version
    raws: Sequence[RawRecord]
    records: Sequence[Any]
    extras: Sequence[str | None] | None
    """The JSON of the unknown fields of each record, if they are kept and there are any."""
    counts: Counter[str]
    """How many of the records have each unknown field, of those that the fast decoder has learned."""
    n_bytes: int
    """The size of the records, without what the exact validator has read."""


@dataclass(slots=True)
class StreamPass:
    """Writes the records that pass to one file per version, and rejects the others.

    Most records are valid, and of the same version as the one before.
    """

    validator: RecordValidator
    position_kind: str
    lines: Mapping[Version, IO[bytes]]
    """The files for the records of each version that pass."""
    reject: Callable[[RawRecord, Verdict], None]
    split: Callable[[RawRecord], Sequence[RawRecord]]
    """The records that one of the source is made of: nearly always itself."""
    drift: Drift = field(default_factory=Drift)
    passed_by_version: Counter[int] = field(default_factory=Counter)
    received_bytes: int = 0
    """Of all records that streamed by, without white space around them."""
    unreadable_bytes: int = 0
    """Of those that could not be read as records."""
    _n_rejected: int = 0
    _version: Version = field(init=False)
    """The version of the last record that passed."""
    _is_mixed: bool = False
    """Whether the records that were read last are of several versions."""
    _versions: Mapping[int, Version] = field(init=False)
    _peek: Callable[[bytes], Sequence[int] | None] | None = field(init=False)

    def __post_init__(self) -> None:
        contract = self.validator.contract
        self._version = contract.current
        self._versions = {version.number: version for version in contract.versions}
        self._peek = version_reader(contract) if len(contract.versions) > 1 else None

    def read(self, records: Iterable[RawRecord]) -> int:
        """Write or reject each record; returns how many there are."""
        with _no_garbage_collection():
            for raws in _stretches(records):
                self._read_together(raws)
        return self.passed_by_version.total() + self._n_rejected

    def _read_together(self, raws: Sequence[RawRecord], *, keeps_digits: bool = False, are_parts: bool = False) -> None:
        """Write or reject records.

        `keeps_digits` says that their numbers were searched, as part of a longer list, and `are_parts` that they were
        split from others.
        """
        if not raws:
            return
        if (decoded := self._all_decoded(raws, keeps_digits)) is not None:
            for one in decoded:
                self._pass(one)
        elif len(raws) > 1 and not are_parts:
            self._read_together([part for raw in raws for part in self.split(raw)], are_parts=True)
        elif len(raws) > 1:
            keeps_digits = keeps_digits or self.validator.keeps_digits(list(map(_DATA, raws)))
            size = -(-len(raws) // _PIECES)
            for start in range(0, len(raws), size):
                some = raws[start : start + size]
                self._read_together(some, keeps_digits=keeps_digits, are_parts=are_parts)
        else:
            self._read_alone(raws[0], is_part=are_parts)

    def _all_decoded(self, raws: Sequence[RawRecord], keeps_digits: bool) -> list[DecodedRecords] | None:
        """The records of one version or of several, if all of these are surely valid."""
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
        """The records by the version that each names; None if one of them does not name one plainly."""
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
        """The records, if all of these are surely valid ones of a version."""
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

    def _read_alone(self, raw: RawRecord, *, is_part: bool) -> None:
        """Write or reject a record that is not surely valid, or the records in it."""
        parts = (raw,) if is_part else self.split(raw)
        if len(parts) == 1 and parts[0] is raw:
            self._pass_or_reject(raw)
        else:
            self._read_together(parts, are_parts=True)

    def _pass_or_reject(self, raw: RawRecord) -> None:
        verdict = self.validator.verdict(raw)
        n_unseen = raw.length - len(raw.data) if raw.oversize else 0  # only its beginning is kept
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
        """Write records anew, as they were read: no other parser is to see what this one may have read otherwise."""
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


def _stretches(records: Iterable[RawRecord]) -> Iterator[list[RawRecord]]:
    """The records in lists that make up as much of the source as is looked at together."""
    held: list[RawRecord] = []
    n_bytes = 0
    try:
        for raw in records:
            held.append(raw)
            n_bytes += raw.length
            if n_bytes > _HELD_BYTES:
                yield held
                held, n_bytes = [], 0
    except PipelineError:  # the document goes on wrongly; what is wrong before that is told first
        yield held
        raise
    yield held


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles, of which records make none, while millions of them come and go."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
