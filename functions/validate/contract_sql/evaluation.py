"""The contract's SQL, as `validate` runs it, and a check of all of it before there is any record.

Without records an error of DuckDB quotes nothing but the contract, and so can be passed on as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

import duckdb
from duckdb.sqltypes import DuckDBPyType

from functions.common.contract import FITS, KEPT, POSITION, TOTALS, Contract, ControlTotal, Version
from functions.common.errors import ContractError
from functions.common.failing import REFUSED, fails
from functions.common.record_types import sent_type
from functions.common.reject_codes import Reason
from functions.common.sql import STAGED, copy, identifier, literal, make_macros
from functions.validate.casts import type_named, widens
from functions.validate.contract_sql import record_views
from functions.validate.table_checks import UNFIT, TableCheck, find_unfit, table_checks

_HUGE = re.compile(r"\bU?HUGEINT\b")
"""What DuckDB gives a sum of whole numbers. Parquet lacks it, and DuckDB would write floats."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found of a contract before there was any record."""

    decimals: Sequence[str]
    """What is in staging in place of columns that Parquet can't hold."""
    unsafe: Mapping[int, Mapping[str, DuckDBPyType]]
    """Of each version the columns whose values its upcasts give as another type, which must be seen to fit."""
    tables: Sequence[TableCheck]


_checked: WeakKeyDictionary[Contract, _Checked] = WeakKeyDictionary()
"""The contracts that were seen to fit."""


