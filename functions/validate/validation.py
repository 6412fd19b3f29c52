"""Checks the records of one chunk against the contract and divides them into valid and rejected lines.

Two looks at each record: the schema while the chunk streams by, and the contract's rules, as SQL, over all the
records that passed. Input and output are local files and iterators; nothing here knows S3.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jsonschema_rs
import orjson

from functions.common.contract import Contract
from functions.common.errors import EncodingError, MalformedDocumentError, ReconciliationError
from functions.common.record_types import is_decimal
from functions.common.records import read_valid_line, reject_line, valid_line
from functions.common.sql import open_records
from functions.validate.documents import Document
from functions.validate.explain import Reason, broken_schema, too_large, unparsable
from functions.validate.raw import RawRecord

_FAILS_A_DOCUMENT = {"not_json": MalformedDocumentError, "not_utf8": EncodingError}
"""In a line these reject one record; inside an array they mean that the document's structure is broken."""

_FULLY_EXPLAINED_BYTES = 128 << 10
"""Of a larger record only the first error is looked for: 8 MiB of nonsense has a million, and all would be held."""

_BUFFER = 1 << 20
_NONE_BROKEN: tuple[int, list[Reason]] = (-1, [])


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one chunk: received = valid + rejected."""

    received: int
    valid: int
    rejected: int
    rejected_by_reason: dict[str, int]
    control_totals: dict[str, str]
    """Sums over the valid records, as exact decimals."""


class _Decimal:
    """The schema keyword `decimal` for jsonschema-rs: see functions.common.record_types."""

    def __init__(self, _parent: Any, value: list[int], _path: Any) -> None:
        self._precision, self._scale = value

    def validate(self, instance: Any) -> None:
        """Raise ValueError for a number that is not exact; anything else is the business of `type`."""
        is_number = isinstance(instance, int | float) and not isinstance(instance, bool)
        if is_number and not is_decimal(instance, self._precision, self._scale):
            raise ValueError("not an exact decimal")


@cache
def schema_validator(contract: Contract) -> jsonschema_rs.Draft202012Validator:
    """The contract's schema, compiled once a process, with formats asserted."""
    return jsonschema_rs.Draft202012Validator(
        dict(contract.schema), validate_formats=True, keywords={"decimal": _Decimal}
    )


def validate_chunk(
    document: Document,
    contract: Contract,
    batch_id: str,
    workdir: Path,
    connection: duckdb.DuckDBPyConnection,
    max_record_bytes: int,
) -> Counts:
    """Write `valid.jsonl` and `rejected.jsonl` into `workdir`, both in the order of the file, and count.

    A valid line is `{"_position": …, "record": …}`, serialised by the parser that read it. Raises
    MalformedDocumentError or EncodingError where the structure around the records is broken.
    """
    valid, rejected = workdir / "valid.jsonl", workdir / "rejected.jsonl"
    chunk = _Chunk(batch_id, contract, document.position_kind, valid, rejected)
    received, by_reason = _screen(document, chunk, max_record_bytes)
    open_records(connection, contract, valid, max_record_bytes)
    by_reason += _reject_broken(chunk, _broken_rules(connection, contract))
    n_rejected = by_reason.total()
    totals = _control_totals(connection, contract)
    return Counts(received, received - n_rejected, n_rejected, dict(by_reason), totals)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Where one chunk's records go, and how its reject lines are written."""

    batch_id: str
    contract: Contract
    position_kind: str
    valid: Path
    rejected: Path

    def reject_line(
        self, position: int, reasons: list[Reason], record: bytes, truncated_from: int | None = None
    ) -> bytes:
        return reject_line(
            batch_id=self.batch_id,
            contract_version=self.contract.version,
            position=position,
            position_kind=self.position_kind,
            reason=reasons[0].code,
            errors=[asdict(reason) for reason in reasons],
            record=record,
            truncated_from=truncated_from,
        )


def _screen(document: Document, chunk: _Chunk, max_record_bytes: int) -> tuple[int, Counter[str]]:
    """Divide the records by parser and schema; answers how many came, and the rejected ones by reason."""
    validator = schema_validator(chunk.contract)
    received = 0
    by_reason: Counter[str] = Counter()
    with chunk.valid.open("wb", _BUFFER) as valid, chunk.rejected.open("wb", _BUFFER) as rejected:
        for raw in document.records:
            received += 1
            try:
                record = None if raw.oversize else orjson.loads(raw.data)
            except orjson.JSONDecodeError:
                record = None
            if record is not None and validator.is_valid(record):
                valid.write(valid_line(raw.position, orjson.dumps(record)))
                continue
            reasons = _reasons(raw, record, chunk.contract, max_record_bytes)
            if document.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reasons[0].code)):
                raise error(f"In record {raw.position} of the document {reasons[0].message}.")
            by_reason[reasons[0].code] += 1
            cut = raw.length if raw.oversize else None
            rejected.write(chunk.reject_line(raw.position, reasons, raw.data, cut))
    return received, by_reason


def _reasons(raw: RawRecord, record: object, contract: Contract, max_record_bytes: int) -> list[Reason]:
    if raw.oversize:
        return [too_large(max_record_bytes)]
    if record is None and raw.data.strip() != b"null":
        return [unparsable(raw.data)]
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
    kept = [f"coalesce({rule.sql}, false)" for rule in contract.rules]
    rows = connection.execute(f"SELECT _position, {', '.join(kept)} FROM records WHERE NOT ({' AND '.join(kept)})")
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


def _reject_broken(chunk: _Chunk, broken: Iterator[tuple[int, list[Reason]]]) -> Counter[str]:
    """Move the records that break a rule from the valid to the rejected ones; answers how many, by reason.

    Both files stay in the order of the source, and neither is ever held in memory.
    """
    by_reason: Counter[str] = Counter()
    position, reasons = next(broken, _NONE_BROKEN)
    if not reasons:
        return by_reason
    kept, late = chunk.valid.with_suffix(".kept"), chunk.rejected.with_suffix(".late")
    with chunk.valid.open("rb") as lines, kept.open("wb", _BUFFER) as kept_file, late.open("wb", _BUFFER) as late_file:
        for line in lines:
            here, record = read_valid_line(line)
            if here != position:
                kept_file.write(line)
                continue
            by_reason[reasons[0].code] += 1
            late_file.write(chunk.reject_line(position, reasons, record))
            position, reasons = next(broken, _NONE_BROKEN)
    if reasons:
        raise ReconciliationError(f"The record at {position} breaks a rule, but does not stand where DuckDB found it.")
    kept.replace(chunk.valid)
    _merge_by_position(chunk.rejected, late)
    return by_reason


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
    sums = ", ".join(f"CAST(coalesce(sum({total.record_sql}), 0) AS VARCHAR)" for total in contract.control_totals)
    row = connection.execute(f"SELECT {sums} FROM records").fetchone()
    return dict(zip((total.name for total in contract.control_totals), row or (), strict=True))
