"""Derives records at the limits of a schema from its examples, and runs the contract on these records.

Each record differs from an example in one place: a smallest or largest value, null, a missing field or an empty array.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from functions.common.compiled_schema import schema_validator
from functions.common.contract import Contract, Version
from functions.common.errors import ContractError, ReconciliationError
from functions.common.json_pointer import escaped, path_of, pointer_in
from functions.common.record_types import EPOCHS, INT64, SIGNIFICANT_DIGITS, decimal_of
from functions.common.reject_codes import DOES_NOT_FIT, NULL_KEY
from functions.common.schema_shapes import ARRAY, JSON, OBJECT, Shape, shape_of
from functions.common.sql import make_macros
from functions.validate.contract_sql.column_origins import Columns, Origin, column_origins
from pipeline.contract.fault import Fault, line_at
from pipeline.contract.outcomes import read_rows, tried
from pipeline.contract.queries import database, view_records

_LONG = 300
_MISSING = object()
_TIMES = {
    "date-time": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2024-02-29T23:59:59.5-12:00"],
    "date": ["0001-01-01", "9999-12-31", "2024-02-29"],
}
_ERRORS = (ReconciliationError.__name__, ContractError.__name__)


@dataclass(frozen=True, slots=True)
class Extreme:
    """A record at a limit of its schema."""

    pointer: str
    """The JSON Pointer of the place where the record differs from an example."""
    what: str
    """A description of the value at that place."""
    record: Any


def extremes(version: Version, example: Any) -> Iterator[Extreme]:
    """Yield records that differ from an example in one place. Some of them may violate the schema."""
    for pointer, what, value in _changes(shape_of(version.schema, version.schema), example, ""):
        record = deepcopy(example)
        _set(record, path_of(pointer), value)
        yield Extreme(pointer, what, record)


def _set(record: Any, path: Sequence[str], value: Any) -> None:
    *holders, last = path
    for step in holders:
        record = record[int(step) if isinstance(record, list) else step]
    if value is _MISSING:
        del record[last]
    else:
        record[int(last) if isinstance(record, list) else last] = value


def _changes(shape: Shape, value: Any, pointer: str) -> Iterator[tuple[str, str, Any]]:
    if pointer and shape.nullable and value is not None:
        yield pointer, "null", None
    if shape.kind == OBJECT and isinstance(value, dict):
        for name, member in shape.members.items():
            place = f"{pointer}/{escaped(name)}"
            if name in value:
                if name not in shape.part.get("required", []):
                    yield place, "missing", _MISSING
                yield from _changes(member, value[name], place)
    elif shape.kind == ARRAY and isinstance(value, list):
        if not shape.part.get("minItems"):
            yield pointer, "an empty array", []
        if value and shape.element:
            yield from _changes(shape.element, value[0], f"{pointer}/0")
    elif value is not None:
        yield from ((pointer, what, one) for what, one in _values(shape))


def _values(shape: Shape) -> Iterator[tuple[str, Any]]:
    """Yield the limits of a value that isn't an object or array, each with its description."""
    part = shape.part
    if "const" in part or "enum" in part:
        yield from ((f"{value!r}", value) for value in part.get("enum", []) if value is not None)
    elif shape.kind == "boolean":
        yield from (("true", True), ("false", False))
    elif shape.kind == "integer":
        least, most = EPOCHS.get(str(part.get("format")), INT64)
        yield "its smallest value", _bound(part, "minimum", "exclusiveMinimum", least, 1)
        yield "its largest value", _bound(part, "maximum", "exclusiveMaximum", most, -1)
    elif shape.kind in ("number", "string") and "decimal" in part:
        yield from _decimals(part, as_text=shape.kind == "string")
    elif shape.kind == "number":
        yield "its smallest value", _bound(part, "minimum", "exclusiveMinimum", -1e300, 1)
        yield "its largest value", _bound(part, "maximum", "exclusiveMaximum", 1e300, -1)
        yield "a number with many digits", 0.123456789012345
    elif shape.kind == "string" and part.get("format") in _TIMES:
        yield from ((text, text) for text in _TIMES[str(part["format"])])
    elif shape.kind == "string" and not part.keys() & {"pattern", "format"}:
        yield "its shortest string", "x" * int(part.get("minLength", 0))
        yield "its longest string", "x" * min(int(part.get("maxLength", _LONG)), _LONG)
    elif shape.kind == JSON:
        yield from (("an empty object", {}), ("an empty array", []), ("a string", "x"), ("a number", 1.5))


