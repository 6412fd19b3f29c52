"""Reads a contract, which describes a dataset, from its folder under `contracts/`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from functions.common.batch import DATASET_NAME
from functions.common.config import CONTRACTS
from functions.common.contract_checks import check_contract
from functions.common.errors import ContractError, UnknownDatasetError
from functions.common.input_settings import KEEP, InputSettings, input_settings
from functions.common.json_pointer import path_of
from functions.common.planning import UNKNOWN_DATASET
from functions.common.record_types import bounded, constant_of, record_fields, record_type
from functions.common.schema_merging import merged
from functions.common.schema_parts import conditions


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """A DuckDB type that has the same name in Athena."""


LINEAGE = (Column("batch_id", "VARCHAR"), Column("ingested_at", "TIMESTAMP"))
"""The columns that the pipeline adds to every table, after the contract's own."""

POSITION = "_position"
"""The column that a table's SELECT must also return: the position of the row's record in its file."""

FITS = "_fits"
"""The column that is true only if a record, as sent, is valid by its version's schema."""

KEPT = "_kept"
"""The column in staging that says whether a record is valid. Staging also has some invalid records."""

SENT = "_sent"
"""The column with a record as sent, which `validate` compares with the typed record."""

TOTALS = "_totals"
"""The column in staging with what each record adds to control totals that aren't columns."""

EXTRA = Column("_extra", "VARCHAR")
"""The column of the record table with a record's unknown fields, if the contract keeps them."""

RESERVED = frozenset({POSITION, FITS, KEPT, SENT, TOTALS})
"""Names that a property of a record can't have. EXTRA is also reserved if the contract keeps unknown fields."""

RESERVED_COLUMNS = (POSITION, EXTRA.name, "filename", *(one.name for one in LINEAGE))
"""Names that a column of a table can't have."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A rule that every value of `columns` must occur in the key of `table`."""

    columns: tuple[str, ...]
    table: str


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    latest_by: tuple[str, ...]
    """If several records have a row with the same key, the row with the highest values wins. Empty for unique keys."""
    references: tuple[Reference, ...]
    sql: str
    """The contract's SELECT over `records`, which returns `_position` and every column but EXTRA."""

    @property
    def rows_sql(self) -> str:
        """A SELECT over `records` that returns `_position` and every column."""
        if EXTRA not in self.columns:
            return self.sql
        own = ", ".join(f'own."{column.name}"' for column in self.columns if column is not EXTRA)
        more = f"SELECT {POSITION}, {EXTRA.name} FROM records"
        return (
            f"SELECT own.{POSITION}, {own}, more.{EXTRA.name} FROM (\n{self.sql}\n) AS own "
            f"LEFT JOIN ({more}) AS more USING ({POSITION})"
        )


@dataclass(frozen=True, slots=True)
class Derived:
    """A value that is computed once per record. Rules, control totals and tables use it as a column of `records`."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Rule:
    """An SQL predicate that must be true for every record, for checks that a schema can't express."""

    code: str
    pointer: str
    sql: str
    message: str
    example: str = ""


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """A sum that must be the same over the valid records and over the published rows."""

    name: str
    record_sql: str
    table: str
    column: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Version:
    """One version of a dataset's record format."""

    number: int
    schema: Mapping[str, Any]
    record_type: str
    """The DuckDB STRUCT for a record of this version."""
    upcast: str = ""
    """A SELECT over `records` of this version that returns the next version's columns. Empty for the current one."""

    @property
    def fields(self) -> frozenset[str]:
        """The names of a record's properties, including those of every variant of a polymorphic record."""
        return frozenset(merged(self.schema, self.schema).get("properties", {}))

    @property
    def columns(self) -> dict[str, str]:
        """The DuckDB type of each property of a record."""
        return record_fields(self.schema)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Contract:
    dataset: str
    versions: tuple[Version, ...]
    """The versions that producers may send, oldest first. Tables are made from the last, which is the current one."""
    version_path: tuple[str, ...]
    """The member names that lead to a record's version. Empty if records don't name their version."""
    default_version: int
    """The version of a record that doesn't name one."""
    input: InputSettings
    """How files of the dataset arrive."""
    record_table: Table
    """The table with one row per record. Its key is the record's key."""
    tables: tuple[Table, ...]
    derived: tuple[Derived, ...]
    rules: tuple[Rule, ...]
    control_totals: tuple[ControlTotal, ...]
    macros: str

    @property
    def keeps_unknown(self) -> bool:
        """Whether unknown fields are kept in the column EXTRA of the record table."""
        return self.input.unknown_fields == KEEP

    @property
    def current(self) -> Version:
        return self.versions[-1]

    def version_of(self, record: Any) -> Version | None:
        """Return the version that a parsed record names, or None if the contract doesn't have it."""
        named = record
        for member in self.version_path:
            if not isinstance(named, dict) or member not in named:
                named = self.default_version
                break
            named = named[member]
        else:
            named = named if self.version_path else self.default_version
        is_number = isinstance(named, int | float) and not isinstance(named, bool)
        return next((one for one in self.versions if is_number and named == one.number), None)


