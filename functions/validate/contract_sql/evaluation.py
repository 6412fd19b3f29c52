"""The contract's SQL, as `validate` runs it, and a check of all of it before there is any record.

Without records an error of DuckDB quotes nothing but the contract, and so can be passed on as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import duckdb

from functions.common.contract import FITS, KEPT, POSITION, TOTALS, Contract, ControlTotal, Version
from functions.common.errors import ContractError
from functions.common.record_types import sent_type
from functions.common.sql import STAGED, copy, identifier, literal, make_macros
from functions.validate.contract_sql import record_views
from functions.validate.contract_sql.predicates import fits, predicate_of

_REFUSED = (duckdb.Error, UnicodeDecodeError)
"""What DuckDB raises that refuses a record: the second where its message quotes one up to the middle of a character."""

_HUGE = re.compile(r"\bU?HUGEINT\b")
"""What DuckDB gives a sum of whole numbers. Parquet lacks it, and DuckDB would write floats."""

_checked: WeakKeyDictionary[Contract, Sequence[str]] = WeakKeyDictionary()
"""The contracts that were seen to fit; of each what stands in staging in place of columns that Parquet can't hold."""


@dataclass(frozen=True, slots=True)
class ContractSql:
    """The contract's SQL over the decoded records of one chunk, one file per version (`DecodedRecord`)."""

    connection: duckdb.DuckDBPyConnection
    contract: Contract
    predicates: Mapping[int, str]
    """Of each version an SQL expression over a record as it was sent, true where it surely keeps the schema."""
    lines: Mapping[Version, Path]
    max_record_bytes: int

    def check(self) -> None:
        """Make the macros, and see that all of the contract's SQL fits its schemas. Raises ContractError.

        The error names the file. A contract that was seen to fit is not looked at again in this process.
        """
        with _naming(self.contract, "macros.sql"):
            make_macros(self.connection, self.contract)
        if self.contract not in _checked:
            for path in self.lines.values():
                path.write_bytes(b"")
            self._check()
            _checked[self.contract] = self._decimals()

    def _check(self) -> None:
        self._view([self.contract.current])
        for version in self.contract.versions[:-1]:
            self._check_upcast(version)
        with _naming(self.contract, "contract.json: rules"):
            self.connection.execute(f"EXPLAIN SELECT {self._verdict_list()} FROM records")
        with _naming(self.contract, "contract.json: control_totals"):
            sums = ", ".join(["count(*)", *(f"sum({total.record_sql})" for total in self.contract.control_totals)])
            self.connection.execute(f"EXPLAIN SELECT {sums} FROM records")
        for table in self.contract.tables:
            with _naming(self.contract, f"{table.name}.sql"):
                columns = ", ".join(f"CAST({identifier(column.name)} AS {column.type})" for column in table.columns)
                self.connection.execute(f"EXPLAIN SELECT {POSITION}, {columns} FROM ({table.sql})")

    def _check_upcast(self, version: Version) -> None:
        following = self.contract.versions[self.contract.versions.index(version) + 1]
        with _naming(self.contract, f"v{version.number}.schema.json"):
            self._view_sent(version)
        with _naming(self.contract, f"v{version.number}_to_v{following.number}.sql"):
            self.connection.execute(f"EXPLAIN {self._records(version)}")

    def _view(self, versions: Sequence[Version], *, guarded: bool = False) -> None:
        """Make the view `records` over the lines of some versions."""
        for version in versions:
            with _naming(self.contract, f"v{version.number}.schema.json"):
                self._view_sent(version)
        with _naming(self.contract, "contract.json: derived"):
            queries = [self._records(version, guarded=guarded) for version in versions]
            self.connection.execute(f"CREATE OR REPLACE VIEW records AS {' UNION ALL '.join(queries)}")

    def _records(self, version: Version, *, guarded: bool = False) -> str:
        predicate = self.predicates[version.number]
        return record_views.records(self.contract, version, f"sent_{version.number}", predicate, guarded=guarded)

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
        except _REFUSED:  # perhaps an upcast or a derived column can't be had of what breaks the schema
            self._view(versions, guarded=True)
            self._write_records(records)

    def _write_records(self, records: Path) -> None:
        query = f"""
            SELECT
                * EXCLUDE ({FITS}),
                CASE WHEN {FITS} THEN {self._all_rules()} END AS {KEPT},
                CASE WHEN {FITS} THEN {self._totals()} END AS {TOTALS}
            FROM records
        """
        copy(self.connection, self._storable(query), records, STAGED)

    def _decimals(self) -> list[str]:
        """For each column of whole numbers that Parquet can't hold the expression that makes decimals of them."""
        query = f"DESCRIBE SELECT *, {self._totals()} AS {TOTALS} FROM records"
        return [
            f"CAST({identifier(name)} AS {_HUGE.sub('DECIMAL(38,0)', kind)}) AS {identifier(name)}"
            for name, kind, *_ in self.connection.execute(query).fetchall()
            if _HUGE.search(kind)
        ]

    def _storable(self, query: str) -> str:
        """The same rows as `query` gives, of types that Parquet has."""
        decimals = _checked[self.contract]
        return f"SELECT * REPLACE ({', '.join(decimals)}) FROM ({query})" if decimals else query

    def not_kept(self, records: Path) -> str:
        """The query of the records that are not kept, in the order of the file: position, and the verdict of each rule.

        NULL instead of the verdicts says that no rule was asked, since the predicate is not true.
        """
        staged = f"read_parquet({literal(records)})"
        return f"""
            SELECT {POSITION}, {self._verdict_list()} AS verdicts FROM {staged} WHERE NOT {KEPT}
            UNION ALL
            SELECT {POSITION}, NULL FROM {staged} WHERE {KEPT} IS NULL
            ORDER BY {POSITION}
        """

    def keep_cleared(self, versions: Sequence[Version], cleared: Path, records: Path) -> str:
        """Read the records at the positions in the file `cleared` anew, with every digit; keep those that keep the
        rules.

        The answer is the query of those that don't, as `not_kept` answers it. Raises ContractError where the schema
        lets pass what the record's columns can't hold.
        """
        positions = f"read_csv({literal(cleared)}, header = false, columns = {{{POSITION}: 'BIGINT'}})"
        for version in versions:
            self.connection.execute(
                f"CREATE TABLE cleared_{version.number} AS "
                f"FROM sent_exactly_{version.number} SEMI JOIN {positions} USING ({POSITION})"
            )
            self._check_fits(version)
        anew = " UNION ALL ".join(
            record_views.records(self.contract, version, f"cleared_{version.number}", "true") for version in versions
        )
        kept = f"SELECT * EXCLUDE ({FITS}), {self._all_rules()} AS {KEPT}, {self._totals()} AS {TOTALS} FROM ({anew})"
        more = records.with_suffix(".more")
        rest_and_kept = f"""
            FROM read_parquet({literal(records)}) ANTI JOIN {positions} USING ({POSITION})
            UNION ALL
            {self._storable(kept)}
            ORDER BY {POSITION}
        """
        copy(self.connection, rest_and_kept, more, STAGED)
        more.replace(records)
        return f"""
            SELECT {POSITION}, {self._verdict_list()}
            FROM read_parquet({literal(records)}) SEMI JOIN {positions} USING ({POSITION})
            WHERE NOT {KEPT}
            ORDER BY {POSITION}
        """

    def _check_fits(self, version: Version) -> None:
        fitting, cleared = predicate_of(version.schema, fits), f"cleared_{version.number}"
        row = self.connection.execute(
            f"SELECT min({POSITION}) FROM {cleared} WHERE NOT coalesce({fitting}, false)"
        ).fetchone()
        if row and row[0] is not None:
            raise ContractError(
                f"contracts/{self.contract.dataset}/v{version.number}.schema.json lets pass a time that there is not, "
                f"or a number that its column can't hold: the record at position {row[0]} has one."
            )

    def control_totals(self, records: Path) -> dict[str, str]:
        """The exact sum of each control total over the records that are kept, as text; `0` where there are none."""
        totals = self.contract.control_totals
        if not totals:
            return {}
        staged = [
            identifier(total.record_sql) if self._is_column(total) else f"{TOTALS}.{identifier(total.name)}"
            for total in totals
        ]
        sums = ", ".join(f"CAST(coalesce(sum({number}), 0) AS VARCHAR)" for number in staged)
        row = self.connection.execute(f"SELECT {sums} FROM read_parquet({literal(records)}) WHERE {KEPT}").fetchone()
        return dict(zip((total.name for total in totals), row or (), strict=True))

    def _all_rules(self) -> str:
        """An SQL expression that is true where a record keeps every rule, else false; one that gives NULL is broken."""
        return " AND ".join(["true", *self._verdicts()])

    def _verdict_list(self) -> str:
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