def _bound(part: Mapping[str, Any], inclusive: str, exclusive: str, limit: float, step: int) -> Any:
    given = [part[inclusive]] if inclusive in part else []
    given += [part[exclusive] + step] if exclusive in part else []
    return (max if step > 0 else min)([*given, limit])


def _decimals(part: Mapping[str, Any], *, as_text: bool) -> Iterator[tuple[str, Any]]:
    precision, scale = decimal_of(part["decimal"])
    if not as_text:  # a float has no more significant digits
        precision = min(precision, max(SIGNIFICANT_DIGITS, precision - scale))
        scale = min(scale, max(0, SIGNIFICANT_DIGITS - (precision - scale)))
    finest = Decimal(1).scaleb(-scale)
    most = Decimal(10) ** (precision - scale) - finest
    for what, number in (("its largest value", most), ("its smallest value", -most), ("its smallest step", finest)):
        yield what, str(number) if as_text else int(number) if scale == 0 else float(number)


# --- the contract, tried on these records -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExtremesTrial:
    """The outcome of the records at the limits of a version's schema."""

    faults: Sequence[Fault]
    warnings: Mapping[Fault, str]
    """The warnings, each with the column that it is about, such as orders.status."""


def try_extremes(folder: Path, contract: Contract, version: Version) -> ExtremesTrial:
    """Run a contract without other faults on the extremes of a version, and return the outcome."""
    origins = _origins(contract)
    key = [origins[contract.record_table.name].get(name, Origin()).pointer for name in contract.record_table.key]
    validator = schema_validator(contract, version)
    found = [one for example in version.schema["examples"] for one in extremes(version, example)]
    found = [one for one in found if validator.is_valid(one.record)]
    rename = _renaming(key, validator.is_valid)
    named = [(one, rename(one.record, number, one.pointer)) for number, one in enumerate(found)]
    repeated = _repeated_parents(folder, version, rename)
    lines = [json.dumps(record).encode() + b"\n" for _, record in named]
    if repeated or not lines:
        return ExtremesTrial(repeated, {})
    starts = {sum(map(len, lines[:number])): number for number in range(len(lines))}
    with tried(lines, folder) as result:
        says = f"version {version.number}: "
        if result.error in _ERRORS:
            one = found[starts[result.position]] if result.position in starts else None
            where = f"{one.pointer} is {one.what}" if one else "records at the limits of the schema"
            advice = "Accept such a value in the SQL, or reject it with the schema or a rule."
            return ExtremesTrial([Fault(folder / "contract.json", 1, f"{says}{where}: {result.cause}", advice)], {})
        warned = dict(_of_rejects(folder, version, found, starts, map(json.loads, result.reject_lines())))
        table = contract.record_table
        rows = read_rows(result.tables[f"{table.name}.csv"]) if f"{table.name}.csv" in result.tables else []
        warned |= _of_rounded(folder, contract, origins[table.name], [record for _, record in named], rows)
    return ExtremesTrial([], warned)


def _origins(contract: Contract) -> Mapping[str, Columns]:
    with database() as connection:
        make_macros(connection, contract)
        view_records(connection, contract.current, contract)
        return column_origins(connection, contract)


def _renaming(key: Sequence[str | None], is_valid: Callable[[Any], bool]) -> Callable[[Any, int, str], Any]:
    """Return a function that makes the key of a record unique, where it is an unchanged value of the record."""

    def rename(record: Any, number: int, kept: str = "") -> Any:
        renamed = deepcopy(record)
        for pointer in key:
            if pointer is None or "*" in pointer or pointer == kept:
                continue
            path = path_of(pointer)
            holder: Any = renamed
            for step in path[:-1]:
                holder = holder.get(step) if isinstance(holder, dict) else None
            value = holder.get(path[-1]) if isinstance(holder, dict) else None
            if isinstance(value, str):
                holder[path[-1]] = f"{value}{number}"
            elif type(value) is int:
                holder[path[-1]] = number
        return renamed if is_valid(renamed) else record

    return rename


