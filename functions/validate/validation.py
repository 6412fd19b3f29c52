"""Checks the records of one chunk against the contract and divides them into valid and rejected ones.

Two looks at each record. While the chunk streams by, `screen.py` reads it, or where it can't, parser and exact
validator judge it. Then SQL over the whole chunk sees the rest of the schema and the contract's rules; what that does
not let pass is fetched once more as it stood in the file and judged exactly. Input and output are local files and
iterators; nothing here knows S3.
"""

import gc
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import duckdb
import jsonschema_rs
import msgspec
import orjson

from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.errors import EncodingError, MalformedDocumentError, ReconciliationError
from functions.validate.contract_sql import keep, keep_cleared, not_kept, open_checked, summed_totals
from functions.validate.documents import Document
from functions.validate.explain import TOO_DEEP, Reason, broken_schema, nested_too_deeply, too_large, unparsable
from functions.validate.nesting import nests_deeper
from functions.validate.predicates import predicate_of, surely_fits
from functions.validate.raw import RawRecord
from functions.validate.rejected import Rejects
from functions.validate.schema import schema_validator
from functions.validate.screen import UNREADABLE, Line, Screen, screen_of

LINES, RECORDS, REJECTED = "records.jsonl", "records.parquet", "rejected.jsonl"
"""What a chunk's records are divided into: as they are handed on, in text and typed, and those that are not."""

_FAILS_A_DOCUMENT = {"not_json": MalformedDocumentError, "not_utf8": EncodingError}
"""In a line these reject one record; inside an array they mean that the document's structure is broken."""

_FULLY_EXPLAINED_BYTES = 128 << 10
"""Of a larger record only the first error is looked for: 8 MiB of nonsense has a million, and all would be held."""

_MOST_GROWTH = 8
"""How many times its bytes a record may take when it is written again: 1e15 becomes 1000000000000000.0."""

_BUFFER = 1 << 20
_HELD_BYTES = 1 << 18
"""How much of the source the records make up that are written at once: what the processor's cache holds."""

_UNREADABLE = object()
"""Stands for a record that was not parsed; None is what `null` says."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one chunk: received = valid + rejected."""

    received: int
    valid: int
    rejected: int
    rejected_by_reason: dict[str, int]
    control_totals: dict[str, str]
    """Sums over the valid records, as exact decimals."""


def validate_chunk(
    open_document: Callable[[], Document],
    contract: Contract,
    batch_id: str,
    workdir: Path,
    connection: duckdb.DuckDBPyConnection,
    limits: Settings,
    sample_uri: str = "",
) -> tuple[Document, Counts]:
    """Write LINES, RECORDS and REJECTED into `workdir`, all in the order of the file; answers the document and counts.

    `open_document` is called again where records are rejected that were let pass at first. LINES has every record that
    was parsed, serialised by the parser that read it; RECORDS the same, typed, and says which of them are kept. Raises
    MalformedDocumentError or EncodingError where the structure around the records is broken, and RejectVolumeError,
    which names `sample_uri`, where the rejects are too many bytes; REJECTED then has those that came before.
    """
    lines, records, rejected = workdir / LINES, workdir / RECORDS, workdir / REJECTED
    lines.write_bytes(b"")
    open_checked(connection, contract, lines, limits.max_record_bytes)
    document = open_document()
    rejects = Rejects(batch_id, contract.version, document.position_kind, limits.max_reject_bytes, sample_uri)
    judge = _Judge(contract, limits)
    with _no_garbage_collection(), lines.open("wb", 0) as lines_file, rejected.open("wb", _BUFFER) as rejected_file:
        received = _Sieve(judge, rejects, document.position_kind, lines_file, rejected_file).divide(document.records)
    keep(connection, contract, judge.predicate, records)
    late = _Late(connection, judge, rejects, open_document, rejected)
    cleared = late.reject(not_kept(contract, records))
    if cleared.stat().st_size:
        late.reject(keep_cleared(connection, contract, cleared, records))
    n_rejected = rejects.by_reason.total()
    totals = _control_totals(connection, contract, records)
    return document, Counts(received, received - n_rejected, n_rejected, dict(rejects.by_reason), totals)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles, of which records make none, while millions of them come and go."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Judge:
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
        if record is _UNREADABLE:
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


