"""Checks the records of one chunk against the contract and divides them into valid and rejected lines.

Two looks at each record: the schema while the chunk streams by, and the contract's rules, as SQL, over all the
records that passed. Input and output are local files and iterators; nothing here knows S3.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import jsonschema_rs
import orjson

from functions.common.config import Settings
from functions.common.contract import Contract
from functions.common.errors import EncodingError, MalformedDocumentError, ReconciliationError
from functions.common.records import read_valid_line, valid_line
from functions.validate.contract_sql import broken_rules, open_checked, summed_totals
from functions.validate.documents import Document
from functions.validate.explain import TOO_DEEP, Reason, broken_schema, nested_too_deeply, too_large, unparsable
from functions.validate.nesting import nests_deeper
from functions.validate.raw import RawRecord
from functions.validate.rejected import Rejects
from functions.validate.schema import schema_validator

VALID, REJECTED = "valid.jsonl", "rejected.jsonl"
"""The files that a chunk's records are divided into."""

_FAILS_A_DOCUMENT = {"not_json": MalformedDocumentError, "not_utf8": EncodingError}
"""In a line these reject one record; inside an array they mean that the document's structure is broken."""

_FULLY_EXPLAINED_BYTES = 128 << 10
"""Of a larger record only the first error is looked for: 8 MiB of nonsense has a million, and all would be held."""

_BUFFER = 1 << 20
_NONE_BROKEN: tuple[int, list[Reason]] = (-1, [])
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
    document: Document,
    contract: Contract,
    batch_id: str,
    workdir: Path,
    connection: duckdb.DuckDBPyConnection,
    limits: Settings,
    sample_uri: str = "",
) -> Counts:
    """Write `valid.jsonl` and `rejected.jsonl` into `workdir`, both in the order of the file, and count.

    A valid line is `{"_position": …, "record": …}`, serialised by the parser that read it. Raises
    MalformedDocumentError or EncodingError where the structure around the records is broken, and
    RejectVolumeError, which names `sample_uri`, where the rejects are too many bytes; `rejected.jsonl` then has
    those that came before.
    """
    valid, rejected = workdir / VALID, workdir / REJECTED
    rejects = Rejects(batch_id, contract.version, document.position_kind, limits.max_reject_bytes, sample_uri)
    chunk = _Chunk(contract, valid, rejected, rejects, limits)
    valid.write_bytes(b"")
    open_checked(connection, contract, valid, limits.max_record_bytes)
    received = _screen(document, chunk)
    _reject_broken(chunk, _broken_rules(connection, contract))
    n_rejected = rejects.by_reason.total()
    totals = _control_totals(connection, contract)
    return Counts(received, received - n_rejected, n_rejected, dict(rejects.by_reason), totals)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Where one chunk's records go, and by what they are judged."""

    contract: Contract
    valid: Path
    rejected: Path
    rejects: Rejects
    limits: Settings


def _screen(document: Document, chunk: _Chunk) -> int:
    """Divide the records by parser and schema; answers how many came."""
    received = 0
    with chunk.valid.open("wb", _BUFFER) as valid, chunk.rejected.open("wb", _BUFFER) as rejected:
        for raw in document.records:
            received += 1
            record = _parsed(raw)
            reasons, written = _judged(raw, record, chunk)
            if not reasons:
                valid.write(valid_line(raw.position, written))
                continue
            if document.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reasons[0].code)):
                raise error(f"In record {raw.position} of the document {reasons[0].message}.")
            readable = record is not _UNREADABLE and reasons[0].code != TOO_DEEP
            cut = raw.length if raw.oversize else None
            rejected.write(chunk.rejects.line(raw.position, reasons, raw.data, readable=readable, truncated_from=cut))
    return received


def _parsed(raw: RawRecord) -> object:
    """The record as orjson reads it, or _UNREADABLE."""
    if raw.oversize:
        return _UNREADABLE
    try:
        return orjson.loads(raw.data)
    except orjson.JSONDecodeError:
        return _UNREADABLE


