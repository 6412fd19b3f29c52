"""Evaluates the contract's SQL on one chunk: schema predicates, upcasts, derived columns, rules, totals and tables."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import duckdb
from duckdb.sqltypes import DuckDBPyType

from functions.common.contract import KEPT, POSITION, Contract, Version
from functions.common.errors import ContractError
from functions.common.failing_records import REFUSED, fails
from functions.common.record_types import sent_type
from functions.common.reject_codes import Reason
from functions.common.sql import STAGED, copy, identifier, literal, make_macros
from functions.validate.contract_sql.record_queries import RecordQueries, lines_query, predicate_of
from functions.validate.contract_sql.table_checks import UNFIT, TableCheck, find_unfit, table_checks
from functions.validate.contract_sql.undecided import UndecidedRecords


@dataclass(frozen=True, slots=True)
class FlaggedRecord:
    """A record that isn't kept. If only its position is set, SQL could not confirm that its schema accepts it."""

    position: int
    rules_kept: Sequence[bool] | None = None
    """For each rule of the contract, whether the record satisfies it. None if the record satisfies all rules."""
    unfit: Reason | None = None
    """The reason why the contract's SQL or tables can't hold a schema-valid record."""


Recheck = Callable[[Iterable[FlaggedRecord]], Iterator[int]]
"""Validates flagged records in the order of the source, and yields the positions of valid records."""


@dataclass(frozen=True, slots=True)
class _CheckedContract:
    """A contract whose SQL was checked before there were any records."""

    queries: RecordQueries
    tables: Sequence[TableCheck]


_checked: WeakKeyDictionary[Contract, _CheckedContract] = WeakKeyDictionary()


