"""The first look at each record, while the chunk streams by: what passes is written anew, what can't is rejected."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import msgspec
import orjson

from functions.common.errors import EncodingError, MalformedDocumentError
from functions.validate.explain import Reason
from functions.validate.judge import Judge, parsed, reject_line_of
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
    """Divides the records that stream by; what passes is held back until enough can be written at once."""

    judge: Judge
    rejects: Rejects
    position_kind: str
    lines: IO[bytes]
    rejected: IO[bytes]
    passed: list[Line] = field(default_factory=list)
    raws: list[RawRecord] = field(default_factory=list)
    """The records of `passed`, as they came."""

    def divide(self, records: Iterable[RawRecord]) -> int:
        """Write each record where it belongs; answers how many there were."""
        with _no_garbage_collection():
            return self._divide(records)

    def _divide(self, records: Iterable[RawRecord]) -> int:
        received = held = 0
        screen = self.judge.screen
        screened_bytes = self.judge.limits.max_record_bytes // _MOST_GROWTH if screen else -1
        read = screen.read if screen else orjson.loads
        for received, raw in enumerate(records, 1):  # noqa: B007 the count is what is wanted
            if raw.length <= screened_bytes:
                try:
                    self.passed.append(Line(raw.position, read(raw.data)))
                except UNREADABLE:
                    self._pass_or_reject(raw)
                else:
                    self.raws.append(raw)
            else:
                self._pass_or_reject(raw)
            held += raw.length
            if held > _HELD_BYTES:
                self._write()
                held = 0
        self._write()
        return received

    def _pass_or_reject(self, raw: RawRecord) -> None:
        record = parsed(raw)
        reasons, written = self.judge.reasons(raw, record)
        if reasons:
            self._write()  # what is held back stood before it
            self._reject(raw, record, reasons)
        else:
            self.passed.append(Line(raw.position, msgspec.Raw(written)))
            self.raws.append(raw)

    def _write(self) -> None:
        screen = self.judge.screen
        lines = msgspec.json.Encoder().encode_lines(self.passed)
        if screen and not screen.is_plain(lines):
            lines = msgspec.json.Encoder().encode_lines(list(self._without_forbidden_characters(screen)))
        self.lines.write(lines)
        self.passed.clear()
        self.raws.clear()

    def _without_forbidden_characters(self, screen: Screen) -> Iterator[Line]:
        for line, raw in zip(self.passed, self.raws, strict=True):
            if not screen.is_plain(raw.data):
                record = parsed(raw)
                reasons, _ = self.judge.reasons(raw, record)
                if reasons:
                    self._reject(raw, record, reasons)
                    continue
            yield line

    def _reject(self, raw: RawRecord, record: object, reasons: list[Reason]) -> None:
        if self.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reasons[0].code)):
            raise error(f"In record {raw.position} of the document {reasons[0].message}.")
        self.rejected.write(reject_line_of(self.rejects, raw, record, reasons))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles, of which records make none, while millions of them come and go."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