@dataclass(slots=True)
class _Sieve:
    """Divides the records that stream by; what passes is held back until enough can be written at once."""

    judge: _Judge
    rejects: Rejects
    position_kind: str
    lines: IO[bytes]
    rejected: IO[bytes]
    passed: list[Line] = field(default_factory=list)
    raws: list[RawRecord] = field(default_factory=list)
    """The records of `passed`, as they came."""

    def divide(self, records: Iterable[RawRecord]) -> int:
        """Write each record where it belongs; answers how many there were."""
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
        record = _parsed(raw)
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
                record = _parsed(raw)
                reasons, _ = self.judge.reasons(raw, record)
                if reasons:
                    self._reject(raw, record, reasons)
                    continue
            yield line

    def _reject(self, raw: RawRecord, record: object, reasons: list[Reason]) -> None:
        if self.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reasons[0].code)):
            raise error(f"In record {raw.position} of the document {reasons[0].message}.")
        self.rejected.write(_reject_line(self.rejects, raw, record, reasons))


def _reject_line(rejects: Rejects, raw: RawRecord, record: object, reasons: list[Reason]) -> bytes:
    readable = record is not _UNREADABLE and reasons[0].code != TOO_DEEP
    cut = raw.length if raw.oversize else None
    return rejects.line(raw.position, reasons, raw.data, readable=readable, truncated_from=cut)


def _parsed(raw: RawRecord) -> object:
    """The record as orjson reads it, or _UNREADABLE."""
    if raw.oversize:
        return _UNREADABLE
    try:
        return orjson.loads(raw.data)
    except orjson.JSONDecodeError:
        return _UNREADABLE


@dataclass(frozen=True, slots=True)
class _Late:
    """Rejects records that had passed the sieve, as they stand in the source, which is read once more for it."""

    connection: duckdb.DuckDBPyConnection
    judge: _Judge
    rejects: Rejects
    open_document: Callable[[], Document]
    rejected: Path

    def reject(self, query: str) -> Path:
        """Reject what a query gives (see `not_kept`); the file in the answer has the positions of those that are valid.

        The rejects stay in the order of the source, and nothing is held in memory but one record.
        """
        cleared, late = self.rejected.with_suffix(".cleared"), self.rejected.with_suffix(".late")
        rows = self.connection.execute(query)
        try:
            with cleared.open("w") as cleared_file, late.open("wb", _BUFFER) as late_file:
                row = rows.fetchone()
                raws = iter(self.open_document().records if row else ())
                while row:
                    position, verdicts = row
                    raw = _at(position, raws)
                    record = _parsed(raw)
                    if verdicts is None:
                        reasons, _ = self.judge.reasons(raw, record)
                    else:
                        reasons = self.judge.broken_rules(verdicts)
                    if reasons:
                        late_file.write(_reject_line(self.rejects, raw, record, reasons))
                    else:
                        cleared_file.write(f"{position}\n")
                    row = rows.fetchone()
        finally:  # also where there are too many: they are the sample
            _merge_by_position(self.rejected, late)
        return cleared


def _at(position: int, raws: Iterator[RawRecord]) -> RawRecord:
    """The record at a position, from those that are still to come."""
    for raw in raws:
        if raw.position == position:
            return raw
    raise ReconciliationError(f"The record at {position} does not stand there when the file is read again.")


def _merge_by_position(rejected: Path, late: Path) -> None:
    """Merge the reject lines of `late` into `rejected`; both are in the order of the source."""
    if late.stat().st_size:
        merged = rejected.with_suffix(".merged")
        with (
            rejected.open("rb") as early_lines,
            late.open("rb") as late_lines,
            merged.open("wb", _BUFFER) as merged_file,
        ):
            in_order = heapq.merge(_with_positions(early_lines), _with_positions(late_lines), key=lambda pair: pair[0])
            merged_file.writelines(line for _, line in in_order)
        merged.replace(rejected)
    late.unlink()


def _with_positions(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        yield orjson.loads(line)["position"], line


def _control_totals(connection: duckdb.DuckDBPyConnection, contract: Contract, records: Path) -> dict[str, str]:
    """The exact sum of each control total over the valid records, `0` where there are none."""
    if not contract.control_totals:
        return {}
    row = connection.execute(summed_totals(contract, records)).fetchone()
    return dict(zip((total.name for total in contract.control_totals), row or (), strict=True))
