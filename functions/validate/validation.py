"""Checks the records of one chunk against the contract and divides them into valid and rejected lines.

Two looks at each record: the schema while the chunk streams by, and the contract's rules, as SQL, over all the
records that passed. Input and output are local files and iterators; nothing here knows S3.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jsonschema_rs
import orjson

from functions.common.contract import Contract
from functions.common.errors import EncodingError, MalformedDocumentError
from functions.common.record_types import is_decimal
from functions.common.records import read_valid_line, reject_line, valid_line
from functions.common.sql import open_records
from functions.validate.documents import Document, RawRecord
from functions.validate.explain import Reason, broken_schema, too_large, unparsable

_FAILS_A_DOCUMENT = {"not_json": MalformedDocumentError, "not_utf8": EncodingError}
"""In a line these reject one record; inside an array they mean that the document's structure is broken."""


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
    describe = _Describer(batch_id, contract, document.position_kind)
    counts = _screen(document, contract, describe, valid, rejected, max_record_bytes)
    open_records(connection, contract, valid, max_record_bytes)
    if broken := _broken_rules(connection, contract):
        counts = _reject_broken(valid, rejected, broken, describe, counts)
    totals = _control_totals(connection, contract)
    return replace(counts, control_totals=totals)


@dataclass(frozen=True, slots=True)
class _Describer:
    """Writes reject lines for one chunk."""

    batch_id: str
    contract: Contract
    position_kind: str

    def line(self, position: int, reasons: list[Reason], record: bytes) -> bytes:
        return reject_line(
            batch_id=self.batch_id,
            contract_version=self.contract.version,
            position=position,
            position_kind=self.position_kind,
            reason=reasons[0].code,
            errors=[asdict(reason) for reason in reasons],
            record=record,
        )


def _screen(
    document: Document, contract: Contract, describe: _Describer, valid: Path, rejected: Path, max_record_bytes: int
) -> Counts:
    validator = schema_validator(contract)
    received = 0
    by_reason: Counter[str] = Counter()
    with valid.open("wb", 1 << 20) as valid_file, rejected.open("wb", 1 << 20) as rejected_file:
        for raw in document.records:
            received += 1
            try:
                record = None if raw.oversize else orjson.loads(raw.data)
            except orjson.JSONDecodeError:
                record = None
            if record is not None and validator.is_valid(record):
                valid_file.write(valid_line(raw.position, orjson.dumps(record)))
                continue
            reasons = _reasons(raw, record, contract, max_record_bytes)
            if document.position_kind == "index" and (error := _FAILS_A_DOCUMENT.get(reasons[0].code)):
                raise error(f"In record {raw.position} of the document {reasons[0].message}.")
            by_reason[reasons[0].code] += 1
            rejected_file.write(describe.line(raw.position, reasons, raw.data))
    n_rejected = by_reason.total()
    return Counts(received, received - n_rejected, n_rejected, dict(by_reason), {})


def _reasons(raw: RawRecord, record: object, contract: Contract, max_record_bytes: int) -> list[Reason]:
    if raw.oversize:
        return [too_large(max_record_bytes)]
    if record is None and raw.data.strip() != b"null":
        return [unparsable(raw.data)]
    return broken_schema(schema_validator(contract).iter_errors(record), contract.schema)


def _broken_rules(connection: duckdb.DuckDBPyConnection, contract: Contract) -> dict[int, list[Reason]]:
    """The positions of the records that break a rule, each with its reasons. A rule that gives NULL is broken."""
    broken: dict[int, list[Reason]] = {}
    if not contract.rules:
        return broken
    kept = [f"coalesce({rule.sql}, false)" for rule in contract.rules]
    rows = connection.execute(f"SELECT _position, {', '.join(kept)} FROM records WHERE NOT ({' AND '.join(kept)})")
    while row := rows.fetchone():
        position, *verdicts = row
        broken[position] = [
            Reason(rule.code, rule.pointer, rule.code, f"{rule.pointer} {rule.message}")
            for rule, is_kept in zip(contract.rules, verdicts, strict=True)
            if not is_kept
        ]
    return broken


def _reject_broken(
    valid: Path, rejected: Path, broken: dict[int, list[Reason]], describe: _Describer, counts: Counts
) -> Counts:
    """Move the records that break a rule from `valid` to `rejected`, keeping both in the order of the file."""
    kept, merged = valid.with_suffix(".kept"), rejected.with_suffix(".merged")
    by_reason = Counter(counts.rejected_by_reason)
    late: list[tuple[int, bytes]] = []
    with valid.open("rb") as lines, kept.open("wb", 1 << 20) as kept_file:
        for line in lines:
            position, record = read_valid_line(line)
            if position not in broken:
                kept_file.write(line)
                continue
            by_reason[broken[position][0].code] += 1
            late.append((position, describe.line(position, broken[position], record)))
    with rejected.open("rb") as early, merged.open("wb", 1 << 20) as merged_file:
        in_order = heapq.merge(_with_positions(early), late, key=lambda pair: pair[0])
        merged_file.writelines(line for _, line in in_order)
    kept.replace(valid)
    merged.replace(rejected)
    return replace(
        counts,
        valid=counts.valid - len(broken),
        rejected=counts.rejected + len(broken),
        rejected_by_reason=dict(by_reason),
    )


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
