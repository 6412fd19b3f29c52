"""The first look at each record, while the chunk streams by: what passes is written anew, what can't is rejected."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, NoReturn

import msgspec

from functions.common.contract import Version
from functions.common.errors import EncodingError, MalformedDocumentError
from functions.validate.drift import Drift
from functions.validate.judge import Judge, Verdict, parsed, reject_line_of
from functions.validate.raw import RawRecord
from functions.validate.rejected import Rejects
from functions.validate.screen import UNREADABLE, Line, Screen

_FAILS_A_DOCUMENT = {"not_json": MalformedDocumentError, "not_utf8": EncodingError}
"""In a line these reject one record; inside an array they mean that the document's structure is broken."""

_MOST_GROWTH = 8
"""How many times its bytes a record may take when it is written again: 1e15 becomes 1000000000000000.0."""

_HELD_BYTES = 1 << 18
"""How much of the source the records make up that are written at once: what the processor's cache holds."""


@dataclass(slots=True)
class Sieve:
    """Divides the records that stream by; what passes is held back until enough can be written at once.

    Most chunks have records of one version, so each record is first read as the one before it was.
    """

    judge: Judge
    rejects: Rejects
    drift: Drift
    position_kind: str
    lines: Mapping[Version, IO[bytes]]
    """Where the records of each version go that pass."""
    rejected: IO[bytes]
    passed_by_version: Counter[int] = field(default_factory=Counter)
    _version: Version = field(init=False)
    _read: Callable[[bytes], Any] = field(init=False)
    _passed: list[Line] = field(default_factory=list)
    """Records of `_version`, not yet written."""
    _raws: list[RawRecord] = field(default_factory=list)
    """The same as they came."""

    def __post_init__(self) -> None:
        self._become(self.judge.contract.current)

    def divide(self, records: Iterable[RawRecord]) -> int:
        """Write each record where it belongs; answers how many there were."""
        with _no_garbage_collection():
            return self._divide(records)

    def _divide(self, records: Iterable[RawRecord]) -> int:
        received = held = 0
        screened_bytes = self.judge.limits.max_record_bytes // _MOST_GROWTH
        for received, raw in enumerate(records, 1):  # noqa: B007 the count is what is wanted
            if raw.length <= screened_bytes:
                try:
                    self._passed.append(Line(raw.position, self._read(raw.data)))
                except UNREADABLE:
                    self._pass_as_another_version(raw)
                else:
                    self._raws.append(raw)
            else:
                self._pass_or_reject(raw)
            held += raw.length
            if held > _HELD_BYTES:
                self._write()
                held = 0
        self._write()
        return received

    def _pass_as_another_version(self, raw: RawRecord) -> None:
        for version, screen in self.judge.screens.items():
            if version is not self._version:
                try:
                    record = screen.read(raw.data)
                except UNREADABLE:
                    continue
                self._pass(version, raw, record)
                return
        self._pass_or_reject(raw)

    def _pass_or_reject(self, raw: RawRecord) -> None:
        record = parsed(raw)
        verdict = self.judge.verdict(raw, record)
        if verdict.version:
            self.drift.add(verdict.version, verdict.unknown, dropped=not verdict.reasons)
        if verdict.reasons or verdict.version is None:
            self._write()  # what is held back stood before it
            self._reject(raw, record, verdict)
        else:
            self._pass(verdict.version, raw, msgspec.Raw(verdict.written))

    def _pass(self, version: Version, raw: RawRecord, record: Any) -> None:
        if version is not self._version:
            self._write()
            self._become(version)
        self._passed.append(Line(raw.position, record))
        self._raws.append(raw)

    def _become(self, version: Version) -> None:
        screen = self.judge.screens.get(version)
        self._version, self._read = version, screen.read if screen else _read_nothing

    def _write(self) -> None:
        screen = self.judge.screens.get(self._version)
        passed = self._passed
        lines = msgspec.json.Encoder().encode_lines(passed)
        if screen and not screen.is_plain(lines):
            passed = list(self._without_forbidden_characters(screen))
            lines = msgspec.json.Encoder().encode_lines(passed)
        self.lines[self._version].write(lines)
        self.passed_by_version[self._version.number] += len(passed)
        self._passed.clear()
        self._raws.clear()

    def _without_forbidden_characters(self, screen: Screen) -> Iterator[Line]:
        for line, raw in zip(self._passed, self._raws, strict=True):
            if not screen.is_plain(raw.data):
                record = parsed(raw)
                verdict = self.judge.verdict(raw, record)
                if verdict.reasons:
                    self._reject(raw, record, verdict)
                    continue
            yield line

    def _reject(self, raw: RawRecord, record: object, verdict: Verdict) -> None:
        reason = verdict.reasons[0]
        if self.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reason.code)):
            raise error(f"In record {raw.position} of the document {reason.message}.")
        self.rejected.write(reject_line_of(self.rejects, raw, record, verdict))


def _read_nothing(_data: bytes) -> NoReturn:
    """Stands for a screen where there is none."""
    raise msgspec.MsgspecError


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles, of which records make none, while millions of them come and go."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