class ChunkEvaluation:
    """Evaluates the contract's SQL on one chunk.

    Raises ContractError, which names the file, if any of the contract's SQL can't be used. The check runs without
    records, so DuckDB's error messages quote only the contract. Each contract is checked once per process.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: Contract,
        lines: Mapping[Version, Path],
        decoded: Collection[Version],
        max_record_bytes: int,
    ) -> None:
        """Check the contract. `lines` has a file of `DecodedRecord`s per version.

        `decoded` has the versions with a fast decoder.
        """
        self._connection, self._contract = connection, contract
        self._lines, self._max_record_bytes = lines, max_record_bytes
        self._predicates = {version: predicate_of(version, is_decoded=version in decoded) for version in lines}
        self._queries = RecordQueries(contract)
        self._reasons: list[Reason] = []
        """The reasons for FlaggedRecord.unfit. Queries return indexes into this list."""
        with _naming(contract, "macros.sql"):
            make_macros(connection, contract)
        if contract not in _checked:
            for path in lines.values():
                path.write_bytes(b"")
            _checked[contract] = self._check()
        self._queries, self._table_checks = _checked[contract].queries, _checked[contract].tables

    # --- before there is any record -----------------------------------------------------------------------------------

    def _check(self) -> _CheckedContract:
        contract, connection = self._contract, self._connection
        self._view_records([contract.current])
        unsafe = {version.number: self._check_upcast(version) for version in contract.versions[:-1]}
        with _naming(contract, "contract.json: rules"):
            connection.execute(f"EXPLAIN SELECT {self._queries.rules_kept()} FROM records")
        with _naming(contract, "contract.json: control_totals"):
            sums = ", ".join(["count(*)", *(f"sum({total.record_sql})" for total in contract.control_totals)])
            connection.execute(f"EXPLAIN SELECT {sums} FROM records")
        for table in contract.tables:
            with _naming(contract, f"{table.name}.sql"):
                columns = ", ".join(f"CAST({identifier(column.name)} AS {column.type})" for column in table.columns)
                connection.execute(f"EXPLAIN SELECT {POSITION}, {columns} FROM ({table.rows_sql})")
        checks = table_checks(connection, contract)
        queries = replace(self._queries, unsafe=unsafe, decimals=self._queries.replaced_columns(connection))
        return _CheckedContract(queries, checks)

    def _check_upcast(self, version: Version) -> Mapping[str, DuckDBPyType]:
        following = self._contract.versions[self._contract.versions.index(version) + 1]
        self._view_sent(version)
        with _naming(self._contract, f"v{version.number}_to_v{following.number}.sql"):
            self._connection.execute(f"EXPLAIN {self._records(version)}")
            return self._queries.unsafe_columns(self._connection, version)

    # --- views over the records ---------------------------------------------------------------------------------------

    def _view_records(self, versions: Sequence[Version], *, is_guarded: bool = False) -> None:
        """Create the view `records` over the lines of these versions."""
        for version in versions:
            self._view_sent(version)
        with _naming(self._contract, "contract.json: derived"):
            queries = [self._records(version, is_guarded=is_guarded) for version in versions]
            self._connection.execute(f"CREATE OR REPLACE VIEW records AS {' UNION ALL '.join(queries)}")

    def _records(self, version: Version, *, is_guarded: bool = False) -> str:
        sent, predicate = f"sent_{version.number}", self._predicates[version]
        return self._queries.records(version, sent, predicate, is_guarded=is_guarded)

    def _view_sent(self, version: Version) -> None:
        """Create the views of sent records, with decimals as floats and as strings, which are exact but slower."""
        for name, decimals_as in (("sent", "DOUBLE"), ("sent_exactly", "VARCHAR")):
            with _naming(self._contract, f"v{version.number}.schema.json"):
                query = lines_query(
                    self._lines[version],
                    sent_type(version.schema, decimals_as),
                    self._max_record_bytes,
                    keeps_unknown=self._contract.keeps_unknown,
                )
                self._connection.execute(f"CREATE OR REPLACE VIEW {name}_{version.number} AS {query}")

    # --- the records of the chunk -------------------------------------------------------------------------------------

    def evaluate(self, versions: Sequence[Version], records: Path, recheck: Recheck) -> dict[str, str]:
        """Write the Parquet file `records`, and return the control totals of kept records as exact decimals.

        For each record of `versions`, the file has the record in the current version, whether it is kept, and what it
        adds to the control totals. `recheck` validates all records that aren't kept. Records that it accepts are
        evaluated again with every digit that was sent, and flagged again if they break a rule or don't fit. Records
        whose rows the tables can't hold are flagged last.
        """
        self._write(versions or [self._contract.current], records)
        accepted = records.with_suffix(".accepted")
        with accepted.open("w") as file:
            file.writelines(f"{position}\n" for position in recheck(self._flagged(self._not_kept(records))))
        if accepted.stat().st_size:
            undecided = UndecidedRecords(self._connection, self._queries, self._reasons)
            _finish(recheck(self._flagged(undecided.evaluate(versions, accepted, records))))
        if find_unfit(self._connection, self._table_checks, records, self._reasons):
            self._keep_only_fitting(records)
            unfit = f"SELECT {POSITION}, NULL, min(reason) FROM {UNFIT} GROUP BY {POSITION} ORDER BY {POSITION}"
            _finish(recheck(self._flagged(unfit)))
        return self._control_totals(records)

    def _write(self, versions: Sequence[Version], records: Path) -> None:
        for is_guarded in (False, True):
            self._view_records(versions, is_guarded=is_guarded)
            try:
                copy(self._connection, self._queries.evaluated("records"), records, STAGED)
                return
            except duckdb.OperationalError:  # memory or disk
                raise
            except REFUSED:  # an upcast or derived column may fail on an invalid record: the second pass is guarded
                continue
        self._write_undecided(
            versions, records
        )  # it also fails on a schema-valid record, which `UndecidedRecords` finds

    def _write_undecided(self, versions: Sequence[Version], records: Path) -> None:
        """Write only the positions of all records, which makes each record undecided."""
        described = self._connection.execute(f"DESCRIBE {self._queries.evaluated('records')}").fetchall()
        columns = ", ".join(
            f"CAST(NULL AS {kind}) AS {identifier(name)}" if name != POSITION else POSITION
            for name, kind, *_ in described
        )
        all_records = " UNION ALL ".join(f"SELECT {columns} FROM sent_{version.number}" for version in versions)
        copy(self._connection, all_records, records, STAGED)

    def _not_kept(self, records: Path) -> str:
        staged = f"read_parquet({literal(records)})"
        return f"""
            SELECT {POSITION}, {self._queries.rules_kept()} AS rules_kept, NULL AS reason FROM {staged} WHERE NOT {KEPT}
            UNION ALL
            SELECT {POSITION}, NULL, NULL FROM {staged} WHERE {KEPT} IS NULL
            ORDER BY {POSITION}
        """

    def _flagged(self, query: str) -> Iterator[FlaggedRecord]:
        """Yield a FlaggedRecord per row. `query` returns positions, rules_kept or NULL, and reason indexes or NULL."""
        rows = self._connection.execute(query)
        while row := rows.fetchone():
            position, rules_kept, reason = row
            yield FlaggedRecord(position, rules_kept, None if reason is None else self._reasons[reason])

    def _keep_only_fitting(self, records: Path) -> None:
        fewer = records.with_suffix(".fewer")
        is_kept = f"{KEPT} AND {POSITION} NOT IN (SELECT {POSITION} FROM {UNFIT})"
        query = f"SELECT * REPLACE ({is_kept} AS {KEPT}) FROM read_parquet({literal(records)})"
        copy(self._connection, query, fewer, STAGED)
        fewer.replace(records)

    def _control_totals(self, records: Path) -> dict[str, str]:
        sums = self._queries.sums()
        if not sums:
            return {}
        kept = f"FROM read_parquet({literal(records)}) WHERE {KEPT}"
        try:
            row = self._connection.execute(f"SELECT {', '.join(sums.values())} {kept}").fetchone()
        except duckdb.DataError as exc:
            large = [name for name, sum_ in sums.items() if fails(self._connection, f"SELECT {sum_} {kept}")]
            kind = type(exc).__name__
            raise ContractError(
                f"The contract's SQL failed on these records ({kind}): the sum of the control total "
                f"{', '.join(large)} has more than 38 digits."
            ) from None
        return dict(zip(sums, row or (), strict=True))


def _finish(positions: Iterator[int]) -> None:
    """Recheck records that are certain to be rejected."""
    for position in positions:
        raise AssertionError(f"record {position} was rejected by SQL, and then accepted")


@contextmanager
def _naming(contract: Contract, place: str) -> Iterator[None]:
    """Convert a DuckDB error to a ContractError that names the file."""
    try:
        yield
    except duckdb.OperationalError:  # memory or disk, which isn't a fault in the contract
        raise
    except duckdb.Error as exc:
        fault = str(exc).partition("\n")[0]
        raise ContractError(f"contracts/{contract.dataset}/{place} cannot be used: {fault}.") from exc