def _repeated_parents(folder: Path, version: Version, rename: Callable[[Any, int, str], Any]) -> list[Fault]:
    """Return a fault if records that differ only in their key, such as two orders of one customer, fail the file."""
    records = [rename(one, number, "") for one in version.schema["examples"] for number in (1, 2)]
    with tried([json.dumps(one).encode() + b"\n" for one in records], folder) as result:
        if result.error in _ERRORS:
            says = f"two records of version {version.number} that differ only in their key: {result.cause}"
            advice = "Give the table latest_by, with the columns that decide which row is kept."
            return [Fault(folder / "contract.json", 1, says, advice)]
    return []


def _of_rejects(
    folder: Path, version: Version, found: Sequence[Extreme], starts: Mapping[int, int], rejects: Iterator[Any]
) -> Iterator[tuple[Fault, str]]:
    """Yield a warning for each schema-valid value whose record is rejected because a column or key can't hold it."""
    schema = folder / f"v{version.number}.schema.json"
    said = set[str]()
    for reject in rejects:
        if reject["reason"] in (DOES_NOT_FIT, NULL_KEY):
            one = found[starts[reject["position"]]]
            says = f"accepts {one.what} at {one.pointer}, but such a record is rejected: "
            says += reject["errors"][0]["message"]
            if one.pointer not in said:
                said.add(one.pointer)
                advice = "Limit or require the value in the schema, widen the column, or use TRY_CAST in the SQL."
                yield Fault(schema, _line_of(schema, version, one.pointer), says, advice), reject["errors"][0]["rule"]


def _line_of(path: Path, version: Version, pointer: str) -> int:
    """Return the line of the schema that describes the value at a JSON Pointer into the record."""
    at, shape = "", shape_of(version.schema, version.schema)
    for step in path_of(pointer):
        inner = shape.element if step.isdigit() and shape.element else shape.members.get(step)
        if inner is None:
            break
        reference = shape.schema.get("$ref", "") if isinstance(shape.schema, Mapping) else ""
        at = pointer_in(reference) if reference else at
        at += "/items" if step.isdigit() and shape.element else f"/properties/{escaped(step)}"
        shape = inner
    return line_at(path, at)


def _of_rounded(
    folder: Path, contract: Contract, origins: Columns, records: Sequence[Any], rows: Sequence[Mapping[str, str]]
) -> Iterator[tuple[Fault, str]]:
    """Yield a warning for each column of the record table whose numbers differ from the record's values."""
    table = contract.record_table
    places = {name: origin.pointer for name, origin in origins.items() if origin.pointer and "*" not in origin.pointer}
    keys = [places.get(name) for name in table.key]
    if None in keys:
        return
    by_key = {tuple(str(_value_at(one, key)) for key in keys): one for one in records}
    for number, column in enumerate(table.columns):
        if column.name not in places or not column.type.startswith(("DECIMAL", "INTEGER", "BIGINT")):
            continue
        for row in rows:
            record = by_key.get(tuple(row[name] for name in table.key))
            sent, kept = _decimal(_value_at(record, places[column.name])), _decimal(row[column.name])
            if sent is not None and kept is not None and sent != kept:
                path = folder / "contract.json"
                line = line_at(path, f"/tables/{contract.tables.index(table)}/columns/{number}")
                says = f"{table.name}.{column.name} is rounded by the SQL: {places[column.name]} can have more decimals"
                advice = "Give the column a larger scale, or the schema a smaller one."
                yield Fault(path, line, says, advice), f"{table.name}.{column.name}"
                break


def _value_at(record: Any, pointer: str | None) -> Any:
    for step in path_of(pointer or ""):
        record = record.get(step) if isinstance(record, dict) else None
    return record


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
