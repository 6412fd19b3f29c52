"""Reads records again with every digit that the fast path left undecided, and that the schema accepts.

Of most files there are none. A record of which the contract's SQL makes nothing is found among them, one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from functions.common.contract import KEPT, POSITION, SENT, Version
from functions.common.failing import failing_positions, fails
from functions.common.reject_codes import DOES_NOT_FIT, Reason
from functions.common.sql import STAGED, copy, identifier, literal
from functions.validate.contract_sql import record_views
from functions.validate.contract_sql.evaluation import ContractSql
from functions.validate.contract_sql.predicates import fits, predicate_of
from functions.validate.table_checks import CREATE_UNFIT, UNFIT


@dataclass(frozen=True, slots=True)
class Recheck:
    """Decides which of the undecided records of one chunk are kept."""

    sql: ContractSql

    def keep(self, versions: Sequence[Version], cleared: Path, records: Path) -> str:
        """Put the records at the positions in the file `cleared` into the file `records`; keep those that keep the
        rules, and whose values fit.

        Returns the query of those that don't, as `ContractSql.not_kept` does.
        """
        positions = f"read_csv({literal(cleared)}, header = false, columns = {{{POSITION}: 'BIGINT'}})"
        connection = self.sql.connection
        connection.execute(CREATE_UNFIT)
        for version in versions:
            connection.execute(
                f"CREATE TABLE cleared_{version.number} AS "
                f"FROM sent_exactly_{version.number} SEMI JOIN {positions} USING ({POSITION})"
            )
            self._take_out_unfit(version)
        kept = self.sql.kept(f"({' UNION ALL '.join(self._records(version) for version in versions)})")
        more = records.with_suffix(".more")
        rest_and_kept = f"""
            FROM read_parquet({literal(records)}) ANTI JOIN {positions} USING ({POSITION})
            UNION ALL
            {self.sql.storable(kept)}
            ORDER BY {POSITION}
        """
        copy(connection, rest_and_kept, more, STAGED)
        more.replace(records)
        read = f"read_parquet({literal(records)}) SEMI JOIN {positions} USING ({POSITION})"
        upcast = self._reason("a value that the current version of the contract cannot hold as it is")
        return f"""
            SELECT {POSITION}, {self.sql.verdict_list()} AS verdicts, NULL AS reason FROM {read} WHERE NOT {KEPT}
            UNION ALL
            SELECT {POSITION}, NULL, {upcast} FROM {read} WHERE {KEPT} IS NULL
            UNION ALL
            FROM {UNFIT}
            ORDER BY {POSITION}
        """

    def _records(self, version: Version, condition: str = "true") -> str:
        sent = f"(FROM cleared_{version.number} WHERE {condition})"
        return record_views.records(self.sql.contract, version, sent, "true", unsafe=self.sql.unsafe(version))

    def _take_out_unfit(self, version: Version) -> None:
        """Move those records to UNFIT that have a value for which there is no column, or of which the SQL fails."""
        connection, cleared = self.sql.connection, f"cleared_{version.number}"
        unfit = f"NOT coalesce({predicate_of(version.schema, fits)}, false)"
        reason = self._reason("a time or a number that its column cannot hold")
        connection.execute(f"INSERT INTO {UNFIT} SELECT {POSITION}, NULL, {reason} FROM {cleared} WHERE {unfit}")
        connection.execute(f"DELETE FROM {cleared} WHERE {unfit}")

        def within(first: int, last: int) -> str:
            return f"FROM {cleared} WHERE {POSITION} BETWEEN {first} AND {last}"

        def computed(first: int, last: int) -> str:
            kept = self.sql.kept(f"({self._records(version, f'{POSITION} BETWEEN {first} AND {last}')})")
            return f"SELECT max(hash({SENT})) FROM ({self.sql.storable(kept)}) AS {SENT}"  # a name that no column has

        what = f"upcasts, derived columns, rules and control totals of version {version.number}"
        for position in failing_positions(connection, within, computed, what):
            broken = self._broken_rules(version, position)
            if any(broken):
                found = f"{[not one for one in broken]}, NULL"
            else:
                found = f"NULL, {self._reason(self._what_fails(version, position))}"
            connection.execute(f"INSERT INTO {UNFIT} SELECT {position}, {found}")
        connection.execute(f"DELETE FROM {cleared} WHERE {POSITION} IN (SELECT {POSITION} FROM {UNFIT})")

    def _is_failing(self, version: Version, position: int, expression: str) -> bool:
        """Whether an expression over `records` fails on one record, where its columns can be had."""
        records = self._records(version, f"{POSITION} = {position}")
        return fails(self.sql.connection, f"SELECT max(hash({expression})) FROM ({records})")

    def _broken_rules(self, version: Version, position: int) -> list[bool]:
        """Of each rule whether its SQL fails on a record; of none where the record's columns can't be had."""
        if self._is_failing(version, position, self._columns()):
            return []
        return [self._is_failing(version, position, rule.sql) for rule in self.sql.contract.rules]

    def _columns(self) -> str:
        contract = self.sql.contract
        names = [*contract.current.columns, *(derived.name for derived in contract.derived)]
        return ", ".join(map(identifier, names))

    def _what_fails(self, version: Version, position: int) -> str:
        """What a record has, of which some SQL that is no rule fails."""
        contract = self.sql.contract
        if self._is_failing(version, position, ", ".join(map(identifier, contract.current.columns))):
            return f"values that cannot be brought from version {version.number} to the current one"
        for derived in contract.derived:
            if self._is_failing(version, position, identifier(derived.name)):
                return f"values of which the derived column {derived.name} cannot be computed"
        for total in contract.control_totals:
            if self._is_failing(version, position, total.record_sql):
                return f"values of which the control total {total.name} cannot be computed"
        return "values that are too large to be kept"

    def _reason(self, has: str) -> int:
        """The number of the reason that a record has something that does not fit."""
        self.sql.reasons.append(Reason(DOES_NOT_FIT, "", "sql", f"the record has {has}"))
        return len(self.sql.reasons) - 1