@cache
def load_contract(dataset: str, contracts: Path = CONTRACTS) -> Contract:
    """Return the contract in `contracts/<dataset>/`.

    Raises UnknownDatasetError if there is no such contract. Raises ContractError, which names the file, if the contract
    is incomplete or contradicts itself. This function doesn't check the contract's SQL; `validate` does.
    """
    folder = contracts / dataset
    if not DATASET_NAME.fullmatch(dataset) or not (folder / "contract.json").is_file():
        known = ", ".join(sorted(path.parent.name for path in contracts.glob("*/contract.json"))) or "none"
        raise UnknownDatasetError(
            f"There is no contract for this folder of incoming/; there are contracts for: {known}."
        )
    with _reading(folder / "contract.json") as path:
        if dataset == UNKNOWN_DATASET:  # files in no dataset's folder would be processed as its data
            raise ValueError(f"a dataset can't be called {UNKNOWN_DATASET}: that name is for files without a dataset")
        data = read_json(path)
        check_contract(data, dataset, RESERVED_COLUMNS)
        given = input_settings(data)
    versions = _versions(folder, data)
    with _reading(folder / "contract.json"):
        _check_envelope(given, versions)
    has_extra = data["record_table"] if given.unknown_fields == KEEP else ""
    tables = tuple(_table(folder, table, has_extra=table["name"] == has_extra) for table in data["tables"])
    by_name = {table.name: table for table in tables}
    macros = folder / "macros.sql"
    return Contract(
        dataset=data["dataset"],
        versions=versions,
        version_path=path_of(data.get("record_version", {}).get("pointer", "")),
        default_version=_default_version(data),
        input=given,
        record_table=by_name[data["record_table"]],
        tables=tables,
        derived=tuple(Derived(one["name"], one["sql"]) for one in data.get("derived", [])),
        rules=tuple(Rule(**rule) for rule in data.get("rules", [])),
        control_totals=tuple(ControlTotal(**total) for total in data.get("control_totals", [])),
        macros=_sql(macros) if macros.exists() else "",
    )


def _default_version(data: Mapping[str, Any]) -> int:
    named = data.get("record_version")
    return int(named.get("default", 1) if named else data["current_version"])


def _versions(folder: Path, data: Mapping[str, Any]) -> tuple[Version, ...]:
    numbers = [one["version"] for one in data.get("versions", [{"version": data["current_version"]}])]
    upcasts = [_sql(folder / f"v{older}_to_v{newer}.sql") for older, newer in pairwise(numbers)]
    return tuple(_version(folder, number, data, upcast) for number, upcast in zip(numbers, [*upcasts, ""], strict=True))


def _check_envelope(input: InputSettings, versions: tuple[Version, ...]) -> None:
    """Raise ValueError if a record could be mistaken for an envelope."""
    for name in input.record_path[:1]:
        if any(name in version.fields for version in versions):
            raise ValueError(f"{input.records} leads to the records of an envelope, but a record has a property {name}")


def _version(folder: Path, number: int, data: Mapping[str, Any], upcast: str) -> Version:
    with _reading(folder / f"v{number}.schema.json") as path:
        written = read_json(path)
        schema = written if conditions(written) else bounded(written)  # a bound would change the meaning of a condition
        version = Version(number, schema, record_type(schema), upcast)
        taken = RESERVED | {derived["name"] for derived in data.get("derived", [])}
        if input_settings(data).unknown_fields == KEEP:
            taken |= {EXTRA.name}
        properties = merged(schema, schema).get("properties", {})
        if not version.columns or taken & set(map(str.lower, properties)):
            raise ValueError(f"a record must have properties, and these names are reserved: {', '.join(sorted(taken))}")
        if named := data.get("record_version"):
            _check_names_itself(schema, number, named["pointer"], is_default=number == _default_version(data))
        return version


def _check_names_itself(schema: Mapping[str, Any], number: int, pointer: str, *, is_default: bool) -> None:
    """Raise ValueError if a version's schema accepts a record that belongs to another version."""
    constant, is_required = constant_of(schema, path_of(pointer))
    if constant != number or type(constant) is not int:
        raise ValueError(
            f'{pointer}, where a record names its version, must be {{"type": "integer", "const": {number}}}'
        )
    if not is_required and not is_default:
        raise ValueError(f"{pointer} must be required, because a record without it has the default version")


@contextmanager
def _reading(path: Path) -> Iterator[Path]:
    """Convert an error in a contract's file to a ContractError that names the file."""
    try:
        yield path
    except (OSError, ValueError, TypeError, RecursionError) as exc:
        fault = exc.strerror if isinstance(exc, OSError) else exc
        place = f"contracts/{path.parent.name}/{path.name}"
        raise ContractError(f"{place} cannot be used: {fault} ({type(exc).__name__}).") from exc


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises ValueError if an object in it has a member twice."""
    return json.loads(path.read_text("utf-8"), object_pairs_hook=_once)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        raise ValueError(f"an object has the member {next(n for n in names if names.count(n) > 1)} twice")
    return found


def _sql(path: Path) -> str:
    """Return a statement that can be put in parentheses, without its semicolon and with a line break at the end."""
    with _reading(path):
        text = path.read_text("utf-8").strip().rstrip(";")
        if not text.strip() or "\0" in text:
            raise ValueError("it must be SQL")
        return f"{text}\n"


def _table(folder: Path, data: Mapping[str, Any], *, has_extra: bool) -> Table:
    return Table(
        name=data["name"],
        columns=(*(Column(column["name"], column["type"]) for column in data["columns"]), *([EXTRA] * has_extra)),
        key=tuple(data["key"]),
        latest_by=tuple(data.get("latest_by", [])),
        references=tuple(Reference(tuple(ref["columns"]), ref["table"]) for ref in data.get("references", [])),
        sql=_sql(folder / f"{data['name']}.sql"),
    )