def _judged(raw: RawRecord, record: object, chunk: _Chunk) -> tuple[list[Reason], bytes]:
    """Why a record is rejected, or no reason and the record as it is handed on."""
    limits = chunk.limits
    if raw.oversize:
        return [too_large(limits.max_record_bytes)], b""
    if record is _UNREADABLE:
        return [unparsable(raw.data, limits.max_nesting)], b""
    if nests_deeper(record, raw.data, limits.max_nesting):
        return [nested_too_deeply(limits.max_nesting)], b""
    if not schema_validator(chunk.contract).is_valid(record):
        return _breaks_schema(raw, record, chunk.contract), b""
    written = orjson.dumps(record)
    if len(written) > limits.max_record_bytes:
        return [too_large(limits.max_record_bytes)], b""  # 1e15 is written as 1000000000000000.0
    return [], written


def _breaks_schema(raw: RawRecord, record: object, contract: Contract) -> list[Reason]:
    validator = schema_validator(contract)
    if raw.length <= _FULLY_EXPLAINED_BYTES:
        return broken_schema(validator.iter_errors(record), contract.schema)
    try:
        validator.validate(record)
    except jsonschema_rs.ValidationError as first:
        return broken_schema([first], contract.schema)
    raise AssertionError("a record that is not valid breaks the schema somewhere")


def _broken_rules(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[tuple[int, list[Reason]]]:
    """The positions of the records that break a rule, in the order of the file, each with its reasons.

    A rule that gives NULL is broken.
    """
    if not contract.rules:
        return
    rows = connection.execute(broken_rules(contract))
    while row := rows.fetchone():
        position, *verdicts = row
        yield (
            position,
            [
                Reason(rule.code, rule.pointer, rule.code, f"{rule.pointer} {rule.message}")
                for rule, is_kept in zip(contract.rules, verdicts, strict=True)
                if not is_kept
            ],
        )


def _reject_broken(chunk: _Chunk, broken: Iterator[tuple[int, list[Reason]]]) -> None:
    """Move the records that break a rule from the valid to the rejected ones.

    Both files stay in the order of the source, and neither is ever held in memory.
    """
    position, reasons = next(broken, _NONE_BROKEN)
    if not reasons:
        return
    kept, late = chunk.valid.with_suffix(".kept"), chunk.rejected.with_suffix(".late")
    try:
        with chunk.valid.open("rb") as lines, kept.open("wb", _BUFFER) as kept_file, late.open("wb", _BUFFER) as out:
            for line in lines:
                here, record = read_valid_line(line)
                if here != position:
                    kept_file.write(line)
                    continue
                out.write(chunk.rejects.line(position, reasons, record))
                position, reasons = next(broken, _NONE_BROKEN)
    finally:  # also where there are too many: they are the sample
        _merge_by_position(chunk.rejected, late)
    if reasons:
        raise ReconciliationError(f"The record at {position} breaks a rule, but does not stand where DuckDB found it.")
    kept.replace(chunk.valid)


def _merge_by_position(rejected: Path, late: Path) -> None:
    """Merge the reject lines of `late` into `rejected`; both are in the order of the source."""
    merged = rejected.with_suffix(".merged")
    with rejected.open("rb") as early_lines, late.open("rb") as late_lines, merged.open("wb", _BUFFER) as merged_file:
        in_order = heapq.merge(_with_positions(early_lines), _with_positions(late_lines), key=lambda pair: pair[0])
        merged_file.writelines(line for _, line in in_order)
    merged.replace(rejected)
    late.unlink()


def _with_positions(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        yield orjson.loads(line)["position"], line


def _control_totals(connection: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, str]:
    """The exact sum of each control total over the valid records, `0` where there are none."""
    if not contract.control_totals:
        return {}
    row = connection.execute(summed_totals(contract)).fetchone()
    return dict(zip((total.name for total in contract.control_totals), row or (), strict=True))