@dataclass(frozen=True, slots=True)
class ContractSql:
    """The contract's SQL over the decoded records of one chunk, one file per version (`DecodedRecord`)."""

    connection: duckdb.DuckDBPyConnection
    contract: Contract
    predicates: Mapping[int, str]
    """Of each version an SQL expression over a record as it was sent, true where it surely keeps the schema."""
    lines: Mapping[Version, Path]
    max_record_bytes: int
    reasons: list[Reason] = field(default_factory=list)
    """Why records are rejected that keep their schema, but not what the SQL or the tables need; see `not_kept`."""

    def check(self) -> None:
        """Make the macros, and see that all of the contract's SQL fits its schemas. Raises ContractError.

        The error names the file. A contract that was seen to fit is not looked at again in this process.
        """
        with _naming(self.contract, "macros.sql"):
            make_macros(self.connection, self.contract)
        if self.contract not in _checked:
            for path in self.lines.values():
                path.write_bytes(b"")
            unsafe = self._check()
            tables = table_checks(self.connection, self.contract)
            _checked[self.contract] = _Checked(self._decimals(), unsafe, tables)

    def _check(self) -> Mapping[int, Mapping[str, DuckDBPyType]]:
        self._view([self.contract.current])
        unsafe = {version.number: self._check_upcast(version) for version in self.contract.versions[:-1]}
        with _naming(self.contract, "contract.json: rules"):
            self.connection.execute(f"EXPLAIN SELECT {self.verdict_list()} FROM records")
        with _naming(self.contract, "contract.json: control_totals"):
            sums = ", ".join(["count(*)", *(f"sum({total.record_sql})" for total in self.contract.control_totals)])
            self.connection.execute(f"EXPLAIN SELECT {sums} FROM records")
        for table in self.contract.tables:
            with _naming(self.contract, f"{table.name}.sql"):
                columns = ", ".join(f"CAST({identifier(column.name)} AS {column.type})" for column in table.columns)
                self.connection.execute(f"EXPLAIN SELECT {POSITION}, {columns} FROM ({table.sql})")
        return unsafe

    def _check_upcast(self, version: Version) -> Mapping[str, DuckDBPyType]:
        following = self.contract.versions[self.contract.versions.index(version) + 1]
        with _naming(self.contract, f"v{version.number}.schema.json"):
            self._view_sent(version)
        with _naming(self.contract, f"v{version.number}_to_v{following.number}.sql"):
            self.connection.execute(f"EXPLAIN {self._records(version)}")
            sent_as = f"SELECT {POSITION}, true AS {FITS}, CAST(NULL AS {version.record_type}) AS read_as FROM records"
            of_version = f"SELECT {POSITION}, {FITS}, read_as.* FROM ({sent_as})"
            given = self.connection.sql(record_views.upcast(self.contract, version, of_version))
            types = {name.lower(): kind for name, kind in zip(given.columns, given.types, strict=True)}
        current = self.contract.current.columns
        wanted = {name: type_named(self.connection, kind) for name, kind in current.items()}
        return {name: types[name.lower()] for name in current if not widens(types[name.lower()], wanted[name])}

    def _view(self, versions: Sequence[Version], *, guarded: bool = False) -> None:
        """Make the view `records` over the lines of some versions."""
        for version in versions:
            with _naming(self.contract, f"v{version.number}.schema.json"):
                self._view_sent(version)
        with _naming(self.contract, "contract.json: derived"):
            queries = [self._records(version, guarded=guarded) for version in versions]
            self.connection.execute(f"CREATE OR REPLACE VIEW records AS {' UNION ALL '.join(queries)}")

    def _records(self, version: Version, *, guarded: bool = False) -> str:
        predicate, unsafe = self.predicates[version.number], self.unsafe(version)
        return record_views.records(
            self.contract, version, f"sent_{version.number}", predicate, unsafe=unsafe, guarded=guarded
        )

    def unsafe(self, version: Version) -> Mapping[str, DuckDBPyType]:
        """The columns whose values the upcasts of a version give as a type that may not fit."""
        found = _checked.get(self.contract)
        return found.unsafe.get(version.number, {}) if found else {}

    def _view_sent(self, version: Version) -> None:
        """Make the views of what was sent: decimals are floats, or texts, of which more digits are read exactly, but
        more slowly.
        """
        for name, decimals in (("sent", "DOUBLE"), ("sent_exactly", "VARCHAR")):
            sent_as = sent_type(version.schema, decimals)
            query = record_views.lines(self.lines[version], sent_as, self.max_record_bytes)
            self.connection.execute(f"CREATE OR REPLACE VIEW {name}_{version.number} AS {query}")

    def keep(self, versions: Sequence[Version], records: Path) -> None:
        """Write the Parquet file `records`, of the lines of `versions`: what each record is as one of the current
        version, whether it is kept, what it adds to the control totals.

        It is kept where its version's predicate is true, and every rule; NULL says that the predicate is not true.
        """
        self._view(versions)
        try:
            self._write_records(records)
        except duckdb.OperationalError:  # memory or disk
            raise
        except REFUSED:  # perhaps an upcast or a derived column can't be had of what breaks the schema
            self._view(versions, guarded=True)
            try:
                self._write_records(records)
            except duckdb.OperationalError:
                raise
            except REFUSED:  # it can't be had of a record that keeps the schema either: `Recheck` finds which
                self._write_undecided(versions, records)

    def _write_undecided(self, versions: Sequence[Version], records: Path) -> None:
        """Write the positions of all records, with nothing said of them: each is judged on its own then."""
        described = self.connection.execute(f"DESCRIBE {self.storable(self.kept('records'))}").fetchall()
        columns = ", ".join(
            f"CAST(NULL AS {kind}) AS {identifier(name)}" if name != POSITION else POSITION
            for name, kind, *_ in described
        )
        all_records = " UNION ALL ".join(f"SELECT {columns} FROM sent_{version.number}" for version in versions)
        copy(self.connection, all_records, records, STAGED)

    def _write_records(self, records: Path) -> None:
        copy(self.connection, self.storable(self.kept("records")), records, STAGED)

    def kept(self, relation: str) -> str:
        """The query of the records in `relation` as they are staged: kept or not, or NULL where they might not fit."""
        return f"""
            SELECT
                * EXCLUDE ({FITS}),
                CASE WHEN {FITS} THEN {self._all_rules()} END AS {KEPT},
                CASE WHEN {FITS} THEN {self._totals()} END AS {TOTALS}
            FROM {relation}
        """

    def _decimals(self) -> list[str]:
        """For each column of whole numbers that Parquet can't hold the expression that makes decimals of them."""
        query = f"DESCRIBE SELECT *, {self._totals()} AS {TOTALS} FROM records"
        return [
            f"CAST({identifier(name)} AS {_HUGE.sub('DECIMAL(38,0)', kind)}) AS {identifier(name)}"
            for name, kind, *_ in self.connection.execute(query).fetchall()
            if _HUGE.search(kind)
        ]

    def storable(self, query: str) -> str:
        """The same rows as `query` gives, of types that Parquet has."""
        decimals = _checked[self.contract].decimals
        return f"SELECT * REPLACE ({', '.join(decimals)}) FROM ({query})" if decimals else query

    def not_kept(self, records: Path) -> str:
        """The query of the records that are not kept, in the order of the file: position, and the verdict of each rule.

        NULL instead of the verdicts says that no rule was asked, since the predicate is not true; or it has the number
        of a reason in `reasons`.
        """
        staged = f"read_parquet({literal(records)})"
        return f"""
            SELECT {POSITION}, {self.verdict_list()} AS verdicts, NULL AS reason FROM {staged} WHERE NOT {KEPT}
            UNION ALL
            SELECT {POSITION}, NULL, NULL FROM {staged} WHERE {KEPT} IS NULL
            ORDER BY {POSITION}
        """

    def keep_fitting(self, records: Path) -> str:
        """Keep only those records in the file `records` whose rows the tables can hold.

        Returns the query of the others, as `not_kept` does; empty where there are none.
        """
        checks = _checked[self.contract].tables
        if not checks or not find_unfit(self.connection, checks, records, self.reasons):
            return ""
        fewer = records.with_suffix(".fewer")
        is_kept = f"{KEPT} AND {POSITION} NOT IN (SELECT {POSITION} FROM {UNFIT})"
        query = f"SELECT * REPLACE ({is_kept} AS {KEPT}) FROM read_parquet({literal(records)})"
        copy(self.connection, query, fewer, STAGED)
        fewer.replace(records)
        return f"SELECT {POSITION}, NULL, min(reason) FROM {UNFIT} GROUP BY {POSITION} ORDER BY {POSITION}"

    def control_totals(self, records: Path) -> dict[str, str]:
        """The exact sum of each control total over the records that are kept, as text; `0` where there are none."""
        totals = self.contract.control_totals
        if not totals:
            return {}
        staged = [
            identifier(total.record_sql) if self._is_column(total) else f"{TOTALS}.{identifier(total.name)}"
            for total in totals
        ]
        sums = {
            total.name: f"CAST(coalesce(sum({number}), 0) AS VARCHAR)"
            for total, number in zip(totals, staged, strict=True)
        }
        kept = f"FROM read_parquet({literal(records)}) WHERE {KEPT}"
        try:
            row = self.connection.execute(f"SELECT {', '.join(sums.values())} {kept}").fetchone()
        except duckdb.DataError as exc:
            large = [name for name, sum_ in sums.items() if fails(self.connection, f"SELECT {sum_} {kept}")]
            kind = type(exc).__name__
            raise ContractError(
                f"The contract's SQL failed on these records ({kind}): the sum of the control total "
                f"{', '.join(large)} has more than 38 digits."
            ) from None
        return dict(zip(sums, row or (), strict=True))

    def _all_rules(self) -> str:
        """An SQL expression that is true where a record keeps every rule, else false; one that gives NULL is broken."""
        return " AND ".join(["true", *self._verdicts()])

    def verdict_list(self) -> str:
        """An SQL expression for the verdict of each rule, in their order."""
        return f"CAST([{', '.join(self._verdicts())}] AS BOOLEAN[])"

    def _verdicts(self) -> list[str]:
        return [f"coalesce({rule.sql}, false)" for rule in self.contract.rules]

    def _totals(self) -> str:
        """What a record adds to each control total that is no column of it, as a struct; NULL if all are."""
        totals = [total for total in self.contract.control_totals if not self._is_column(total)]
        members = ", ".join(f"{identifier(total.name)}: {total.record_sql}" for total in totals)
        return f"{{{members}}}" if members else "NULL"

    def _is_column(self, total: ControlTotal) -> bool:
        columns = [*self.contract.current.columns, *(derived.name for derived in self.contract.derived)]
        return total.record_sql in columns


@contextmanager
def _naming(contract: Contract, place: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OperationalError:  # memory or disk, which is no fault of the contract
        raise
    except duckdb.Error as exc:
        fault = str(exc).partition("\n")[0]
        raise ContractError(f"contracts/{contract.dataset}/{place} cannot be used: {fault}.") from exc
